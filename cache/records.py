"""The nouns of the contract: what a store holds, and what travels between the two halves.

Inputs and annotations are kept apart by type: a `Post` is what is known at inference, an `Example`
is a post with its annotations. Everything that asks, filters or counts takes a `Post`, so that a
label cannot reach a query by accident.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

Level = Literal["image", "object", "sentence"]
Modality = Literal["text", "image"]
Vector = NDArray[np.float32]
# What is computed of the posts of a store beside its tables, for the systems that read it.
FeatureSet = Literal["grid", "pyramid", "parse", "region_graph"]

LEVELS: Final[tuple[Level, ...]] = ("image", "object", "sentence")
MODALITIES: Final[tuple[Modality, ...]] = ("text", "image")
FEATURE_SETS: Final[tuple[FeatureSet, ...]] = get_args(FeatureSet)

# The six streams, in the order in which models number them.
STREAMS: Final[tuple[tuple[Level, Modality], ...]] = tuple(
    (level, modality) for level in LEVELS for modality in MODALITIES
)


class Span(NamedTuple):
    """A run of tokens, end-exclusive; ``label`` is an entity type, empty for a given mention."""

    start: int
    end: int
    label: str = ""


class Relation(NamedTuple):
    """The relation that holds from ``head`` to ``tail``; spans may overlap."""

    head: Span
    tail: Span
    label: str


@dataclass(frozen=True, slots=True)
class Post:
    """What is known of a post at inference; a query, a key or a count may use nothing else.

    Attributes:
        example_id: unique in its data set.
        tokens: the words as the data set splits them.
        photo_name: the photo's file name as the data set gives it, or empty.
        head: the first given mention (relations only), without a label.
        tail: the second given mention (relations only), without a label.
    """

    example_id: str
    tokens: tuple[str, ...]
    photo_name: str = ""
    head: Span | None = None
    tail: Span | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A post with its annotations.

    Attributes:
        post: the inputs.
        split: ``train``, ``dev`` or ``test``.
        entities: annotated entities in order of ``start``; None where nobody annotated them.
        relation: label of the relation between ``post.head`` and ``post.tail``; None if unknown.
    """

    post: Post
    split: str
    entities: tuple[Span, ...] | None = None
    relation: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A detected box of a photo.

    Attributes:
        box: left, top, right, bottom in pixels of the upright photo.
        label: the detector's class name.
        confidence: in [0, 1].
        embedding: unit vector of the crop, or None where no encoder ran.
    """

    box: tuple[float, float, float, float]
    label: str
    confidence: float
    embedding: Vector | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A post with what was seen in it; all that `make_queries` gets.

    Attributes:
        post: the inputs.
        photo_key: SHA-256 of the photo's bytes, or None without a usable photo.
        photo_status: ``ok``, ``none`` (the post has no photo), ``missing`` or ``unreadable``.
        photo_embedding: unit vector of the whole photo.
        sentence_embedding: unit vector of the cleaned sentence.
        regions: best first by confidence.
    """

    post: Post
    photo_key: str | None = None
    photo_status: str = "none"
    photo_embedding: Vector | None = None
    sentence_embedding: Vector | None = None
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One question to a provider: find evidence of ``modality`` for one level of a post.

    A query is asked by text, or by image; never by both.

    Attributes:
        level: which part of the post asks.
        modality: what is looked for.
        text: the cleaned sentence, for queries by text; empty otherwise.
        image_key: SHA-256 of the photo (``#left,top,right,bottom`` appended for a region), for
            queries by image; empty otherwise, or where the photo's bytes are not at hand.
        image_name: the photo's file name, for providers that know photos by name (recordings).
        region_index: index into the observation's regions for level ``object``, else -1.
        embedding: unit vector of text or image. Derived, so it is no part of the fingerprint.
        photo: the photo that ``image_key`` is of, for providers that look at pixels; None where
            it is not at hand. Derived, too.
    """

    level: Level
    modality: Modality
    text: str = ""
    image_key: str = ""
    image_name: str = ""
    region_index: int = -1
    embedding: Vector | None = None
    photo: Media | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """One answer to a query, as a provider gave it.

    Attributes:
        level: taken over from the query.
        modality: ``text`` fills ``text``; ``image`` fills ``media_key`` (``text`` may caption it).
        region_index: taken over from the query; -1 unless level is ``object``.
        provider: who answered.
        document_id: the provider's own name for what it found; with ``provider`` it is unique.
        rank: place in that provider's answer, from 0.
        provider_score: the provider's own score; comparable within one answer only.
        text: the passage.
        media_key: SHA-256 of the image's bytes, or None.
        title: of the page or document.
        url: of the page or document, or empty.
        image_url: where the image was found on the web, or empty.
        image_sha256: SHA-256 of the image as found there; ``media_key`` is of the bounded,
            cleaned copy that is kept. Empty where the image is kept as it came.
        retrieved_at: ISO 8601 date and time (UTC) of the recorded answer.
        query_key: fingerprint of the query and its provider: which recording holds the raw answer.
        relevance: cosine to the query's embedding, or None where it could not be computed.
        consistency: in [0, 1]: the share of other posts that the hit fits less well than its
            own (`retrieval.curation.consistency`); None where it could not be computed.
        embedding: unit vector of text or image, or None.
    """

    level: Level
    modality: Modality
    region_index: int
    provider: str
    document_id: str
    rank: int
    provider_score: float
    text: str = ""
    media_key: str | None = None
    title: str = ""
    url: str = ""
    image_url: str = ""
    image_sha256: str = ""
    retrieved_at: str = ""
    query_key: str = ""
    relevance: float | None = None
    consistency: float | None = None
    embedding: Vector | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A hit that was kept.

    Attributes:
        hit: the hit.
        rank: place within its stream after curation, from 0.
        fused_score: reciprocal-rank fusion score that decided the place.
    """

    hit: Hit
    rank: int
    fused_score: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """A hit that was not kept, with the step that dropped it and the reason."""

    hit: Hit
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Media:
    """An encoded image.

    Attributes:
        key: SHA-256 of ``data``, lower-case hex.
        data: the bytes as found.
        format: ``JPEG``, ``PNG``, ``WEBP``, ``GIF`` or ``BMP`` (Pillow's names).
        width: in pixels, upright.
        height: in pixels, upright.
    """

    key: str
    data: bytes = field(repr=False)
    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class StoredExample:
    """Everything a store keeps of one post for training.

    Attributes:
        example: the post with its annotations; without words or labels where posts are withheld.
        observation: what was seen in the post.
        evidence: the kept hits.
        post_sha256: `cache.keys.post_sha256` of the post, which names it even where it is
            withheld; empty in a new record, the writer computes it.
    """

    example: Example
    observation: Observation
    evidence: tuple[Evidence, ...]
    post_sha256: str = ""
