"""Which array of a feature set is a post's, and whether it can be: from what the store has of it.

Keys are of the content that an array was computed of, so equal photos share one; and they can be
computed where posts and images are withheld, for nothing but hashes and boxes is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cache.keys import fingerprint
from cache.records import FeatureSet, StoredExample
from cache.region_graph import REGION_RELATIONS

Array = NDArray[np.float16] | NDArray[np.int16] | NDArray[np.uint8]
# Views of a photo are pooled to a square of this many positions a side.
PYRAMID_SIDE: Final = 2
NO_HEAD: Final = -1
_EXPONENT: Final = np.uint16(0x7C00)


class PostSize(NamedTuple):
    """What decides the sizes of a post's arrays; ``num_tokens`` is None where it is withheld."""

    num_tokens: int | None
    num_regions: int


def size_of(stored: StoredExample) -> PostSize:
    """Return the size of a post."""
    tokens = stored.example.post.tokens
    return PostSize(len(tokens) or None, len(stored.observation.regions))


def feature_key(name: FeatureSet, stored: StoredExample) -> str | None:
    """Return the key of a post's array in a feature set; None where it has none.

    A post without a usable photo has an array in ``parse`` alone.
    """
    if name == "parse":
        return stored.post_sha256
    seen = stored.observation
    return photo_feature_key(name, seen.photo_key, [region.box for region in seen.regions])


def photo_feature_key(
    name: FeatureSet, photo_key: str | None, boxes: Sequence[Sequence[float]]
) -> str | None:
    """Return the key of the array that a set other than ``parse`` has of a photo.

    Args:
        name: of the set.
        photo_key: of the photo; None where there is none.
        boxes: of its regions, in order.
    """
    if photo_key is None or name == "grid":
        return photo_key
    return fingerprint(boxes if name == "region_graph" else [photo_key, boxes])


def misfit(name: FeatureSet, array: Array, size: PostSize) -> str | None:
    """Return why an array cannot be one of a post of that size; None if it can."""
    wanted: tuple[int, ...] = array.shape
    if name == "pyramid":
        wanted = (1 + size.num_regions, *array.shape[1:])
    elif name == "region_graph":
        wanted = (size.num_regions, size.num_regions)
    elif name == "parse" and size.num_tokens is not None:
        wanted = (size.num_tokens,)
    if array.shape != wanted:
        return f"it has the shape {list(array.shape)}, and its post asks for {list(wanted)}"
    return None


def nonsense(name: FeatureSet, array: Array) -> str | None:
    """Return what is wrong with the numbers of an array, whichever post it is of."""
    if name in ("grid", "pyramid"):
        # All bits of the exponent say so; several times as fast as to ask NumPy.
        exponents = array.view(np.uint16) & _EXPONENT
        finite = int(exponents.max(initial=0)) < _EXPONENT
        return None if finite else "it has a number that is not finite"
    low, high = (NO_HEAD, len(array) - 1) if name == "parse" else (0, _MOST_BITS)
    if array.size and not low <= int(array.min()) <= int(array.max()) <= high:
        what = "head" if name == "parse" else "mask"
        return f"it has a {what} outside of {low} to {high}"
    return None


_MOST_BITS: Final = (1 << len(REGION_RELATIONS)) - 1
