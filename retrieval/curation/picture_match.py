"""Whether a picture is a part of another one, or of its mirror image.

Pictures are compared as small grey thumbnails. First each whole picture is laid over windows of
the other one, 8 x 8 cells each: that costs a matrix product and tells most pictures apart. What
passes is laid over exactly, window and scale moved in ever smaller steps, and then judged by its
fine detail alone: two portraits have the same light and dark, but not the same edges.

Measured on 2,000 news photos and 300 portraits by `pipelines.bench.images`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

# Pixels along a side of a thumbnail, and of what is compared: coarse, while moving, in detail.
_SIDE: Final = 48
_COARSE: Final = 8
_MOVING: Final = 24
_DETAIL: Final = 26
# Windows are measured in parts of a thumbnail's side: a tenth of a cell of _DETAIL.
_PARTS: Final = 240
# Sides of the windows that are tried first, and about how far they lie apart.
_WINDOW_SIDES: Final = (240, 228, 216, 192, 168)
_WINDOW_STEP: Final = 24
# The smallest window that a search may end with: two thirds of a side.
_SMALLEST: Final = 160
# How far windows are moved, and the correlation without which the search is given up after that:
# of parts that there are, one in a hundred falls below; of pairs that only look alike, few do not.
_SEARCH: Final = ((10, 0.75), (5, 0.86), (2, 0.9), (1, 0.91))
# Correlation of the coarse cells from which it is worth to look closely.
_MAYBE: Final = 0.75
# Correlation of the edges from which a picture is part of another. Of 300 portraits by one studio
# the likest pair reaches 0.75.
_SAME: Final = 0.77


class Looks(NamedTuple):
    """What is kept of a picture to find its parts.

    Attributes:
        thumbnail: ``48 x 48`` grey values, row by row, a byte each.
        windows: ``[windows, 64]``, a signed byte each: the windows in 8 x 8 cells, as directions
            of length 127, the whole picture first.
    """

    thumbnail: bytes
    windows: bytes


class _Window(NamedTuple):
    """A square part of a thumbnail, in `_PARTS` of its side."""

    side: int
    top: int
    left: int


class _Grid(NamedTuple):
    """Windows of one side, at every top and every left."""

    side: int
    tops: Sequence[int]
    lefts: Sequence[int]


_ALL: Final = _Grid(_PARTS, (0,), (0,))
# A line of cells of _DETAIL with the first and the last one repeated.
_WIDENED: Final = np.clip(np.arange(-1, _DETAIL + 1), 0, _DETAIL - 1)


def looks_of(grey: Image.Image) -> Looks:
    """Return the looks of a grey picture that is not flat."""
    small = grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    down, across = _coarse_cells()
    cells = down @ np.asarray(small, dtype=np.float64) @ across.transpose(0, 2, 1)
    # Rounded before it becomes a byte, so that no library's order of adding shows.
    windows = np.rint(np.round(127 * _unit(cells), 6)).astype(np.int8)
    return Looks(small.tobytes(), windows.tobytes())


def maybe_parts(ones: Sequence[Looks], others: Sequence[Looks]) -> NDArray[np.bool_]:
    """Return whether it is worth to ask `same_detail`, ``[ones, others]``: cheap, hardly ever no.

    Args:
        ones: pictures.
        others: pictures that each of them is compared with.
    """
    left, right = _all_windows(ones), _all_windows(others)
    best = np.maximum(_best_fit(left, right), _best_fit(right, left).T)
    found: NDArray[np.bool_] = best >= _MAYBE * 127**2
    return found


def same_detail(one: Looks, other: Looks) -> float:
    """Return how well the edges of one picture fit where it is a part of the other, or 0.

    Returns:
        A correlation in (0, 1], rounded to 3 decimals; 0 of pictures that are no part of each
        other. Which is which changes nothing.
    """
    # Sorted, so that the same way is tried first whichever picture comes first.
    first, second = sorted((one, other))
    return _detail_within(first, second) or _detail_within(second, first)


@lru_cache(maxsize=65536)
def _detail_within(part: Looks, whole: Looks) -> float:
    """Return how well the edges fit where ``part`` or its mirror image is in ``whole``, or 0."""
    windows = _windows(whole)
    own = _windows(part)[0].reshape(_COARSE, _COARSE)
    fits = [windows @ own[:, ::turn].ravel() for turn in (1, -1)]
    for turn, fit in sorted(zip((1, -1), fits, strict=True), key=lambda pair: -pair[1].max()):
        if fit.max() >= _MAYBE * 127**2:
            start = _window_grid()[int(fit.argmax())]
            detail = _detail(_pixels(whole), _pixels(part)[:, ::turn], start)
            if detail >= _SAME:
                return detail
    return 0.0


def _detail(whole: Floats, part: Floats, start: _Window) -> float:
    """Return the correlation of edges once ``part`` is laid over ``whole`` exactly.

    Returns:
        0 where it fits nowhere.
    """
    goal = _unit(_cut(part, _ALL, _MOVING))[0]
    best = start
    for step, enough in _SEARCH:
        around = _around(best, step)
        cuts = np.concatenate([_cut(whole, grid, _MOVING) for grid in around])
        fits = np.round(_unit(cuts) @ goal, 6)
        if fits.max() < enough:
            return 0.0
        best = _windows_of(around)[int(fits.argmax())]
    found = _Grid(best.side, (best.top,), (best.left,))
    cuts = np.concatenate([_cut(whole, found, _DETAIL), _cut(part, _ALL, _DETAIL)])
    edges, own = _unit(_edges(cuts))
    return round(float(edges @ own), 3)


def _around(window: _Window, step: int) -> list[_Grid]:
    """Return the windows that are a step larger, smaller or elsewhere, as far as they fit."""

    def moved(start: int, side: int) -> list[int]:
        # Growing happens around the middle.
        middle = start + (window.side - side) // 2
        return sorted({min(max(middle + move, 0), _PARTS - side) for move in (-step, 0, step)})

    sides = {min(max(window.side + grow, _SMALLEST), _PARTS) for grow in (-step, 0, step)}
    return [
        _Grid(side, moved(window.top, side), moved(window.left, side)) for side in sorted(sides)
    ]


def _windows_of(grids: Sequence[_Grid]) -> list[_Window]:
    return [
        _Window(grid.side, top, left) for grid in grids for top in grid.tops for left in grid.lefts
    ]


def _cut(pixels: Floats, grid: _Grid, cells: int) -> Floats:
    """Return the windows of a grid as ``[windows, cells, cells]`` means: two matrix products."""
    down = np.concatenate([_cells(top, grid.side, cells) for top in grid.tops])
    across = np.concatenate([_cells(left, grid.side, cells) for left in grid.lefts])
    cut = (down @ pixels @ across.T).reshape(len(grid.tops), cells, -1, cells)
    windows: Floats = cut.transpose(0, 2, 1, 3).reshape(-1, cells, cells)
    return windows


def _edges(cut: Floats) -> Floats:
    """Return each cell less the mean of the three by three around it."""
    padded = cut[:, _WIDENED[:, None], _WIDENED]
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    mean: Floats = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return cut - mean


def _unit(cut: Floats) -> Floats:
    """Return ``[windows, cells * cells]`` with mean 0 and length 1; 0 where a window is flat."""
    flat: Floats = cut.reshape(len(cut), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("wc,wc->w", flat, flat))[:, None]
    flat *= np.where(length > 1e-6, 1 / np.maximum(length, 1e-6), 0.0)
    return flat


def _best_fit(parts: NDArray[np.float32], wholes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how well each part or its mirror image fits its best window, ``[parts, wholes]``."""
    own = parts[:, 0].reshape(-1, _COARSE, _COARSE)
    turned = np.concatenate([own, own[:, :, ::-1]]).reshape(-1, _COARSE**2)
    # Sums of products of small integers are exact in any order.
    fits = (turned @ wholes.reshape(-1, _COARSE**2).T).reshape(2, len(parts), len(wholes), -1)
    best: NDArray[np.float32] = fits.max(axis=(0, 3))
    return best


