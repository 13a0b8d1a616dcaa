"""Lists and arrays of different lengths to tensors, padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.batch import Stacked


def padded(rows: Sequence[Sequence[int]], fill: int = 0) -> Tensor:
    """Return [rows, longest] with ``fill`` behind the shorter ones."""
    width = max((len(row) for row in rows), default=0)
    out = np.full((len(rows), width), fill, np.int64)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return torch.from_numpy(out)


def mask(lengths: Sequence[int], width: int | None = None) -> Tensor:
    """Return [lengths, width] True in the first places of each; the width is the longest."""
    size = max(lengths, default=0) if width is None else width
    return torch.arange(size)[None] < torch.tensor(lengths)[:, None]


def rows_of(arrays: Sequence[np.ndarray], owners: Sequence[int], dim: int) -> Tensor:
    """Return [windows, items, dim] with each window holding the array of its post."""
    width = max((len(array) for array in arrays), default=0)
    out = np.zeros((len(owners), width, dim), np.float32)
    for index, owner in enumerate(owners):
        out[index, : len(arrays[owner])] = arrays[owner]
    return torch.from_numpy(out)


def stacked(arrays: Sequence[np.ndarray | None]) -> Stacked:
    """Return arrays of the same number of axes, padded to the largest; None is an empty one."""
    known = [array for array in arrays if array is not None]
    shape = np.max([array.shape for array in known], axis=0) if known else np.zeros(1, np.int64)
    whole = bool(known) and np.issubdtype(known[0].dtype, np.integer)
    out = np.zeros((len(arrays), *shape), np.int64 if whole else np.float32)
    for index, array in enumerate(arrays):
        if array is not None:
            out[index][tuple(map(slice, array.shape))] = array
    lengths = [0 if array is None else len(array) for array in arrays]
    return Stacked(torch.from_numpy(out), mask(lengths, int(shape[0])))
