"""Arrays in a safetensors file: written in pieces, and mapped into memory without a copy."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_DTYPES: Final = {"F16": "<f2", "F32": "<f4", "U8": "u1", "U64": "<u8", "I64": "<i8"}
_NAMES: Final = {np.dtype(code): name for name, code in _DTYPES.items()}
# A handful of arrays needs a few hundred bytes; a stranger's header is not read at any length.
_LONGEST_HEADER: Final = 2**16


class Pieces(NamedTuple):
    """An array that is written in pieces.

    Attributes:
        dtype: of its numbers.
        shape: of the whole.
        pieces: of bytes or arrays, which together make the whole in C order.
    """

    dtype: str
    shape: tuple[int, ...]
    pieces: Iterable[bytes | Array]


def write_arrays(path: Path, arrays: Mapping[str, Pieces]) -> None:
    """Write what ``safetensors.numpy.save_file`` would, byte for byte, in constant memory.

    Raises:
        ValueError: the pieces of an array are not as many bytes as its shape says.
    """
    # As safetensors sorts: the widest numbers first, so that all are aligned; then by name.
    order = sorted(arrays, key=lambda name: (-np.dtype(arrays[name].dtype).itemsize, name))
    header: dict[str, object] = {}
    end = 0
    for name in order:
        array = arrays[name]
        start, end = end, end + _num_bytes(array.dtype, array.shape)
        header[name] = {
            "dtype": _NAMES[np.dtype(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            before = file.tell()
            for piece in arrays[name].pieces:
                file.write(piece if isinstance(piece, bytes) else np.ascontiguousarray(piece).data)
            expected = _num_bytes(arrays[name].dtype, arrays[name].shape)
            if file.tell() - before != expected:
                raise ValueError(f"array {name!r} is not {expected} bytes long")
        file.flush()
        os.fsync(file.fileno())


def map_arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of a safetensors file, read-only, read from the disk when they are used.

    Processes that map the same file share its memory.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no safetensors file, or its arrays do not lie in it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("the header is no JSON object")
    header.pop("__metadata__", None)
    start = 8 + length
    data = np.memmap(path, np.uint8, "r") if size > start else np.zeros(start, np.uint8)
    return {name: _view(data[start:], entry) for name, entry in header.items()}


def forget(array: Array) -> None:
    """Give back the memory of a mapped array; what is used of it again is read again."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "_mmap", None) or getattr(base, "base", None)
    if base is not None and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def _view(data: Array, entry: object) -> Array:
    try:
        assert isinstance(entry, dict)
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        shape = tuple(int(side) for side in entry["shape"])
        start, end = (int(offset) for offset in entry["data_offsets"])
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no array: {str(entry)[:99]}") from error
    expected = dtype.itemsize
    for side in shape:
        expected *= side
    if min(shape, default=0) < 0 or not 0 <= start <= end <= len(data):
        raise ValueError(f"an array of shape {shape} at {start} to {end}")
    if end - start != expected:
        raise ValueError(f"an array of shape {shape} in {end - start} bytes")
    return data[start:end].view(dtype).reshape(shape)


def _num_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