def _all_windows(looks: Sequence[Looks]) -> NDArray[np.float32]:
    """Return the windows of each picture, ``[looks, windows, 64]``."""
    joined = np.frombuffer(b"".join(one.windows for one in looks), np.int8)
    return joined.astype(np.float32).reshape(len(looks), -1, _COARSE**2)


def _pixels(looks: Looks) -> Floats:
    return np.frombuffer(looks.thumbnail, np.uint8).reshape(_SIDE, _SIDE).astype(np.float64)


def _windows(looks: Looks) -> NDArray[np.float32]:
    return np.frombuffer(looks.windows, np.int8).reshape(-1, _COARSE**2).astype(np.float32)


@cache
def _window_grid() -> list[_Window]:
    """Return the windows that are tried first, the whole picture before all."""
    found = []
    for side in _WINDOW_SIDES:
        slack = _PARTS - side
        steps = slack // _WINDOW_STEP
        # A window with less room than a step lies in the middle.
        places = [slack * step // steps for step in range(steps + 1)] if steps else [slack // 2]
        found += [_Window(side, top, left) for top in places for left in places]
    return found


@cache
def _coarse_cells() -> tuple[Floats, Floats]:
    grid = _window_grid()
    return (
        np.stack([_cells(one.top, one.side, _COARSE) for one in grid]),
        np.stack([_cells(one.left, one.side, _COARSE) for one in grid]),
    )


@lru_cache(maxsize=8192)
def _cells(start: int, side: int, cells: int) -> Floats:
    """Return ``[cells, 48]``: what each pixel of a thumbnail's line weighs in each cell."""
    ends = (start + side * np.arange(cells + 1) / cells) * (_SIDE / _PARTS)
    pixel = np.arange(_SIDE)
    covered = np.minimum(ends[1:, None], pixel + 1) - np.maximum(ends[:-1, None], pixel)
    covered = np.clip(covered, 0, None)
    weights: Floats = covered / covered.sum(axis=1, keepdims=True)
    return weights
