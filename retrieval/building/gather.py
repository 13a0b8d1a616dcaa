"""From observed posts to their evidence: ask, read the answers, embed them, curate.

The builder does it shard by shard, ``ramie predict`` for one new post: by the same code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from cache.errors import ProviderUnavailable
from cache.keys import fingerprint
from cache.records import Dropped, Evidence, Hit, Media, Observation, Post, Query
from retrieval.asking.answers import AnswerBook, Asker
from retrieval.asking.manner import Manner
from retrieval.asking.queries import make_queries
from retrieval.building.hit_vectors import Encoder, EncoderMismatch, HitVectors
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

_log = logging.getLogger(__name__)


class EvidenceEncoder(Encoder, Protocol):
    """An encoder that says what makes its vectors comparable."""

    @property
    def encoder_fingerprint(self) -> str:
        """Empty without an encoder."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An observed post and the bytes of its photo, None without a usable one."""

    observation: Observation
    photo: Media | None = None

    @property
    def example_id(self) -> str:
        """Id of the post."""
        return self.observation.post.example_id


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A post that this run could not finish; the next one tries again.

    Attributes:
        example_id: of the post.
        reason: what went wrong, for people.
        unavailable: True if a provider could not be asked, False if the post itself failed.
    """

    example_id: str
    reason: str
    unavailable: bool


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What was found for one post.

    Attributes:
        evidence: kept, in the order of the streams.
        dropped: the rest, with step and reason.
        media: the images of the evidence, and the photo of the post.
    """

    evidence: tuple[Evidence, ...]
    dropped: tuple[Dropped, ...]
    media: tuple[Media, ...]


@dataclass(slots=True, eq=False)
class _Case:
    """One post on its way."""

    seen: Seen
    found: list[tuple[Query, Hit]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    failure: Unfinished | None = None

    @property
    def hits(self) -> list[Hit]:
        return [] if self.failure else [hit for _, hit in self.found]

    def resolve(self, step: Callable[[Hit], Hit | Dropped]) -> None:
        """Replace each hit by what ``step`` makes of it, or drop it."""
        resolved = [(query, step(hit)) for query, hit in self.found]
        self.found = [(query, one) for query, one in resolved if isinstance(one, Hit)]
        self.dropped = [one for _, one in resolved if isinstance(one, Dropped)]

    def attempt(self, step: Callable[[_Case], None]) -> None:
        """Run ``step`` on this post; whatever it raises concerns this post alone.

        Raises:
            EncoderMismatch: concerns every post, so the build must stop.
        """
        name = self.seen.example_id
        try:
            if self.failure is None:
                step(self)
        except ProviderUnavailable as problem:
            self.failure = Unfinished(name, str(problem), unavailable=True)
        except EncoderMismatch:
            raise
        except Exception as error:  # one example; recorded with its id, the others go on
            _log.exception("post %s could not be finished", name)
            self.failure = Unfinished(name, f"{type(error).__name__}: {error}", unavailable=False)


class Gatherer:
    """Finds the evidence of posts; see `gather`.

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
        self.asker = Asker(providers, book, hits_per_query, manner)
        self.watch = Stopwatch()
        self._book = book
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
        cases = self._find(posts)
        with self.watch.stage("curate"):
            return [self._finish(case) for case in cases]

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

    def look_around(self, posts: Iterable[Post], reference: Sequence[Seen]) -> None:
        """Learn what curation knows beside a post; before the first call of `gather`.

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

    def _fitting(self, case: _Case, around: Surroundings) -> list[Hit]:
        hits = [self._vectors.attach(hit, query) for query, hit in case.found]
        return drop_unfit(case.seen.observation, hits, self._settings, around)[0]

    def _find(self, posts: Sequence[Seen]) -> list[_Case]:
        """Return what was found for each of ``posts``, with embeddings to be had."""
        self._photos = {seen.photo.key: seen.photo for seen in posts if seen.photo is not None}
        cases = [_Case(seen) for seen in posts]
        with self.watch.stage("ask"):
            self._ask(cases)
        if self._live is not None:
            with self.watch.stage("fetch"):
                self._resolve(cases, self._live)
        with self.watch.stage("ask"):
            self._ask_for_media(cases)
        with self.watch.stage("embed hits"):
            self._vectors.embed([hit for case in cases for hit in case.hits])
        return cases

    def _ask(self, cases: Sequence[_Case]) -> None:
        queries: dict[_Case, list[Query]] = {}
        for case in cases:
            case.attempt(lambda c: queries.update({c: _queries(c.seen)}))
        self.asker.ask(list(chain.from_iterable(queries.values())))
        for case in cases:
            case.attempt(lambda c: c.found.extend(self._read_answers(queries[c])))

    def _resolve(self, cases: Sequence[_Case], live: LiveHits) -> None:
        live.fetch(hit for case in cases for hit in case.hits)
        for case in cases:
            case.attempt(lambda c: c.resolve(live.resolve))

    def _ask_for_media(self, cases: Sequence[_Case]) -> None:
        self.asker.fetch_media(hit for case in cases for hit in case.hits)
        for case in cases:
            case.attempt(self._check_media)

    def _read_answers(self, queries: Sequence[Query]) -> list[tuple[Query, Hit]]:
        return [(query, hit) for query in queries for hit in self.asker.hits(query)]

    def _check_media(self, case: _Case) -> None:
        for hit in case.hits:
            key = hit.media_key if hit.modality == "image" else None
            if key and not self._book.has_media(key):
                raise ProviderUnavailable(
                    f"image {key} of provider {hit.provider!r} is not to be had. "
                    "Run the build again."
                )

    def _finish(self, case: _Case) -> Gathered | Unfinished:
        done: list[Gathered] = []
        case.attempt(lambda c: done.append(self._curate(c)))
        return case.failure or done[0]

    def _curate(self, case: _Case) -> Gathered:
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
