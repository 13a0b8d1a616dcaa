"""The posts that all stores of the benchmark hold: texts, embeddings and images, made up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgpack
import numpy as np
import xxhash

from cache import (
    STREAMS,
    Evidence,
    Example,
    Hit,
    Media,
    Observation,
    Post,
    StoredExample,
    Vector,
    content_key,
)
from cache.reader import Features, features_of

TEXTS: Final = 12
VECTORS: Final = 6
DIM: Final = 512
IMAGES: Final = 3
SHARD_SIZE: Final = 512
# Format, width and height that all images claim.
IMAGE_FORM: Final = ("JPEG", 320, 240)
_WORDS_PER_TEXT: Final = 50
_IMAGE_BYTES: Final = 15_000
# Texts, float16 vectors and images: what the "1.1 GB" counts for 20,000 posts.
POST_BYTES: Final = TEXTS * 6 * _WORDS_PER_TEXT + VECTORS * DIM * 2 + IMAGES * _IMAGE_BYTES


class Fields(NamedTuple):
    """What a trainer gets of a post beside texts, vectors and images; hits by column."""

    split: str
    tokens: Sequence[str]
    photo_key: str | None
    streams: Sequence[int]
    ranks: Sequence[int]
    region_indices: Sequence[int]
    media_keys: Sequence[str | None]
    relevances: Sequence[float | None]
    consistencies: Sequence[float | None]
    fused_scores: Sequence[float]


class WholePost(NamedTuple):
    """What every layout must give back of a post, as the values that a program works with.

    Attributes:
        fields: the rest; the values of `Fields` in their order.
        texts: 12.
        vectors: 6, float32.
        images: 3.
    """

    fields: Sequence[Any]
    texts: Sequence[str]
    vectors: Sequence[Vector] | Vector
    images: Sequence[bytes]

    @property
    def digest(self) -> int:
        """A checksum of every value, the same from whatever layout they were read."""
        digest = xxhash.xxh3_64(msgpack.packb([list(self.fields), list(self.texts)]))
        for vector in self.vectors:
            digest.update(np.asarray(vector, np.float16).tobytes())
        for image in self.images:
            digest.update(image)
        return digest.intdigest()


@dataclass(frozen=True, slots=True)
class PostMaker:
    """Makes post ``number`` of a seed, the same one every time."""

    seed: int
    posts: int

    def name(self, number: int) -> str:
        """Return the id of a post; ids sort like numbers."""
        return f"post-{number:07d}"

    def whole(self, number: int) -> WholePost:
        """Return the values of a post."""
        record, media = self.record(number)
        return from_features(features_of(record), [image.data for image in media])

    def record(self, number: int) -> tuple[StoredExample, list[Media]]:
        """Return a post as a builder hands it over: photo, 12 hits (two of images), 6 vectors.

        Texts are of one list of words, vectors have length 1, and nothing shrinks the images.
        """
        rng = np.random.default_rng((self.seed, number))
        vectors = rng.standard_normal((VECTORS, DIM), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        drawn = rng.integers(len(_WORDS), size=(TEXTS, _WORDS_PER_TEXT)).tolist()
        return _record(
            self.name(number),
            [" ".join([_WORDS[word] for word in row]) for row in drawn],
            vectors.astype(np.float16).astype(np.float32),
            [rng.bytes(_IMAGE_BYTES) for _ in range(IMAGES)],
        )

    def shards(self) -> Iterator[range]:
        """Yield the numbers of the posts of each shard."""
        for first in range(0, self.posts, SHARD_SIZE):
            yield range(first, min(self.posts, first + SHARD_SIZE))


def from_features(features: Features, images: Sequence[bytes]) -> WholePost:
    """Return the values of features, vectors in the order in which `PostMaker` put them there."""
    vectors = [features.photo_embedding, features.sentence_embedding]
    vectors += [item.embedding for item in features.evidence]
    streams, ranks, regions, texts, keys, *scores, _ = zip(*features.evidence, strict=True)
    example = features.example
    known = (example.split, example.post.tokens, features.photo_key)
    return WholePost(
        Fields(*known, streams, ranks, regions, keys, *scores),
        texts,
        [vector for vector in vectors if vector is not None],
        images,
    )


def image_keys(features: Features) -> Iterator[str]:
    """Yield the keys of a post's images: the photo, then those of hits."""
    if features.photo_key:
        yield features.photo_key
    for item in features.evidence:
        if item.media_key:
            yield item.media_key


def _record(
    name: str, texts: Sequence[str], vectors: Vector, images: Sequence[bytes]
) -> tuple[StoredExample, list[Media]]:
    media = [Media(content_key(data), data, *IMAGE_FORM) for data in images]
    post = Post(name, tuple(texts[0].split()[:16]), f"{name}.jpg")
    evidence = []
    for rank, text in enumerate(texts):
        level, modality = STREAMS[rank % len(STREAMS)]
        # The first two hits of images have one, those after them only a caption.
        image = media[1 + rank // 2] if modality == "image" and rank // 2 < IMAGES - 1 else None
        hit = Hit(
            level=level,
            modality=modality,
            region_index=-1,
            provider="bench",
            document_id=f"document-{rank}",
            rank=rank,
            provider_score=1.0,
            text=text,
            media_key=image.key if image else None,
            title=text[:50],
            url=f"https://example.org/{rank}",
            retrieved_at="2026-11-22T00:00:00Z",
            query_key=content_key(str(rank).encode()),
            relevance=0.5,
            consistency=0.5,
            embedding=vectors[2 + rank] if 2 + rank < VECTORS else None,
        )
        evidence.append(Evidence(hit, rank // len(STREAMS), 1 / (60 + rank)))
    seen = Observation(post, media[0].key, "ok", vectors[0], vectors[1])
    return StoredExample(Example(post, "train", ()), seen, tuple(evidence)), media


def _words(count: int) -> tuple[str, ...]:
    letters = np.random.default_rng(0).integers(97, 123, size=(count, 5)).tolist()
    return tuple("".join(map(chr, row)) for row in letters)


_WORDS: Final = _words(5000)
