"""Cells of like vectors: k-means whose result is the same on every machine, bit for bit.

Products are made in float32, by as many threads as there are; wherever rounding could decide, the
exact product does (`retrieval.kb.ranking.exact`). Sums of float16 numbers are exact in float64. So
neither the library, nor the threads, nor the processor have a say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.kb.arrays import forget
from retrieval.kb.ranking import Half, exact

_ROUNDS: Final = 8
_PER_CELL: Final = 40  # vectors that are looked at, per cell: as many as faiss asks for
_BLOCK_ROWS: Final = 4096
_FORGET_EVERY: Final = 64  # blocks


def rounding(dim: int) -> float:
    """Return how far a float32 dot product of unit vectors can be from the exact one.

    The bound of Higham 2002, section 3.1, for any order of summation; vectors rounded to float16
    are a little longer than 1.
    """
    return 1.01 * dim * 2.0**-24 / (1 - dim * 2.0**-24)


def make_cells(matrix: Half, num_cells: int, seed: int, told: Callable[[float], None]) -> Half:
    """Return the middles of cells into which ``matrix`` falls, unit vectors ``[cells, dim]``.

    Args:
        matrix: unit vectors, at least as many as cells.
        num_cells: how many cells.
        seed: of the vectors that are looked at, and of the first middles.
        told: is called with the share of the rounds that are done.
    """
    rng = np.random.default_rng(seed)
    seen = np.sort(rng.choice(len(matrix), min(len(matrix), _PER_CELL * num_cells), False))
    vectors = np.concatenate([matrix[part] for part in np.array_split(seen, 64)])
    forget(matrix)
    middles = vectors[np.sort(rng.choice(len(vectors), num_cells, replace=False))]
    for done in range(_ROUNDS):
        cells = assign(vectors, middles)
        order = np.argsort(cells, kind="stable")
        ends = np.cumsum(np.bincount(cells, minlength=num_cells))
        for cell, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            # A cell that lost its vectors stays where it is.
            if end > start:
                total = vectors[order[start:end]].astype(np.float64).sum(axis=0)
                middles[cell] = _unit(total, middles[cell])
        told((done + 1) / _ROUNDS)
    return middles


def assign(matrix: Half, middles: Half) -> NDArray[np.intp]:
    """Return the cell of each line of ``matrix``: the first one of those whose middle is nearest.

    Args:
        matrix: unit vectors.
        middles: of the cells.
    """
    cells = np.empty(len(matrix), np.intp)
    fast, precise = middles.astype(np.float32).T, exact(middles).T
    band = 2 * rounding(matrix.shape[1])
    for number, start in enumerate(range(0, len(matrix), _BLOCK_ROWS)):
        block = matrix[start : start + _BLOCK_ROWS]
        scores = block.astype(np.float32) @ fast
        every = np.arange(len(block))
        best = scores.argmax(axis=1)
        top = scores[every, best]
        scores[every, best] = -np.inf
        close = np.flatnonzero(scores.max(axis=1) >= top - band)
        if len(close):
            best[close] = (exact(block[close]) @ precise).argmax(axis=1)
        cells[start : start + _BLOCK_ROWS] = best
        if number % _FORGET_EVERY == 0:
            forget(matrix)
    return cells


def _unit(total: NDArray[np.float64], otherwise: Half) -> Half:
    # fsum rounds once, whatever the order.
    length = math.sqrt(math.fsum((total * total).tolist()))
    return (total / length).astype(np.float16) if length else otherwise
