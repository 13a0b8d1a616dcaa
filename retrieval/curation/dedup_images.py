"""The same picture never twice in one stream: equal bytes, equal looks, equal meaning.

Looks are compared by two 64-bit perceptual hashes that must both agree. Each alone survives
recompression, scaling and brightness, but each alone takes strangers for one person: of 300
official portraits, 355 pairs are within 10 bits by either hash, 16 by both, none by both within 8.
Crops and mirror images have other hashes: `retrieval.curation.picture_match` finds them.
Embeddings find what else is the same picture to the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.records import Dropped, Hit, Vector
from retrieval.curation.dedup_text import source
from retrieval.curation.picture_match import Looks, looks_of, maybe_parts, same_detail
from retrieval.curation.rank import best_first, by_stream
from retrieval.curation.vectors import cosines

SAME_IMAGE: Final = "same_image"
NEAR_IMAGE: Final = "near_image"

# Below this spread of grey values (of 255) a picture is flat, and its hash only noise.
_FLAT: Final = 2.0
# Larger pictures are first averaged down to about this: resizing from full size is the slow part.
_ENOUGH_PIXELS: Final = 128


class ImageHash(NamedTuple):
    """What is kept of an image's looks.

    Attributes:
        phash: 64 bits of its low frequencies; compared by Hamming distance.
        dhash: 64 bits of its gradients; compared by Hamming distance.
        looks: to find its parts; None where nobody looks for any.
    """

    phash: int
    dhash: int
    looks: Looks | None = None


HashOf = Callable[[str], ImageHash | None]
# What is known of a picture: its hash and its embedding, each None where it is not.
Seen = tuple[ImageHash | None, Vector | None]


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
    phash, dhash = _bits(low > np.median(low)), _bits(steps[:, 1:] > steps[:, :-1])
    return ImageHash(phash, dhash, looks_of(grey))


def hash_distance(one: ImageHash, other: ImageHash) -> int:
    """Return the larger of the two hashes' Hamming distances, in bits of 64."""
    return max(
        (one.phash ^ other.phash).bit_count(),
        (one.dhash ^ other.dhash).bit_count(),
    )


def near_images(one: Seen, others: Sequence[Seen], max_bits: int, min_cosine: float) -> list[str]:
    """Return for each of ``others`` why it is the same picture as ``one``, or an empty text.

    Args:
        one: hash and embedding of a picture, each None where it is not known.
        others: the same of other pictures.
        max_bits: hashes up to this distance are of the same picture.
        min_cosine: embeddings from this cosine on are of the same picture.
    """
    if not others:
        return []
    hashes = [other[0] for other in others]
    parts = _may_be_parts([one[0]], hashes)[0]
    alike = cosines([one[1], *(other[1] for other in others)])[0, 1:]
    return [
        _why_near(one[0], hashed, max_bits, bool(part)) or _why_alike(float(cosine), min_cosine)
        for hashed, part, cosine in zip(hashes, parts, alike, strict=True)
    ]


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
        parts = _may_be_parts(hashes, hashes)
        places: list[int] = []
        for place, hit in enumerate(ordered):
            for better in places:
                why = _why_near(
                    hashes[place], hashes[better], max_bits, bool(parts[place, better])
                ) or _why_alike(float(alike[place, better]), min_cosine)
                if why:
                    reason = f"near-duplicate image of {source(ordered[better])}: {why}"
                    dropped.append(Dropped(hit, NEAR_IMAGE, reason))
                    break
            else:
                places.append(place)
        kept += [ordered[place] for place in places]
    return kept, dropped


def _why_near(
    one: ImageHash | None, other: ImageHash | None, max_bits: int, may_be_parts: bool
) -> str:
    if one is None or other is None:
        return ""
    bits = hash_distance(one, other)
    if bits <= max_bits:
        return f"{bits} bits apart"
    if not may_be_parts or one.looks is None or other.looks is None:
        return ""
    detail = same_detail(one.looks, other.looks)
    return f"cut or mirrored: detail {detail:.3f}" if detail else ""


def _why_alike(cosine: float, min_cosine: float) -> str:
    return f"cosine {cosine:.3f}" if cosine >= min_cosine else ""


def _may_be_parts(
    ones: Sequence[ImageHash | None], others: Sequence[ImageHash | None]
) -> NDArray[np.bool_]:
    """Return which images may be parts of each other, ``[ones, others]``; False of unknown."""
    found = np.zeros((len(ones), len(others)), dtype=np.bool_)
    left, right = _with_looks(ones), _with_looks(others)
    if left and right:
        found[np.ix_([*left], [*right])] = maybe_parts([*left.values()], [*right.values()])
    return found


def _with_looks(hashes: Sequence[ImageHash | None]) -> dict[int, Looks]:
    """Return the looks of those images that have any, by place."""
    return {place: one.looks for place, one in enumerate(hashes) if one and one.looks}


@cache
def _dct_basis() -> NDArray[np.float64]:
    """Return the 8 lowest rows of the 32-point DCT-II."""
    frequency = np.arange(8)[:, None]
    place = np.arange(32)[None, :]
    return np.asarray(np.cos(np.pi * frequency * (2 * place + 1) / 64), dtype=np.float64)


def _bits(signs: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(signs.ravel()).tobytes(), "big")
