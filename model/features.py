"""What is known of an evidence item before any attention: similarities to the post, and rank.

Similarities are computed here, from embeddings: in training a post is sometimes shown another
post's evidence, to learn from it what fits. The store's own ``consistency`` belongs to the post
that the evidence was found for, so it is a prior of own evidence only, beside what is learned.
"""

from __future__ import annotations

from collections import Counter
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
# The store's score is a share of some hundred posts: less than this it cannot tell.
_LEAST_PRIOR: Final = 0.01


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
    values = np.nan_to_num(raw)
    # Parts of one long text are one item among the others.
    parts = Counter(item.index for item in items)
    weight = np.array([[1 / parts[item.index]] for item in items], np.float32)
    counts = (known * weight).sum(axis=0, dtype=np.float64)
    mean = np.where(counts > 0, (values * weight).sum(axis=0) / np.maximum(counts, 1), 0)
    relative = np.where(known, values - mean, 0)
    rank = np.array([[1 / (1 + item.rank)] for item in items])
    return np.concatenate([values, known, relative, rank], axis=1).astype(np.float32)


def log_priors(items: Sequence[Item], own: bool) -> NDArray[np.float32]:
    """Return ``log(consistency)`` of each item, 0 where the store knows none.

    Args:
        items: of one modality.
        own: whether they were found for the post that is shown them; no score is known else.
    """
    scores = [item.consistency if own and item.consistency is not None else 1.0 for item in items]
    return np.log(np.maximum(np.array(scores, np.float32), _LEAST_PRIOR))


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
