"""What every reader of a store offers, and the light records that a trainer gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

from numpy.typing import NDArray

from cache.feature_keys import Array
from cache.manifest import Manifest
from cache.records import (
    STREAMS,
    Dropped,
    Evidence,
    Example,
    FeatureSet,
    Media,
    StoredExample,
    Vector,
)

_STREAM_INDEX: Final = {stream: index for index, stream in enumerate(STREAMS)}


class EvidenceItem(NamedTuple):
    """Evidence as a trainer sees it: no provenance, only what a model may use.

    Attributes:
        stream: index into `STREAMS`.
        rank: place within its stream, from 0.
        region_index: which region asked; -1 unless the stream's level is ``object``.
        text: the passage, or the caption of an image; may be empty.
        media_key: key of the image, or None.
        relevance: cosine to the query, or None.
        consistency: share of other posts that it fits less well, in [0, 1], or None.
        fused_score: reciprocal-rank fusion score.
        embedding: unit vector of text or image, or None.
    """

    stream: int
    rank: int
    region_index: int
    text: str
    media_key: str | None
    relevance: float | None
    consistency: float | None
    fused_score: float
    embedding: Vector | None


class Features(NamedTuple):
    """A post as a trainer sees it.

    Attributes:
        example: the post with its annotations.
        photo_key: key of the photo, or None without a usable one.
        photo_embedding: unit vector of the whole photo, or None.
        sentence_embedding: unit vector of the cleaned sentence, or None.
        region_embeddings: one per region, in order; None where no encoder ran.
        evidence: in the order of the store.
        arrays: of the feature sets that were asked for, those that hold something of the post.
    """

    example: Example
    photo_key: str | None
    photo_embedding: Vector | None
    sentence_embedding: Vector | None
    region_embeddings: tuple[Vector | None, ...]
    evidence: tuple[EvidenceItem, ...]
    arrays: Mapping[FeatureSet, NDArray[Any]] = MappingProxyType({})


class StoreReader(Protocol):
    """Random access to the posts of a finished store; a context manager."""

    @property
    def manifest(self) -> Manifest:
        """What the store promises."""
        ...

    def example_ids(self, split: str | None = None) -> tuple[str, ...]:
        """Return the ids of a split, or of all posts, sorted."""
        ...

    def read(self, example_id: str) -> StoredExample:
        """Return all that the store keeps of a post but its dropped hits.

        Raises:
            InputError: there is no such post.
            StoreDamaged: its bytes are not what was written.
        """
        ...

    def features(self, example_id: str) -> Features:
        """Return what a trainer needs of a post, fast; raises like `read`."""
        ...

    def dropped(self, example_id: str) -> tuple[Dropped, ...]:
        """Return the hits that curation did not keep; raises like `read`."""
        ...

    def array(self, name: FeatureSet, example_id: str) -> Array | None:
        """Return a post's array of a feature set; raises like `read`.

        None where it has none: a post without a usable photo has only its ``parse``. The array is
        the caller's own; `Manifest.feature_sets` tells its sizes.

        Raises:
            InputError: the store has no such set; the message names the command that adds it.
        """
        ...

    def media(self, key: str) -> Media:
        """Return an image; raises like `read`.

        Raises:
            StoreWithheld: its bytes were left out of the store.
        """
        ...

    def prefetch(self, example_ids: Iterable[str]) -> None:
        """Have posts fetched from the disk while the caller goes on; a hint, no more.

        Raises:
            InputError: there is no such post.
        """
        ...

    def warm(self) -> None:
        """Have all posts fetched from the disk while the caller goes on; a hint, no more."""
        ...

    def close(self) -> None:
        """Let the files go; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def features_of(stored: StoredExample) -> Features:
    """Return the features of a record, the same that a reader gives for it."""
    seen = stored.observation
    return Features(
        example=stored.example,
        photo_key=seen.photo_key,
        photo_embedding=seen.photo_embedding,
        sentence_embedding=seen.sentence_embedding,
        region_embeddings=tuple(region.embedding for region in seen.regions),
        evidence=tuple(map(item_of, stored.evidence)),
    )


def item_of(evidence: Evidence) -> EvidenceItem:
    """Return evidence as a trainer sees it."""
    hit = evidence.hit
    return EvidenceItem(
        stream=_STREAM_INDEX[hit.level, hit.modality],
        rank=evidence.rank,
        region_index=hit.region_index,
        text=hit.text,
        media_key=hit.media_key,
        relevance=hit.relevance,
        consistency=hit.consistency,
        fused_score=evidence.fused_score,
        embedding=hit.embedding,
    )
