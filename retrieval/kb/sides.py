"""The two sides of a knowledge base: vectors of passages and of images, mapped and searched."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from cache.records import Modality
from retrieval.kb.arrays import map_arrays
from retrieval.kb.format import NEAREST, VECTORS, KbManifest
from retrieval.kb.lists import Lists
from retrieval.kb.nearest import (
    EXACT_UP_TO,
    VERSION,
    NearestLists,
    Subset,
    find_scanner,
    subset_of,
)
from retrieval.kb.ranking import Half, Ranked, rank_vectors
from retrieval.kb.rows import Lines, Rows
from retrieval.kb.search import Having

_SIDES: Final[tuple[Modality, ...]] = ("text", "image")


class Sides:
    """Vectors by modality, each with the rows of their documents."""

    def __init__(self, path: Path, manifest: KbManifest, rows: Rows) -> None:
        """Map the vectors of the knowledge base at ``path``.

        Raises:
            OSError: they cannot be read.
            ValueError: they are not what the manifest says.
        """
        self._rows = rows
        arrays = map_arrays(path / VECTORS)
        self._matrices: dict[Modality, Half] = {side: arrays[side] for side in _SIDES}
        for side, matrix in self._matrices.items():
            expected = (len(rows.of[side]) if manifest.encoder else 0, manifest.dimension)
            # Without vectors, files say nothing of their dimension.
            shape = matrix.shape if matrix.size else (len(matrix), manifest.dimension)
            if matrix.dtype != np.float16 or shape != expected:
                raise ValueError(f"{VECTORS} holds {matrix.shape} for {side}, not {expected}")
        self._nearest = {side: self._lists(path, manifest, side) for side in manifest.lists}
        self._chosen: dict[tuple[Modality, Having], Lines] = {}
        self._subsets: dict[tuple[Modality, Having], Subset] = {}

    def rank(
        self, queries: NDArray[np.float32], side: Modality, having: Having, limit: int
    ) -> list[list[Ranked]]:
        """Return for each query the best rows among the documents that have what is wanted.

        Raises:
            ValueError: the lists are damaged.
        """
        matrix, rows = self._matrices[side], self._rows.of[side]
        chosen = None if having == "any" else self._lines(side, having)
        num = len(rows) if chosen is None else len(chosen)
        if side not in self._nearest or num <= EXACT_UP_TO:
            return rank_vectors(queries, matrix, rows, limit, chosen)
        subset = None if chosen is None or num == len(rows) else self._subset(side, having)
        lines, scores = self._nearest[side].search(queries, limit, subset)
        return [
            [
                Ranked(row, score)
                for row, score in zip(rows[its_lines].tolist(), its_scores.tolist(), strict=True)
                if score > -np.inf
            ]
            for its_lines, its_scores in zip(lines, scores, strict=True)
        ]

    def vector(self, side: Modality, row: int) -> Half:
        """Return the vector of a document that has that side.

        Raises:
            ValueError: it is not the one that was written.
        """
        line = int(np.searchsorted(self._rows.of[side], row))
        vector: Half = np.array(self._matrices[side][line])
        if xxhash.xxh3_64_intdigest(vector.tobytes()) != self._rows.vector_check(side, line):
            raise ValueError(f"the {side} vector of document {row} in {VECTORS} has changed")
        return vector

    def _lists(self, path: Path, manifest: KbManifest, side: Modality) -> NearestLists:
        how, matrix = manifest.lists[side], self._matrices[side]
        lists = Lists(path / NEAREST / side)
        if how.version != VERSION or len(lists.sizes) != how.lists:
            raise ValueError(f"lists of version {how.version}, not {VERSION}, or another number")
        if lists.dim != manifest.dimension or int(lists.sizes.sum()) != len(matrix):
            raise ValueError(f"lists of {int(lists.sizes.sum())} vectors, not {len(matrix)}")
        return NearestLists(lists, matrix, how.probes, find_scanner(lists))

    def _lines(self, side: Modality, having: Having) -> Lines:
        if (side, having) not in self._chosen:
            lines = self._rows.lines_with(side, other=having == "both")
            self._chosen[side, having] = lines
        return self._chosen[side, having]

    def _subset(self, side: Modality, having: Having) -> Subset:
        if (side, having) not in self._subsets:
            lines = self._lines(side, having)
            self._subsets[side, having] = subset_of(lines, len(self._matrices[side]))
        return self._subsets[side, having]
