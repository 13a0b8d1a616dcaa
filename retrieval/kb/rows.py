"""What is known of every row of a knowledge base, mapped: where it stands, what it has, checks.

A document's row is its place in the order of ids. Whatever is handed out is compared with its own
check, so that opening needs to read nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntFlag
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.records import Modality
from retrieval.kb.arrays import Pieces, map_arrays, write_arrays

Lines = NDArray[np.intp]
_BLOCK: Final = 2**16


class Flag(IntFlag):
    """What a document has."""

    TEXT = 1
    IMAGE = 2


ROW: Final = np.dtype(
    [
        ("length", "<u4"),  # of its line
        ("flags", "u1"),
        ("document", "<u8"),  # XXH3 of its line, of its vectors' bytes
        ("text", "<u8"),
        ("image", "<u8"),
        ("key", "u1", 32),  # of its image
    ]
)
"""A row while a base is built."""


def write_rows(path: Path, built: Path) -> tuple[int, int, int]:
    """Write the file that `Rows` maps from the rows of a build; return rows, texts and images."""
    rows = np.memmap(built, ROW, "r") if built.stat().st_size else np.zeros(0, ROW)
    num = len(rows)
    flags = np.array(rows["flags"])
    keys = np.array(rows["key"][(flags & Flag.IMAGE) != 0])
    # By key, so that an image is found by bisection; of equal images the first one.
    order = np.argsort(keys.view("S32").reshape(-1), kind="stable") if len(keys) else np.zeros(0)

    def ends() -> Iterator[NDArray[np.uint64]]:
        end = 0
        for start in range(0, num, _BLOCK):
            block = np.cumsum(rows["length"][start : start + _BLOCK], dtype=np.uint64) + end
            end = block[-1]
            yield block

    def column(name: str, flag: int) -> Iterator[NDArray[np.uint64]]:
        for start in range(0, num, _BLOCK):
            block = rows[start : start + _BLOCK]
            yield block[name][(block["flags"] & flag) == flag]

    texts, images = (int(np.count_nonzero(flags & flag)) for flag in (Flag.TEXT, Flag.IMAGE))
    write_arrays(
        path,
        {
            "end": Pieces("<u8", (num,), ends()),
            "document": Pieces("<u8", (num,), column("document", 0)),
            "text": Pieces("<u8", (texts,), column("text", Flag.TEXT)),
            "image": Pieces("<u8", (images,), column("image", Flag.IMAGE)),
            "flags": Pieces("u1", (num,), [flags]),
            "key": Pieces("u1", (images, 32), [keys]),
            "by_key": Pieces("<i8", (images,), [order.astype("<i8")]),
        },
    )
    return num, texts, images


class Rows:
    """The rows of a built knowledge base."""

    def __init__(self, path: Path) -> None:
        """Map ``path``.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what `write_rows` writes.
        """
        try:
            self._arrays = arrays = map_arrays(path)
            shapes = {name: array.shape for name, array in arrays.items()}
            num, texts, images = (shapes[name][0] for name in ("flags", "text", "image"))
            expected = {
                "end": (num,),
                "document": (num,),
                "text": (texts,),
                "image": (images,),
                "flags": (num,),
                "key": (images, 32),
                "by_key": (images,),
            }
        except (KeyError, IndexError) as error:
            raise ValueError(f"an array is missing or has no rows: {error}") from error
        if shapes != expected:
            raise ValueError(f"arrays of the shapes {shapes}")

    def __len__(self) -> int:
        return len(self._arrays["flags"])

    def place(self, row: int) -> tuple[int, int]:
        """Return at which byte the line of a document begins, and where it ends."""
        end = self._arrays["end"]
        return (int(end[row - 1]) if row else 0), int(end[row])

    def document_check(self, row: int) -> int:
        """Return the XXH3 of a document's line."""
        return int(self._arrays["document"][row])

    def vector_check(self, side: Modality, line: int) -> int:
        """Return the XXH3 of a vector's bytes."""
        return int(self._arrays[side][line])

    @cached_property
    def of(self) -> dict[Modality, Lines]:
        """Rows of the documents that have a text, and of those that have an image, ascending."""
        flags = self._arrays["flags"]
        return {
            "text": np.flatnonzero(flags & Flag.TEXT),
            "image": np.flatnonzero(flags & Flag.IMAGE),
        }

    def lines_with(self, side: Modality, *, other: bool) -> Lines:
        """Return the lines of one side's vectors whose documents have the other side, or not."""
        has = self._arrays["flags"][self.of[side]]
        return np.flatnonzero((has == Flag.TEXT | Flag.IMAGE) == other)

    def row_of_image(self, key: str) -> int | None:
        """Return the first row whose image is called ``key``."""
        wanted, keys, order = bytes.fromhex(key), self._arrays["key"], self._arrays["by_key"]
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if keys[order[middle]].tobytes() < wanted:
                low = middle + 1
            else:
                high = middle
        if low == len(order) or keys[order[low]].tobytes() != wanted:
            return None
        return int(self.of["image"][order[low]])

    def image_keys(self) -> Iterator[str]:
        """Yield the keys of all images, each once, in their order."""
        last = b""
        for line in self._arrays["by_key"]:
            key = self._arrays["key"][line].tobytes()
            if key != last:
                yield key.hex()
            last = key
