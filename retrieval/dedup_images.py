"""The same picture never twice in one stream: equal bytes, equal looks, equal meaning.

Looks are compared by two 64-bit perceptual hashes that must both agree. Each alone survives
recompression, scaling and brightness, but each alone takes strangers for one person: of 300
official portraits, 355 pairs are within 10 bits by either hash, 16 by both, none by both within 8.
Crops, mirror images and text bars are left to the embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.records import Dropped, Hit, Vector
from retrieval.consistency import cosine, cosines
from retrieval.dedup_text import source
from retrieval.rank import best_first, by_stream

SAME_IMAGE: Final = "same_image"
NEAR_IMAGE: Final = "near_image"

# Below this spread of grey values (of 255) a picture is flat, and its hash only noise.
_FLAT: Final = 2.0
# Larger pictures are first averaged down to about this: resizing from full size is the slow part.
_ENOUGH_PIXELS: Final = 128


class ImageHash(NamedTuple):
    """Two 64-bit hashes of an image's looks; compared by Hamming distance."""

    phash: int
    dhash: int


HashOf = Callable[[str], ImageHash | None]


def image_hash(pixels: Image.Image) -> ImageHash | None:
    """Return the hashes of a picture, or None of a flat one (all its hashes are alike)."""
    factor = max(1, min(pixels.size) // _ENOUGH_PIXELS)
    grey = pixels.reduce(factor).convert("L")
    small = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    if float(small.std()) < _FLAT:
        return None
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.LANCZOS), dtype=np.int16)
    low = _dct_basis() @ small @ _dct_basis().T
    # Frequencies that a symmetric picture has not at all are rounding noise: make them zero.
    low = np.round(low, 6)
    return ImageHash(_bits(low > np.median(low)), _bits(steps[:, 1:] > steps[:, :-1]))


def hash_distance(one: ImageHash, other: ImageHash) -> int:
    """Return the larger of the two hashes' Hamming distances, in bits of 64."""
    return max(
        (one.phash ^ other.phash).bit_count(),
        (one.dhash ^ other.dhash).bit_count(),
    )


def near_images(
    one: tuple[ImageHash | None, Vector | None],
    other: tuple[ImageHash | None, Vector | None],
    max_bits: int,
    min_cosine: float,
) -> str:
    """Return why two pictures count as one, or an empty text.

    Args:
        one: hash and embedding of a picture, each None where it is not known.
        other: the same of the other picture.
        max_bits: hashes up to this distance are of the same picture.
        min_cosine: embeddings from this cosine on are of the same picture.
    """
    why = _why_near(one[0], other[0], max_bits)
    if why or one[1] is None or other[1] is None:
        return why
    similarity = cosine(one[1], other[1])
    return f"cosine {similarity:.3f}" if similarity >= min_cosine else ""


def drop_same_images(
    hits: Sequence[Hit], scores: Mapping[Hit, float]
) -> tuple[list[Hit], list[Dropped]]:
    """Keep the best of the image hits of a stream that have the same bytes."""
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for (_, modality), stream_hits in by_stream(hits).items():
        if modality != "image":
            kept += stream_hits
            continue
        first: dict[str | None, Hit] = {}
        for hit in best_first(stream_hits, scores):
            best = first.setdefault(hit.media_key, hit)
            if best is hit:
                kept.append(hit)
            else:
                dropped.append(Dropped(hit, SAME_IMAGE, f"same bytes as {source(best)}"))
    return kept, dropped


def drop_near_images(
    hits: Sequence[Hit],
    scores: Mapping[Hit, float],
    hash_of: HashOf,
    max_bits: int,
    min_cosine: float,
) -> tuple[list[Hit], list[Dropped]]:
    """Keep the best of the image hits of a stream that look or mean the same.

    Args:
        hits: of one post.
        scores: which of two near-duplicates is the better one.
        hash_of: hash of the image with a media key.
        max_bits: see `near_images`.
        min_cosine: see `near_images`.
    """
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for (_, modality), stream_hits in by_stream(hits).items():
        if modality != "image":
            kept += stream_hits
            continue
        ordered = best_first(stream_hits, scores)
        hashes = [hash_of(hit.media_key or "") for hit in ordered]
        alike = cosines([hit.embedding for hit in ordered])
        places: list[int] = []
        for place, hit in enumerate(ordered):
            for better in places:
                why = _why_near(hashes[place], hashes[better], max_bits)
                if not why and alike[place, better] >= min_cosine:
                    why = f"cosine {alike[place, better]:.3f}"
                if why:
                    reason = f"near-duplicate image of {source(ordered[better])}: {why}"
                    dropped.append(Dropped(hit, NEAR_IMAGE, reason))
                    break
            else:
                places.append(place)
        kept += [ordered[place] for place in places]
    return kept, dropped


def _why_near(one: ImageHash | None, other: ImageHash | None, max_bits: int) -> str:
    if one is None or other is None:
        return ""
    bits = hash_distance(one, other)
    return f"{bits} bits apart" if bits <= max_bits else ""


@cache
def _dct_basis() -> NDArray[np.float64]:
    """Return the 8 lowest rows of the 32-point DCT-II."""
    frequency = np.arange(8)[:, None]
    place = np.arange(32)[None, :]
    return np.asarray(np.cos(np.pi * frequency * (2 * place + 1) / 64), dtype=np.float64)


def _bits(signs: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(signs.ravel()).tobytes(), "big")
