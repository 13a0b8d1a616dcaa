"""Cosines of embeddings, rounded so that they travel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.errors import InputError
from cache.records import Vector

# Cosines are rounded to what no change of machine or library disturbs, so that shards stay
# byte-identical and a hit exactly at a threshold stays on its side.
_DECIMALS: Final = 6

Rows = NDArray[np.float64]


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of two vectors, rounded to 6 decimals; 0 where one of them is zero.

    Raises:
        InputError: the vectors are of different encoders.
    """
    _check_same_encoder(one.size, other.size)
    left, right = one.astype(np.float64), other.astype(np.float64)
    length = float(np.sqrt(np.dot(left, left) * np.dot(right, right)))
    if length == 0.0:
        return 0.0
    return round(float(np.dot(left, right)) / length, _DECIMALS)


def cosines(vectors: Sequence[Vector | None]) -> Rows:
    """Return the `cosine` of each pair, ``[n, n]``; NaN where a vector is None.

    Raises:
        InputError: the vectors are of different encoders.
    """
    found = np.full((len(vectors), len(vectors)), np.nan)
    known = [place for place, vector in enumerate(vectors) if vector is not None]
    if not known:
        return found
    rows = unit_rows([vectors[place] for place in known], dim_of(vectors))
    found[np.ix_(known, known)] = np.round(rows @ rows.T, _DECIMALS)
    return found


def dim_of(vectors: Sequence[Vector | None]) -> int:
    """Return how many numbers the vectors have; 0 where there is none.

    Raises:
        InputError: the vectors are of different encoders.
    """
    dims = [vector.size for vector in vectors if vector is not None]
    for dim in dims[1:]:
        _check_same_encoder(dims[0], dim)
    return dims[0] if dims else 0


def unit_rows(vectors: Sequence[Vector | Rows | None], dim: int) -> Rows:
    """Return the vectors scaled to length 1, ``[n, dim]``; a zero stays zero, None becomes NaN.

    Raises:
        InputError: a vector has another number of numbers than ``dim``.
    """
    rows = np.full((len(vectors), dim), np.nan)
    known = [vector for vector in vectors if vector is not None]
    for vector in known:
        _check_same_encoder(dim, vector.size)
    if known:
        given = [place for place, vector in enumerate(vectors) if vector is not None]
        rows[given] = np.concatenate(known).reshape(-1, dim)
    return scaled(rows)


def scaled(rows: Rows) -> Rows:
    """Return ``rows`` scaled to length 1 each; a zero stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Rows = rows / np.where(lengths == 0.0, 1.0, lengths)
    return found


def _check_same_encoder(one: int, other: int) -> None:
    if one != other:
        raise InputError(
            f"cannot compare an embedding of {one} numbers with one of {other}: they are of "
            "different encoders. Build the knowledge base with the encoder that the recipe names "
            "under [observe]."
        )
