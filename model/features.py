"""What is known of an evidence item before any attention: similarities to the post, and rank.

Similarities are computed here, from embeddings, and not taken from the store's ``consistency``:
in training a post is sometimes shown another post's evidence, and a stored score would belong to
that other post. They use the same vectors, so for own evidence they carry the same information.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.records import Vector
from model.data import Item, PreparedPost

# Similarities come twice: as they are, and relative to the post's other items of that modality,
# because the best of several may be right even where all are low.
_SIMILARITIES: Final = ("sentence", "photo", "regions", "relevance", "shared words")
NUM_FEATURES: Final = 3 * len(_SIMILARITIES) + 1


def item_features(post: PreparedPost, items: Sequence[Item]) -> NDArray[np.float32]:
    """Return one row per item: similarities, whether known, relative to the others; then rank.

    Args:
        post: who is shown the items.
        items: of one modality.
    """
    if not items:
        return np.zeros((0, NUM_FEATURES), np.float32)
    raw = np.array([_similarities(post, item) for item in items], np.float32)
    known = ~np.isnan(raw)
    counts = known.sum(axis=0)
    mean = np.where(counts > 0, np.nan_to_num(raw).sum(axis=0) / np.maximum(counts, 1), 0)
    values = np.nan_to_num(raw)
    relative = np.where(known, values - mean, 0)
    rank = np.array([[1 / (1 + item.rank)] for item in items])
    return np.concatenate([values, known, relative, rank], axis=1).astype(np.float32)


def _similarities(post: PreparedPost, item: Item) -> list[float]:
    regions = [_cosine(region, item.embedding) for region in post.regions]
    return [
        _cosine(post.sentence, item.embedding),
        _cosine(post.photo, item.embedding),
        max(regions) if regions else np.nan,
        np.nan if item.relevance is None else item.relevance,
        _shared_words(post, item),
    ]


def _cosine(left: Vector | None, right: Vector | None) -> float:
    """Return the product of two unit vectors; NaN where one is absent or of another encoder."""
    if left is None or right is None or left.shape != right.shape:
        return np.nan
    return float(left @ right)


def _shared_words(post: PreparedPost, item: Item) -> float:
    """Return the share of the post's words that the passage names; NaN for images."""
    if item.passage is None:
        return np.nan
    words = {key for window in post.windows for key in window.keys if key}
    return len(words.intersection(item.passage.keys)) / max(len(words), 1)
