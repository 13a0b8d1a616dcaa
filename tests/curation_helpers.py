"""Hits, vectors and pictures for the curation tests."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from cache.keys import content_key
from cache.records import Hit, Level, Media, Modality, Observation, Post, Vector
from retrieval.curation.dedup_images import ImageHash


def make_hit(
    document_id: str,
    text: str = "",
    *,
    level: Level = "sentence",
    modality: Modality = "text",
    rank: int = 0,
    region_index: int = -1,
    provider: str = "kb",
    media_key: str | None = None,
    query_key: str = "q",
    title: str = "",
    relevance: float | None = None,
    embedding: Vector | None = None,
) -> Hit:
    """Return a hit; everything that a test does not speak of has a plain value."""
    return Hit(
        level=level,
        modality=modality,
        region_index=region_index,
        provider=provider,
        document_id=document_id,
        rank=rank,
        provider_score=1.0 / (rank + 1),
        text=text,
        media_key=media_key,
        title=title,
        query_key=query_key,
        relevance=relevance,
        embedding=embedding,
    )


def observe(sentence: str = "a post of its own", **rest: object) -> Observation:
    """Return an observation of a post with that sentence."""
    return Observation(Post("p", tuple(sentence.split())), **rest)  # type: ignore[arg-type]


def flat_scores(hits: list[Hit]) -> dict[Hit, float]:
    """Return a score for each hit that falls with its rank."""
    return {hit: 1.0 / (60 + hit.rank) for hit in hits}


def unit(*numbers: float) -> Vector:
    """Return the unit vector that points there."""
    vector = np.array(numbers, dtype=np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def no_hash(key: str) -> ImageHash | None:
    """Stand in for hashes where a test has no pictures."""
    return None


def picture(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Return a smooth colourful picture: noise at the scale of large objects."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str = "PNG", quality: int = 90) -> Media:
    """Return the picture's bytes as the contract's record."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": quality} if kind == "JPEG" else {}))
    data = buffer.getvalue()
    return Media(content_key(data), data, kind, image.width, image.height)
