"""Ranking documents by vectors, exactly, and fusing rankings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Half = NDArray[np.float16]
Rows = NDArray[np.intp]

_BLOCK_ROWS: Final = 20_000
_PAIRS_AT_ONCE: Final = 4096


class Ranked(NamedTuple):
    """A document's row and its score in one ranking."""

    row: int
    score: float


def exact(vectors: NDArray[np.float16] | NDArray[np.float32]) -> NDArray[np.float64]:
    """Return vectors of float16 precision so that their dot products are exact.

    Products of float16 numbers in (-1, 1] are multiples of 2**-48, so their sums are exact in
    float64: scores depend neither on the order of summation nor on the other queries.
    """
    return vectors.astype(np.float16).astype(np.float64)


def rank_vectors(
    queries: NDArray[np.float32],
    matrix: Half,
    rows: Rows,
    limit: int,
    chosen: Rows | None = None,
) -> list[list[Ranked]]:
    """Return for each query the ``limit`` best rows by cosine, best first, ties by row.

    Scores are exact; see `exact`.

    Args:
        queries: unit vectors in float16 precision, ``[n, dim]``.
        matrix: unit vectors, ``[m, dim]``.
        rows: document row of each line of ``matrix``, ascending.
        limit: at most this many per query.
        chosen: lines of ``matrix`` that are compared with, ascending; None means all.
    """
    if chosen is not None:
        rows = rows[chosen]
    if not len(queries) or not len(matrix) or not len(rows):
        return [[] for _ in queries]
    precise = exact(queries)
    scores = np.empty((len(precise), len(rows)))
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        vectors = matrix[block] if chosen is None else matrix[chosen[block]]
        scores[:, block] = precise @ vectors.astype(np.float64).T
    return [_best(line, rows, limit) for line in scores]


def exact_scores(
    queries: NDArray[np.float64], matrix: Half, of_query: Rows, lines: Rows
) -> NDArray[np.float64]:
    """Return the exact score of each pair of a query and a line of ``matrix``.

    Args:
        queries: as `exact` makes them, ``[n, dim]``.
        matrix: unit vectors.
        of_query: number of the query of each pair.
        lines: line of ``matrix`` of each pair.
    """
    scores = np.empty(len(lines))
    for start in range(0, len(lines), _PAIRS_AT_ONCE):
        pairs = slice(start, start + _PAIRS_AT_ONCE)
        vectors = matrix[lines[pairs]].astype(np.float64)
        scores[pairs] = np.einsum("pd,pd->p", vectors, queries[of_query[pairs]])
    return scores


def fuse(rankings: Sequence[Sequence[Ranked]], limit: int, constant: int) -> list[Ranked]:
    """Return the reciprocal-rank fusion (Cormack et al. 2009) of ``rankings``, ties by row.

    A single ranking keeps its own scores.
    """
    if len(rankings) == 1:
        return list(rankings[0][:limit])
    places: dict[int, list[int]] = {}
    for ranking in rankings:
        for place, found in enumerate(ranking):
            places.setdefault(found.row, []).append(place)
    # Sorted, so that equal sets of places give equal sums to the last bit.
    fused = [
        Ranked(row, sum(1 / (constant + 1 + place) for place in sorted(found)))
        for row, found in places.items()
    ]
    return sorted(fused, key=lambda found: (-found.score, found.row))[:limit]


def _best(scores: NDArray[np.float64], rows: Rows, limit: int) -> list[Ranked]:
    if len(scores) > limit:
        worst = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        candidates = np.flatnonzero(scores >= worst)
    else:
        candidates = np.arange(len(scores))
    order = candidates[np.argsort(-scores[candidates], kind="stable")][:limit]
    return [Ranked(int(rows[line]), float(scores[line])) for line in order]
