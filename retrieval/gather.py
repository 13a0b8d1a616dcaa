"""From observed posts to their evidence: ask, read the answers, embed them, curate.

The builder does it shard by shard, ``ramie predict`` for one new post: by the same code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from cache.errors import ProviderUnavailable
from cache.records import Dropped, Evidence, Hit, Media, Observation, Query
from retrieval.answers import AnswerBook, Asker, MemoryBook
from retrieval.curate import ImageHashes, curate
from retrieval.hit_vectors import Encoder, EncoderMismatch, HitVectors
from retrieval.providers.base import Provider
from retrieval.queries import make_queries
from retrieval.recent_media import RecentMedia
from retrieval.settings import CurateSettings
from retrieval.stopwatch import Stopwatch

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
    failure: Unfinished | None = None

    @property
    def hits(self) -> list[Hit]:
        return [] if self.failure else [hit for _, hit in self.found]

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
    """Finds the evidence of posts; see `gather`."""

    def __init__(
        self,
        providers: Sequence[Provider],
        book: AnswerBook,
        encoder: EvidenceEncoder,
        hits_per_query: int,
        settings: CurateSettings,
    ) -> None:
        """Ask ``providers``, keep answers in ``book``, embed what comes without embedding."""
        self.asker = Asker(providers, book, hits_per_query)
        self.watch = Stopwatch()
        self._book = book
        self._vectors = HitVectors(encoder, encoder.encoder_fingerprint, book)
        self._settings = settings
        self._photos: dict[str, Media] = {}
        self._images = RecentMedia(book.media)
        self._hashes = ImageHashes(self._image)

    def gather(self, posts: Sequence[Seen]) -> list[Gathered | Unfinished]:
        """Return what was found for each of ``posts``, in their order.

        Raises:
            EncoderMismatch: a provider's embeddings are of another encoder than the posts'.
        """
        self._photos = {seen.photo.key: seen.photo for seen in posts if seen.photo is not None}
        cases = [_Case(seen) for seen in posts]
        with self.watch.stage("ask"):
            queries: dict[_Case, list[Query]] = {}
            for case in cases:
                case.attempt(lambda c: queries.update({c: make_queries(c.seen.observation)}))
            self.asker.ask(list(chain.from_iterable(queries.values())))
            for case in cases:
                case.attempt(lambda c: c.found.extend(self._read_answers(queries[c])))
            self.asker.fetch_media(hit for case in cases for hit in case.hits)
            for case in cases:
                case.attempt(self._check_media)
        with self.watch.stage("embed hits"):
            self._vectors.embed([hit for case in cases for hit in case.hits])
        with self.watch.stage("curate"):
            return [self._finish(case) for case in cases]

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
        evidence, dropped = curate(seen.observation, hits, self._settings, self._hashes)
        keys = {e.hit.media_key for e in evidence if e.hit.modality == "image"}
        media = [self._image(key) for key in sorted(key for key in keys if key)]
        if seen.photo is not None and seen.photo.key not in keys:
            media.append(seen.photo)
        return Gathered(tuple(evidence), tuple(dropped), tuple(media))

    def _image(self, key: str) -> Media:
        return self._photos[key] if key in self._photos else self._images(key)


def gather_evidence(
    seen: Seen,
    *,
    providers: Sequence[Provider],
    encoder: EvidenceEncoder,
    hits_per_query: int,
    settings: CurateSettings,
    book: AnswerBook | None = None,
) -> Gathered:
    """Return the evidence of one post, found as a build with these settings finds it.

    Args:
        seen: the observed post.
        providers: who is asked.
        encoder: the observer; embeds hits that come without an embedding.
        hits_per_query: answers asked of each provider per query.
        settings: of curation.
        book: answers given earlier; None asks everything and keeps nothing.

    Raises:
        ProviderUnavailable: a provider could not be asked.
        RuntimeError: the post cannot be processed; the message says why.
    """
    answers = MemoryBook() if book is None else book
    gatherer = Gatherer(providers, answers, encoder, hits_per_query, settings)
    found = gatherer.gather([seen])[0]
    if isinstance(found, Unfinished):
        if found.unavailable:
            raise ProviderUnavailable(found.reason)
        raise RuntimeError(f"{found.example_id}: {found.reason}")
    return found
