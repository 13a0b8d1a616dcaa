"""Each distinct question is asked once, ever: raw answers by fingerprint, and the hits in them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Protocol

from cache.errors import ProviderUnavailable
from cache.keys import canonical_json
from cache.recordings import Recording
from cache.records import Hit, Media, Query
from retrieval.providers.base import Provider, query_identity, query_key

# Images in one segment: bounds what is in memory, and what an interruption loses.
_MEDIA_TOGETHER: Final = 256
# Questions in one call of a provider; what was answered is on disk before the next call.
_ASKED_TOGETHER: Final = 256
_log = logging.getLogger(__name__)


class AnswerBook(Protocol):
    """Where raw answers and the images they name are kept; `Recordings` keeps them on disk."""

    def __contains__(self, key: object) -> bool:
        """Return whether something was recorded under ``key``."""
        ...

    def get(self, key: str) -> Recording | None:
        """Return what was recorded under ``key``, or None."""
        ...

    def has_media(self, key: str) -> bool:
        """Return whether the bytes of an image are kept."""
        ...

    def media(self, key: str) -> Media:
        """Return an image that is kept."""
        ...

    def put_segment(self, answers: Sequence[Recording], media: Iterable[Media] = ()) -> None:
        """Keep all of it, or, when interrupted, nothing."""
        ...


class MemoryBook:
    """An `AnswerBook` for one post that is not built into a store."""

    def __init__(self) -> None:
        self._recordings: dict[str, Recording] = {}
        self._media: dict[str, Media] = {}

    def __contains__(self, key: object) -> bool:
        """Return whether something was recorded under ``key``."""
        return key in self._recordings

    def get(self, key: str) -> Recording | None:
        """Return what was recorded under ``key``, or None."""
        return self._recordings.get(key)

    def has_media(self, key: str) -> bool:
        """Return whether the bytes of an image are kept."""
        return key in self._media

    def media(self, key: str) -> Media:
        """Return an image that is kept."""
        return self._media[key]

    def put_segment(self, answers: Sequence[Recording], media: Iterable[Media] = ()) -> None:
        """Keep all of it."""
        self._recordings.update((one.key, one) for one in answers)
        self._media.update((one.key, one) for one in media)


class Asker:
    """Asks providers what no recording answers, and reads hits from recordings alone.

    Attributes:
        counts: ``asked``, ``recorded`` (answered by an earlier recording) and ``unavailable``
            questions, each distinct one of a call once.
    """

    def __init__(self, providers: Sequence[Provider], book: AnswerBook, k: int) -> None:
        """Ask ``providers`` for ``k`` hits per question, in their order."""
        self._providers = tuple(providers)
        self._book = book
        self._k = k
        self.counts: Counter[str] = Counter(asked=0, recorded=0, unavailable=0)
        # Why a question could not be asked; the next call of `ask` tries again.
        self._refusals: dict[str, ProviderUnavailable] = {}

    def ask(self, queries: Sequence[Query]) -> None:
        """Record an answer to each of ``queries`` from each provider that accepts it.

        What a provider could not answer stays without a recording.
        """
        for provider in self._providers:
            wanted: dict[str, Query] = {}
            for query in queries:
                if provider.accepts(query):
                    wanted.setdefault(query_key(provider, query, self._k), query)
            missing = [key for key in wanted if key not in self._book]
            self.counts["recorded"] += len(wanted) - len(missing)
            for start in range(0, len(missing), _ASKED_TOGETHER):
                keys = missing[start : start + _ASKED_TOGETHER]
                self._ask_once(provider, {key: wanted[key] for key in keys})

    def hits(self, query: Query) -> list[Hit]:
        """Return the hits of all providers for ``query``, from the recordings alone.

        Raises:
            ProviderUnavailable: a provider that accepts the query has not answered it.
            InputError: a recording is no answer of its provider.
        """
        found: list[Hit] = []
        for provider in self._providers:
            if not provider.accepts(query):
                continue
            key = query_key(provider, query, self._k)
            recording = self._book.get(key)
            if recording is None:
                raise self._refusals.get(key) or ProviderUnavailable(
                    f"provider {provider.name!r} was not asked. Run the build again."
                )
            hits = provider.parse(query, recording.body, recording.asked_at)
            found += [h if h.query_key == key else replace(h, query_key=key) for h in hits]
        return found

    def fetch_media(self, hits: Iterable[Hit]) -> None:
        """Keep the images that ``hits`` name and that are not kept yet.

        An image that is not to be had now is left out; `AnswerBook.has_media` tells.
        """
        by_name = {provider.name: provider for provider in self._providers}
        wanted: dict[str, Provider] = {}
        for hit in hits:
            key = hit.media_key
            if hit.modality == "image" and key and not self._book.has_media(key):
                wanted.setdefault(key, by_name[hit.provider])
        keys = list(wanted)
        for start in range(0, len(keys), _MEDIA_TOGETHER):
            self._fetch_once({key: wanted[key] for key in keys[start : start + _MEDIA_TOGETHER]})

    def _ask_once(self, provider: Provider, queries: dict[str, Query]) -> None:
        try:
            answers = provider.ask(list(queries.values()), self._k)
        except ProviderUnavailable as problem:
            answers = [problem] * len(queries)
        asked_at = _asked_at(provider)
        recordings: list[Recording] = []
        for (key, query), answer in zip(queries.items(), answers, strict=True):
            if isinstance(answer, ProviderUnavailable):
                self._refusals[key] = answer
                self.counts["unavailable"] += 1
                continue
            self.counts["asked"] += 1
            text = canonical_json(query_identity(query))
            recordings.append(Recording(key, provider.name, text, asked_at, answer))
        if recordings:
            self._book.put_segment(recordings)

    def _fetch_once(self, wanted: dict[str, Provider]) -> None:
        fetched: list[Media] = []
        try:
            for key, provider in wanted.items():
                try:
                    fetched.append(provider.media(key))
                except ProviderUnavailable as problem:
                    _log.warning("image %s of %s: %s", key, provider.name, problem)
        finally:
            # What was fetched before Ctrl-C is kept.
            if fetched:
                self._book.put_segment([], fetched)


def _asked_at(provider: Provider) -> str:
    """Return the time of asking; empty for providers that answer from files at hand.

    The fingerprint says all about those, and a date would make equal builds differ. A provider
    whose answers change with time says so by an attribute ``live``.
    """
    if not getattr(provider, "live", False):
        return ""
    return datetime.now(UTC).isoformat(timespec="seconds")
