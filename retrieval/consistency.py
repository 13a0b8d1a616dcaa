"""How well a hit fits the question and the post: cosines, rounded so that they travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.errors import InputError
from cache.records import Hit, Observation, Vector

# Cosines are rounded to what no change of machine or library disturbs, so that shards stay
# byte-identical and a hit exactly at a threshold stays on its side.
_DECIMALS: Final = 6


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of two vectors, rounded to 6 decimals; 0 where one of them is zero.

    Raises:
        InputError: the vectors are of different encoders.
    """
    _check_same_encoder(one, other)
    left, right = one.astype(np.float64), other.astype(np.float64)
    length = float(np.sqrt(np.dot(left, left) * np.dot(right, right)))
    if length == 0.0:
        return 0.0
    return round(float(np.dot(left, right)) / length, _DECIMALS)


def cosines(vectors: Sequence[Vector | None]) -> NDArray[np.float64]:
    """Return the `cosine` of each pair, ``[n, n]``; NaN where a vector is None.

    Raises:
        InputError: the vectors are of different encoders.
    """
    found = np.full((len(vectors), len(vectors)), np.nan)
    known = [(place, vector) for place, vector in enumerate(vectors) if vector is not None]
    if not known:
        return found
    for _, vector in known[1:]:
        _check_same_encoder(known[0][1], vector)
    rows = np.stack([vector for _, vector in known]).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths == 0.0, 1.0, lengths)
    places = [place for place, _ in known]
    found[np.ix_(places, places)] = np.round(rows @ rows.T, _DECIMALS)
    return found


def _check_same_encoder(one: Vector, other: Vector) -> None:
    if one.shape != other.shape:
        raise InputError(
            f"cannot compare an embedding of {one.shape[-1]} numbers with one of "
            f"{other.shape[-1]}: they are of different encoders. Build the knowledge base with "
            "the encoder that the recipe names under [observe]."
        )


def post_vector(observation: Observation) -> Vector | None:
    """Return the mean of the sentence's and the photo's embedding, of those there are."""
    known = [
        vector
        for vector in (observation.sentence_embedding, observation.photo_embedding)
        if vector is not None
    ]
    if not known:
        return None
    mean: Vector = np.mean(np.stack(known).astype(np.float64), axis=0).astype(np.float32)
    return mean if mean.any() else None


def score_consistency(hits: Sequence[Hit], observation: Observation) -> list[Hit]:
    """Return ``hits`` with ``consistency``: the cosine to the post as a whole, or None.

    Nothing is dropped for it: a model weighs evidence by it.
    """
    whole = post_vector(observation)
    return [
        replace(
            hit,
            consistency=None
            if whole is None or hit.embedding is None
            else cosine(hit.embedding, whole),
        )
        for hit in hits
    ]
