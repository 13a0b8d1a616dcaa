"""The nearest of very many vectors, by lists: fast, and the same whatever scans them.

What is found is, by definition, the best of all vectors in the nearest cells of the query, by
exact scores, ties by line. A scanner's float32 scores only say what cannot be among the best;
where they leave it open, exact scores decide, and where it fetched too little to know, it is asked
for more. So neither faiss nor its threads nor the processor have a say in what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.kb.arrays import forget
from retrieval.kb.clusters import assign, make_cells, rounding
from retrieval.kb.format import KbLists
from retrieval.kb.lists import Cells, Lists, NumpyScanner, Scanned, Scanner, write_lists
from retrieval.kb.ranking import Half, Ranked, Rows, exact, exact_scores, rank_vectors

EXACT_UP_TO: Final = 200_000
"""So many vectors are compared with each query; more are put into lists."""
VERSION: Final = 1
"""Of the way in which lists are made and searched; part of fingerprints of bases with lists."""

# Best lines that are made exact at least, and cells beyond those that are probed.
_RERANKED: Final = 100
_MORE_CELLS: Final = 8
_SEED: Final = 0
# Probes are measured with vectors of the base itself, each looking for its neighbours. Queries
# come from elsewhere, so that more is asked for than the 0.99 that is promised.
_SAMPLE: Final = 512
_NEIGHBOURS: Final = 10
_RECALL: Final = 0.995
_PROBES: Final = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)
_COMPARED_TOGETHER: Final = 20_000  # vectors that all queries are compared with at a time


class Subset(NamedTuple):
    """Lines that a search may find.

    Attributes:
        bits: one per line, lowest first.
        share: of all lines; with fewer lines in each list, more lists are searched.
    """

    bits: NDArray[np.uint8]
    share: float


def subset_of(lines: Rows, num_lines: int) -> Subset:
    """Return ``lines`` of ``num_lines`` as a subset."""
    may = np.zeros(num_lines, bool)
    may[lines] = True
    return Subset(np.packbits(may, bitorder="little"), len(lines) / num_lines)


def find_scanner(lists: Lists) -> Scanner:
    """Return faiss' scanner, or numpy's where faiss is not installed: slower, and equal."""
    try:
        from retrieval.kb.faiss_lists import FaissScanner
    except ModuleNotFoundError as error:
        if error.name != "faiss":
            raise
        return NumpyScanner(lists)
    return FaissScanner(lists)


class NearestLists:
    """Finds the nearest vectors of queries."""

    def __init__(self, lists: Lists, matrix: Half, probes: int, scanner: Scanner) -> None:
        """Search ``probes`` lists of ``matrix`` for each query."""
        self._lists = lists
        self._matrix = matrix
        self._probes = probes
        self._scanner = scanner
        # Twice: products of unit vectors are compared with each other.
        self._band = np.float32(2 * rounding(lists.dim))

    def search(
        self, queries: NDArray[np.float32], limit: int, subset: Subset | None = None
    ) -> tuple[Rows, NDArray[np.float64]]:
        """Return lines and exact scores, ``[queries, limit]``, best first, ties by line.

        Where fewer are found, lines are -1 and scores minus infinity.

        Args:
            queries: unit vectors in float16 precision.
            limit: at most this many per query.
            subset: lines that may be found; None means all.

        Raises:
            ValueError: the lists name lines that are not there.
        """
        share = subset.share if subset else 1.0
        probes = min(len(self._lists.sizes), max(1, round(self._probes / max(share, 1e-9))))
        precise = exact(queries)
        cells = self._cells(queries, precise, probes)
        lines = np.full((len(queries), limit), -1, np.intp)
        scores = np.full((len(queries), limit), -np.inf)
        left, most = np.arange(len(queries)), max(limit, _RERANKED)
        while len(left):
            most = min(most, len(self._matrix))
            found = self._scanner.scan(
                queries[left], cells[left], most, subset.bits if subset else None
            )
            enough, candidates = self._candidates(found, limit, most)
            done = left[enough]
            lines[done], scores[done] = self._ranked(
                precise[done], found.lines[enough], candidates[enough], limit
            )
            left, most = left[~enough], most * 8
        return lines, scores

    def _candidates(
        self, found: Scanned, limit: int, most: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return for which queries enough was fetched, and which lines could be among the best."""
        at_limit = found.scores[:, min(limit, most) - 1]
        candidates = (found.lines >= 0) & (found.scores >= (at_limit - self._band)[:, None])
        # If the last one that was fetched is a candidate, so may be the first that was not.
        enough = ~candidates[:, -1] | (most == len(self._matrix))
        return enough, candidates

    def _ranked(
        self,
        precise: NDArray[np.float64],
        lines: NDArray[np.int64],
        candidates: NDArray[np.bool_],
        limit: int,
    ) -> tuple[Rows, NDArray[np.float64]]:
        of_query, place = np.nonzero(candidates)
        chosen = lines[of_query, place]
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(self._matrix):
            raise ValueError(f"the lists name line {chosen.max()} of {len(self._matrix)}")
        scores = exact_scores(precise, self._matrix, of_query, chosen)
        order = np.lexsort((chosen, -scores, of_query))
        of_query, chosen, scores = of_query[order], chosen[order], scores[order]
        first = np.searchsorted(of_query, np.arange(len(precise)))
        place = np.arange(len(of_query)) - first[of_query]
        best = place < limit
        found = np.full((len(precise), limit), -1, np.intp)
        found_scores = np.full((len(precise), limit), -np.inf)
        found[of_query[best], place[best]] = chosen[best]
        found_scores[of_query[best], place[best]] = scores[best]
        return found, found_scores

    def _cells(
        self, queries: NDArray[np.float32], precise: NDArray[np.float64], probes: int
    ) -> Cells:
        """Return the nearest cells of each query by exact scores, ties by number."""
        num_cells = len(self._lists.sizes)
        if probes == num_cells:
            return np.tile(np.arange(num_cells, dtype=np.int64), (len(queries), 1))
        most = min(num_cells, probes + _MORE_CELLS)
        near = self._scanner.nearest_cells(queries, most)
        cells = near.lines[:, :probes].copy()
        border = near.scores[:, probes - 1]
        for query in np.flatnonzero(near.scores[:, probes] >= border - self._band):
            within = near.scores[query] >= border[query] - self._band
            if within[-1] and most < num_cells:
                open_to = np.arange(num_cells, dtype=np.int64)
            else:
                open_to = np.sort(near.lines[query][within])
            scores = self._lists.middles[open_to].astype(np.float64) @ precise[query]
            cells[query] = open_to[np.argsort(-scores, kind="stable")[:probes]]
        return cells


