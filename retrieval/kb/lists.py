"""Vectors in lists, one per cell, in a file that is mapped and scanned where it lies.

A list is its vectors, then the numbers of their lines, as faiss' `OnDiskInvertedLists` has them;
faiss scans the file as it is, and so does numpy where faiss is not installed. No part of faiss
reads a file that a stranger wrote: sizes and places are checked here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.kb.arrays import Pieces, forget, map_arrays, write_arrays
from retrieval.kb.ranking import Half

MIDDLES: Final = ".cells.safetensors"
VECTORS: Final = ".lists"
_ALIGNED: Final = 8  # vectors in a list are padded to so many, so that numbers lie on 8 bytes
_FORGET_EVERY: Final = 256  # lists
_NO_LINE: Final = -1

Cells = NDArray[np.int64]


class Scanned(NamedTuple):
    """The best lines of each query, ``[queries, most]``; -1 where there are fewer.

    Attributes:
        scores: products in float32, descending; minus infinity where there is no line.
        lines: their lines.
    """

    scores: NDArray[np.float32]
    lines: NDArray[np.int64]


class Scanner(Protocol):
    """Scans lists; what it gives is near enough to be made exact."""

    def nearest_cells(self, queries: NDArray[np.float32], most: int) -> Scanned:
        """Return the ``most`` nearest cells of each query, in place of lines."""
        ...

    def scan(
        self,
        queries: NDArray[np.float32],
        cells: Cells,
        most: int,
        allowed: NDArray[np.uint8] | None,
    ) -> Scanned:
        """Return the ``most`` best lines in the lists of ``cells``, ``[queries, probes]``.

        Args:
            queries: unit vectors.
            cells: whose lists are scanned for each query; all different.
            most: lines per query.
            allowed: bits of lines, lowest first, that may be found; None means all.
        """
        ...


class Lists:
    """Lists of vectors, mapped.

    Attributes:
        middles: of the cells, ``[cells, dim]``.
        sizes: of the lists.
        places: of the lists in the file, in bytes.
        path: of the file.
    """

    def __init__(self, stem: Path) -> None:
        """Map the lists that were written to ``stem``.

        Raises:
            OSError: a file cannot be read.
            ValueError: the files are not what `write_lists` writes.
        """
        arrays = map_arrays(stem.with_name(stem.name + MIDDLES))
        try:
            self.middles: Half = arrays["middles"]
            self.sizes: Cells = arrays["sizes"]
        except KeyError as error:
            raise ValueError(f"array {error} is missing") from error
        self.path = stem.with_name(stem.name + VECTORS)
        well_formed = self.middles.ndim == 2 and self.middles.dtype == np.float16
        if not well_formed or self.sizes.shape != (len(self.middles),) or not len(self.sizes):
            raise ValueError(f"{self.middles.shape} middles, {self.sizes.shape} sizes")
        num_bytes = self.path.stat().st_size
        if self.sizes.min() < 0 or self.sizes.max() > num_bytes:
            raise ValueError("a list has an impossible size")
        self.capacities = _capacity(self.sizes)
        taken = self.capacities * (self.line_bytes + 8)
        self.places = np.concatenate([[0], np.cumsum(taken)])
        if self.places[-1] != num_bytes:
            raise ValueError(f"{num_bytes} bytes of lists in place of {self.places[-1]}")

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return int(self.middles.shape[1])

    @property
    def line_bytes(self) -> int:
        """Of a vector."""
        return 2 * self.dim


class NumpyScanner:
    """A `Scanner` that needs nothing; slower than faiss by far."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._middles = lists.middles.astype(np.float32)
        self._data = np.memmap(lists.path, np.uint8, "r")

    def nearest_cells(self, queries: NDArray[np.float32], most: int) -> Scanned:
        """Return the ``most`` nearest cells of each query."""
        scores = queries @ self._middles.T
        numbers = np.arange(scores.shape[1])
        return _stacked([_top(line, numbers, most) for line in scores], most)

    def scan(
        self,
        queries: NDArray[np.float32],
        cells: Cells,
        most: int,
        allowed: NDArray[np.uint8] | None,
    ) -> Scanned:
        """Return the ``most`` best lines in the lists of ``cells``."""
        found = []
        for query, mine in zip(queries, cells, strict=True):
            parts = [self._list(int(cell)) for cell in mine if cell >= 0]
            lines = np.concatenate([lines for _, lines in parts])
            scores = np.concatenate([v.astype(np.float32) @ query for v, _ in parts])
            if allowed is not None:
                may = (allowed[lines >> 3] >> (lines & 7).astype(np.uint8)) & 1 == 1
                lines, scores = lines[may], scores[may]
            found.append(_top(scores, lines, most))
        return _stacked(found, most)

    def _list(self, cell: int) -> tuple[Half, NDArray[np.int64]]:
        lists = self._lists
        start, size = int(lists.places[cell]), int(lists.sizes[cell])
        numbers = start + int(lists.capacities[cell]) * lists.line_bytes
        vectors = self._data[start : start + size * lists.line_bytes].view("<f2")
        return vectors.reshape(size, lists.dim), self._data[numbers : numbers + 8 * size].view(
            "<i8"
        )


def write_lists(stem: Path, matrix: Half, middles: Half, cells: NDArray[np.intp]) -> None:
    """Write the lists of ``matrix``, in which a line belongs to one of ``cells``.

    Raises:
        OSError: they cannot be written.
    """
    sizes = np.bincount(cells, minlength=len(middles)).astype("<i8")
    order = np.argsort(cells, kind="stable")
    ends = np.cumsum(sizes)
    with stem.with_name(stem.name + VECTORS).open("wb") as file:
        for cell, (size, end) in enumerate(zip(sizes, ends, strict=True)):
            lines = order[end - size : end]
            padding = int(_capacity(size) - size)
            file.write(np.ascontiguousarray(matrix[lines]).data)
            file.write(bytes(padding * 2 * matrix.shape[1]))
            file.write(np.append(lines, [_NO_LINE] * padding).astype("<i8").data)
            if cell % _FORGET_EVERY == 0:
                forget(matrix)
    forget(matrix)
    write_arrays(
        stem.with_name(stem.name + MIDDLES),
        {
            "middles": Pieces("<f2", middles.shape, [middles]),
            "sizes": Pieces("<i8", sizes.shape, [sizes]),
        },
    )


def _capacity(sizes: Cells) -> Cells:
    padded: Cells = (sizes + _ALIGNED - 1) // _ALIGNED * _ALIGNED
    return padded


def _top(
    scores: NDArray[np.float32], numbers: NDArray[np.int64], most: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    order = np.argsort(-scores, kind="stable")[:most]
    return scores[order], numbers[order]


def _stacked(found: list[tuple[NDArray[np.float32], NDArray[np.int64]]], most: int) -> Scanned:
    scores = np.full((len(found), most), -np.inf, np.float32)
    lines = np.full((len(found), most), _NO_LINE, np.int64)
    for row, (its_scores, its_lines) in enumerate(found):
        scores[row, : len(its_scores)] = its_scores
        lines[row, : len(its_lines)] = its_lines
    return Scanned(scores, lines)
