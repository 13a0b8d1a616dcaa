"""Each distinct question is asked once, ever: raw answers by fingerprint, and the hits in them."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from cache.errors import ProviderUnavailable
from cache.keys import canonical_json
from cache.recording.recordings import Recording
from cache.records import Hit, Media, Query
from retrieval.asking.asked_at import age_days, time_of_asking
from retrieval.asking.live import Budget, BudgetSpent, LiveLine
from retrieval.asking.manner import Manner
from retrieval.asking.side_by_side import run_side_by_side
from retrieval.providers.base import LiveProvider, Provider, is_live, query_identity, query_key

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
    """An `AnswerBook` for one post that is not built into a store; leaves what it reads alone."""

    def __init__(self, below: AnswerBook | None = None) -> None:
        """Know all that ``below`` knows, and keep what is new in memory."""
        self._below = below
        self._recordings: dict[str, Recording] = {}
        self._media: dict[str, Media] = {}

    def __contains__(self, key: object) -> bool:
        """Return whether something was recorded under ``key``."""
        return key in self._recordings or (self._below is not None and key in self._below)

    def get(self, key: str) -> Recording | None:
        """Return what was recorded under ``key``, or None."""
        if key in self._recordings or self._below is None:
            return self._recordings.get(key)
        return self._below.get(key)

    def has_media(self, key: str) -> bool:
        """Return whether the bytes of an image are kept."""
        return key in self._media or (self._below is not None and self._below.has_media(key))

    def media(self, key: str) -> Media:
        """Return an image that is kept."""
        if key in self._media or self._below is None:
            return self._media[key]
        return self._below.media(key)

    def put_segment(self, answers: Sequence[Recording], media: Iterable[Media] = ()) -> None:
        """Keep all of it."""
        self._recordings.update((one.key, one) for one in answers)
        self._media.update((one.key, one) for one in media)


class Asker:
    """Asks providers what no recording answers, and reads hits from recordings alone.

    Attributes:
        counts: ``asked``, ``recorded`` (answered by an earlier recording) and ``unavailable``
            questions, each distinct one once, however often it comes up. Of those unavailable,
            ``blocked`` are those that a live provider failed at, and ``outdated`` those with an
            older answer.
        missing: questions that were not asked because of `AskingOptions`, by provider.
    """

    def __init__(
        self, providers: Sequence[Provider], book: AnswerBook, k: int, manner: Manner | None = None
    ) -> None:
        """Ask ``providers`` for ``k`` hits per question, in their order."""
        self._providers = tuple(providers)
        self._book = book
        self._k = k
        self._manner = manner = manner or Manner()
        names = ("asked", "recorded", "unavailable", "blocked", "outdated")
        self.counts: Counter[str] = Counter(dict.fromkeys(names, 0))
        self.missing: dict[str, set[str]] = {}
        # Why a question could not be asked; the next call of `ask` tries again.
        self._refusals: dict[str, ProviderUnavailable] = {}
        self._answered: set[str] = set()
        # Recordings, counts and refusals are changed from the threads of live providers.
        self._lock = threading.Lock()
        polite, clock = manner.polite, manner.clock
        budget = Budget(polite.max_queries, polite.max_minutes, clock)
        self._lines = {
            provider.name: LiveLine(provider, k, polite, budget, clock, manner.patient)
            for provider in self._providers
            if is_live(provider)
        }

    def ask(self, queries: Sequence[Query]) -> None:
        """Record an answer to each of ``queries`` from each provider that accepts it.

        Live providers are asked side by side, each one question at a time, and every answer is
        recorded before the next question. What a provider could not answer stays without a
        recording.
        """
        stop = threading.Event()
        lines: list[Callable[[], None]] = []
        for provider in self._providers:
            missing = self._missing(provider, queries)
            if not missing:
                continue
            if not self._manner.options.asks(provider):
                self._leave(provider, missing)
            elif is_live(provider):
                lines.append(partial(self._ask_live, provider, missing, stop))
            else:
                self._ask_local(provider, missing)
        run_side_by_side(lines, stop)

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
        by_name = {p.name: p for p in self._providers if self._manner.options.asks(p)}
        wanted: dict[str, Provider] = {}
        for hit in hits:
            key = hit.media_key if hit.modality == "image" else None
            if key and hit.provider in by_name and not self._book.has_media(key):
                wanted.setdefault(key, by_name[hit.provider])
        keys = list(wanted)
        for start in range(0, len(keys), _MEDIA_TOGETHER):
            self._fetch_once({key: wanted[key] for key in keys[start : start + _MEDIA_TOGETHER]})

    def _missing(self, provider: Provider, queries: Sequence[Query]) -> dict[str, Query]:
        """Return the distinct questions to ``provider`` that no recording answers, by key."""
        wanted: dict[str, Query] = {}
        for query in queries:
            if provider.accepts(query):
                wanted.setdefault(query_key(provider, query, self._k), query)
        missing = {k: q for k, q in wanted.items() if not self._is_answered(provider, k)}
        answered = wanted.keys() - missing.keys() - self._answered
        self.counts["recorded"] += len(answered)
        self._answered |= answered
        return missing

    def _is_answered(self, provider: Provider, key: str) -> bool:
        options = self._manner.options
        if options.refresh_days is None or not options.asks(provider) or not is_live(provider):
            return key in self._book
        if key in self._answered:
            # By this run, or it was fresh enough when this run began.
            return True
        recording = self._book.get(key)
        return recording is not None and age_days(recording.asked_at) < options.refresh_days

    def _leave(self, provider: Provider, missing: Mapping[str, Query]) -> None:
        option = "--recurate" if self._manner.options.recurate_only else "--offline"
        for key in missing:
            self._refuse(
                key,
                ProviderUnavailable(
                    f"a question to provider {provider.name!r} has no recording. Run the build "
                    f"without {option} to ask it."
                ),
            )
        self.missing.setdefault(provider.name, set()).update(missing)

    def _ask_live(
        self, provider: LiveProvider, missing: Mapping[str, Query], stop: threading.Event
    ) -> None:
        line = self._lines[provider.name]
        for key, query in missing.items():
            if stop.is_set():
                return
            try:
                body = line.answer(query)
            except ProviderUnavailable as problem:
                with self._lock:
                    self._refuse(key, problem)
                    self.counts["blocked"] += not isinstance(problem, BudgetSpent)
            else:
                with self._lock:
                    self._record(provider, {key: query}, [body])
            self._manner.progress()

    def _ask_local(self, provider: Provider, missing: Mapping[str, Query]) -> None:
        pairs = list(missing.items())
        for start in range(0, len(pairs), _ASKED_TOGETHER):
            part = dict(pairs[start : start + _ASKED_TOGETHER])
            try:
                answers = provider.ask(list(part.values()), self._k)
            except ProviderUnavailable as problem:
                answers = [problem] * len(part)
            self._record(provider, part, answers)

    def _record(
        self,
        provider: Provider,
        queries: Mapping[str, Query],
        answers: Sequence[bytes | ProviderUnavailable],
    ) -> None:
        # The fingerprint says all about who answers from files at hand, and a date would make
        # equal builds differ.
        asked_at = time_of_asking() if is_live(provider) else ""
        recordings: list[Recording] = []
        for (key, query), answer in zip(queries.items(), answers, strict=True):
            if isinstance(answer, ProviderUnavailable):
                self._refuse(key, answer)
                continue
            self.counts["asked"] += 1
            self._answered.add(key)
            text = canonical_json(query_identity(query))
            recordings.append(Recording(key, provider.name, text, asked_at, answer))
        if recordings:
            self._book.put_segment(recordings)

    def _refuse(self, key: str, problem: ProviderUnavailable) -> None:
        if key not in self._refusals:
            self.counts["unavailable"] += 1
            self.counts["outdated"] += key in self._book
        self._refusals[key] = problem

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