def build_lists(stem: Path, matrix: Half, told: Callable[[str, float], None]) -> KbLists:
    """Put ``matrix`` into lists that are written to ``stem``, and measure how many to search.

    Args:
        stem: of the files' names.
        matrix: unit vectors, mapped.
        told: is called with what is done, and its share that is done.

    Raises:
        OSError: the lists cannot be written.
    """
    num_cells = int(4 * len(matrix) ** 0.5)
    middles = make_cells(matrix, num_cells, _SEED, lambda share: told("cells", share))
    cells = assign(matrix, middles)
    told("lists", 0.0)
    write_lists(stem, matrix, middles, cells)
    told("lists", 1.0)
    return KbLists(version=VERSION, lists=num_cells, probes=_measured_probes(stem, matrix))


def _measured_probes(stem: Path, matrix: Half) -> int:
    """Return how many lists have to be searched for the recall that is asked for."""
    rng = np.random.default_rng(_SEED)
    sample = np.sort(rng.choice(len(matrix), min(_SAMPLE, len(matrix)), replace=False))
    queries = matrix[sample].astype(np.float32)
    truth = [set(found) for found in _neighbours(queries, sample, matrix)]
    lists = Lists(stem)
    scanner = find_scanner(lists)
    for probes in _PROBES:
        if probes >= len(lists.sizes):
            break
        search = NearestLists(lists, matrix, probes, scanner)
        lines, _ = search.search(queries, _NEIGHBOURS + 1)
        hits = sum(
            len(true & (set(found.tolist()) - {int(own)}))
            for true, found, own in zip(truth, lines, sample, strict=True)
        )
        if hits >= _RECALL * sum(map(len, truth)):
            return probes
    return len(lists.sizes)


def _neighbours(queries: NDArray[np.float32], sample: Rows, matrix: Half) -> Iterator[list[int]]:
    """Yield the nearest lines of each query but its own; a part of the matrix at a time."""
    best: list[list[Ranked]] = [[] for _ in queries]
    for start in range(0, len(matrix), _COMPARED_TOGETHER):
        part = matrix[start : start + _COMPARED_TOGETHER]
        rows = np.arange(start, start + len(part))
        found = rank_vectors(queries, part, rows, _NEIGHBOURS + 1)
        best = [
            sorted([*ours, *more], key=lambda one: (-one.score, one.row))[: _NEIGHBOURS + 1]
            for ours, more in zip(best, found, strict=True)
        ]
        forget(matrix)
    for ranked, own in zip(best, sample, strict=True):
        yield [one.row for one in ranked if one.row != own][:_NEIGHBOURS]
