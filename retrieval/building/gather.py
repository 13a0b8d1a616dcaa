"""From observed posts to their evidence: ask, fetch, embed, curate.

The builder does it batch by batch, ``ramie predict`` for one new post: by the same code.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from cache.errors import ProviderUnavailable
from cache.keys import fingerprint
from cache.records import Hit, Media, Post, Query
from retrieval.asking.answers import AnswerBook, Asker
from retrieval.asking.manner import Manner
from retrieval.asking.queries import make_queries
from retrieval.building.cases import Case, Gathered, Seen, Unfinished
from retrieval.building.hit_vectors import Encoder, HitVectors
from retrieval.building.recent_media import RecentMedia
from retrieval.building.stopwatch import Stopwatch
from retrieval.curation.calibration import FEWEST
from retrieval.curation.consistency import Reference
from retrieval.curation.curate import ImageHashes, Surroundings, curate, drop_unfit
from retrieval.curation.leaks import LeakGuard
from retrieval.curation.rank import canonical_key
from retrieval.providers.base import Provider
from retrieval.settings import CurateSettings

# A store from files at hand needs no code that reaches the network.
if TYPE_CHECKING:
    from retrieval.fetching.fetch import Fetcher
    from retrieval.fetching.live_hits import LiveHits


class EvidenceEncoder(Encoder, Protocol):
    """An encoder that says what makes its vectors comparable."""

    @property
    def encoder_fingerprint(self) -> str:
        """Empty without an encoder."""
        ...


class Stopped(Exception):
    """Asking or fetching ended early, because `Gatherer.stop` was called."""


class Gatherer:
    """Finds the evidence of posts: by `gather`, or by the stages that it is made of.

    Each stage may run in a thread of its own, on one batch at a time, if every batch goes through
    `ask`, `fetch`, `embed` and `curate` in this order.

    Attributes:
        asker: asks, and counts.
        watch: where the time goes.
        compared_with: fingerprint of what evidence is compared with; empty before `look_around`.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        book: AnswerBook,
        encoder: EvidenceEncoder,
        hits_per_query: int,
        settings: CurateSettings,
        manner: Manner | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        """Ask ``providers``, keep answers in ``book``, embed what comes without embedding.

        What live providers name by URL is fetched by ``fetcher``; without one it is not.
        """
        manner = manner or Manner()
        self._stopped = threading.Event()
        self._progress = manner.progress
        asking = replace(manner, progress=self._after_question)
        self.asker = Asker(providers, book, hits_per_query, asking)
        self.watch = Stopwatch()
        self._book = book
        self._fetcher = fetcher
        self._live: LiveHits | None = None
        if fetcher is not None:
            from retrieval.fetching.live_hits import LiveHits

            self._live = LiveHits(providers, fetcher)
        self._vectors = HitVectors(encoder, encoder.encoder_fingerprint, book)
        self._settings = settings
        self._photos: dict[str, Media] = {}
        self._images = RecentMedia(book.media)
        self._around = Surroundings(ImageHashes(self._image))
        self.compared_with = ""
        self._left_out: list[Seen] = []

    def gather(self, posts: Sequence[Seen]) -> list[Gathered | Unfinished]:
        """Return what was found for each of ``posts``, in their order.

        Raises:
            EncoderMismatch: a provider's embeddings are of another encoder than the posts'.
        """
        return self.curate(self._find(posts))

    def gather_one(self, seen: Seen) -> Gathered:
        """Return what was found for one post.

        Raises:
            ProviderUnavailable: a provider could not be asked.
            RuntimeError: the post cannot be processed; the message says why.
            EncoderMismatch: as `gather`.
        """
        found = self.gather([seen])[0]
        if isinstance(found, Unfinished):
            if found.unavailable:
                raise ProviderUnavailable(found.reason)
            raise RuntimeError(f"{found.example_id}: {found.reason}")
        return found

    def ask(self, posts: Sequence[Seen]) -> list[Case]:
        """Return ``posts`` with the hits in the answers to their questions.

        Raises:
            Stopped: not all questions were asked; what was answered is recorded.
        """
        cases = [Case(seen) for seen in posts]
        queries: dict[Case, list[Query]] = {}
        with self.watch.stage("ask"):
            for case in cases:
                case.attempt(lambda c: queries.update({c: _queries(c.seen)}))
            self.asker.ask(list(chain.from_iterable(queries.values())))
            for case in cases:
                case.attempt(lambda c: c.found.extend(self._read_answers(queries[c])))
        return cases

    def fetch(self, cases: Sequence[Case]) -> None:
        """Get the pages and images that hits name.

        Raises:
            Stopped: not all of them; what was fetched is recorded.
        """
        if self._live is not None:
            live = self._live
            with self.watch.stage("fetch"):
                live.fetch(hit for case in cases for hit in case.hits)
                self._check_stopped()
                for case in cases:
                    case.attempt(lambda c: c.resolve(live.resolve))
        with self.watch.stage("ask"):
            self.asker.fetch_media(hit for case in cases for hit in case.hits)
            for case in cases:
                case.attempt(self._check_media)

    def embed(self, cases: Sequence[Case]) -> None:
        """Record an embedding of every hit that comes without one, where there can be one."""
        with self.watch.stage("embed"):
            self._vectors.embed([hit for case in cases for hit in case.hits])

    def lacks_embeddings(self, cases: Sequence[Case]) -> bool:
        """Return whether `embed` would use the models."""
        return self._vectors.lacks([hit for case in cases for hit in case.hits])

    def curate(self, cases: Sequence[Case]) -> list[Gathered | Unfinished]:
        """Return what is kept for each of ``cases``, in their order.

        Raises:
            EncoderMismatch: as `gather`.
        """
        with self.watch.stage("curate"):
            self._show(cases)
            return [self._finish(case) for case in cases]

    def stop(self) -> None:
        """Ask and fetch nothing further; what is under way raises `Stopped` soon."""
        self._stopped.set()
        if self._fetcher is not None:
            self._fetcher.stopped.set()

    def look_around(self, posts: Iterable[Post], reference: Sequence[Seen]) -> None:
        """Learn what curation knows beside a post; before the first call of `curate`.

        Args:
            posts: the whole data set, to know copies of it.
            reference: posts that stand for "some other post"; those that cannot be finished are
                left out, and `compared_with` tells which were not. A few compare with nothing.

        Raises:
            EncoderMismatch: as `gather`.
        """
        everyone = self._find(reference)
        cases = [case for case in everyone if case.failure is None]
        self._left_out = [case.seen for case in everyone if case.failure is not None]
        with self.watch.stage("curate"):
            self._show(everyone)
            around = replace(self._around, guard=LeakGuard(posts))
            known = [(case.seen.observation, self._fitting(case, around)) for case in cases]
            if len(known) <= FEWEST:
                self._around = around
                return
            self._around = replace(around, reference=Reference(known))
        self.compared_with = fingerprint(
            sorted(
                [observation.post.example_id, sorted(map(_provenance, hits))]
                for observation, hits in known
            )
        )

    def has_late_answers(self) -> bool:
        """Return whether a post that `look_around` left out has all its answers by now."""
        for seen in self._left_out:
            with suppress(ProviderUnavailable):
                self._read_answers(_queries(seen))
                return True
        return False

    def _find(self, posts: Sequence[Seen]) -> list[Case]:
        """Return what was found for each of ``posts``, with embeddings to be had."""
        cases = self.ask(posts)
        self.fetch(cases)
        self.embed(cases)
        return cases

    def _after_question(self) -> None:
        self._progress()
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise Stopped

    def _show(self, cases: Sequence[Case]) -> None:
        """Know the photos of ``cases`` without reading them again."""
        photos = [case.seen.photo for case in cases]
        self._photos = {photo.key: photo for photo in photos if photo is not None}

    def _fitting(self, case: Case, around: Surroundings) -> list[Hit]:
        hits = [self._vectors.attach(hit, query) for query, hit in case.found]
        return drop_unfit(case.seen.observation, hits, self._settings, around)[0]

    def _read_answers(self, queries: Sequence[Query]) -> list[tuple[Query, Hit]]:
        return [(query, hit) for query in queries for hit in self.asker.hits(query)]

    def _check_media(self, case: Case) -> None:
        for hit in case.hits:
            key = hit.media_key if hit.modality == "image" else None
            if key and not self._book.has_media(key):
                raise ProviderUnavailable(
                    f"image {key} of provider {hit.provider!r} is not to be had. "
                    "Run the build again."
                )

    def _finish(self, case: Case) -> Gathered | Unfinished:
        done: list[Gathered] = []
        case.attempt(lambda c: done.append(self._curate(c)))
        return case.failure or done[0]

    def _curate(self, case: Case) -> Gathered:
        seen = case.seen
        hits = [self._vectors.attach(hit, query) for query, hit in case.found]
        evidence, dropped = curate(seen.observation, hits, self._settings, self._around)
        keys = {e.hit.media_key for e in evidence if e.hit.modality == "image"}
        media = [self._image(key) for key in sorted(key for key in keys if key)]
        if seen.photo is not None and seen.photo.key not in keys:
            media.append(seen.photo)
        dropped = sorted([*case.dropped, *dropped], key=lambda one: canonical_key(one.hit))
        return Gathered(tuple(evidence), tuple(dropped), tuple(media))

    def _image(self, key: str) -> Media:
        return self._photos[key] if key in self._photos else self._images(key)


def _provenance(hit: Hit) -> list[str]:
    return [hit.provider, hit.document_id, hit.query_key, hit.retrieved_at]


def _queries(seen: Seen) -> list[Query]:
    """Return the questions of a post; those by image come with the photo."""
    return [
        replace(query, photo=seen.photo) if query.image_key else query
        for query in make_queries(seen.observation)
    ]
