"""A file of many values, written once and read at random: each value's hash is compared.

Layout (little-endian), an implementation detail of this checkout and no part of the contract::

    values  one after the other
    index   msgpack: what the file's maker noted, where each value ends, the xxh3_64 of each
    16 B    length of the index, xxh3_64 of the index

Values are read with ``pread`` and not through a memory map. A map costs a page fault for every
4 KB that is not in memory, and a file that is cut or on a failing disk ends the process that
looks at it. A read takes one request to the disk, fails with an error, and knows no position that
threads or forked processes could fight over.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgpack
import numpy as np
import xxhash

from cache.closing import Closing
from cache.errors import StoreDamaged

_FOOTER: Final = struct.Struct("<QQ")
_hash = xxhash.xxh3_64_intdigest
_pread = os.pread
# The kernel cuts longer advice off, silently.
_ADVICE_BYTES: Final = 1 << 16


class PackedFile(Closing):
    """The values of a file by number, from 0.

    Args:
        path: of the file.

    Attributes:
        note: what the file's maker noted, as msgpack gives it back.

    Raises:
        StoreDamaged: it cannot be opened, or its index does not fit its hash.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            self.note, ends, hashes = msgpack.unpackb(self._index(), use_list=False)
            self._bounds = array("Q", [0, *np.frombuffer(ends, "<u8").tolist()])
            self._hashes = array("Q", np.frombuffer(hashes, "<u8").tolist())
        except OSError as error:
            raise self.damaged(error) from error
        except BaseException:
            self.close()
            raise

    def _index(self) -> bytes:
        size = os.fstat(self._descriptor).st_size
        footer = self._read(max(size - _FOOTER.size, 0), _FOOTER.size)
        length, digest = _FOOTER.unpack(footer) if len(footer) == _FOOTER.size else (0, 0)
        start = size - _FOOTER.size - length
        index = self._read(start, length) if start >= 0 else b""
        if not index or _hash(index) != digest:
            raise self.damaged("its index does not fit its hash")
        return index

    def value(self, number: int) -> bytes:
        """Return a value, its hash compared.

        Raises:
            StoreDamaged: the bytes in the file are others, or fewer.
        """
        start = self._bounds[number]
        # No call in between: this is the hot path.
        try:
            value = _pread(self._descriptor, self._bounds[number + 1] - start, start)
        except OSError as error:
            raise self.damaged(error) from error
        if _hash(value) != self._hashes[number]:
            raise self.damaged(f"value {number} does not fit its hash")
        return value

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Ask the operating system for values; it fetches them while the caller goes on."""
        if not hasattr(os, "posix_fadvise"):
            return
        for number in numbers:
            start, end = self._bounds[number], self._bounds[number + 1]
            for piece in range(start, end, _ADVICE_BYTES):
                length = min(_ADVICE_BYTES, end - piece)
                os.posix_fadvise(self._descriptor, piece, length, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def damaged(self, why: object) -> StoreDamaged:
        """Return the error that says what is wrong with the file, and the way out."""
        return StoreDamaged(
            f"{self.path} is damaged: {why}. Remove it; it is made again from the shards."
        )

    def _read(self, start: int, length: int) -> bytes:
        try:
            return os.pread(self._descriptor, length, start)
        except OSError as error:
            raise self.damaged(error) from error


class PackedWriter:
    """Writes a file for `PackedFile`; `finish` makes it complete."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._end = 0
        self._ends = array("Q")
        self._hashes = array("Q")

    def put(self, value: bytes) -> None:
        """Add the next value."""
        self._file.write(value)
        self._end += len(value)
        self._ends.append(self._end)
        self._hashes.append(_hash(value))

    def finish(self, note: Any) -> None:
        """Write the index with ``note`` (anything that msgpack takes) and sync the file."""
        ends, hashes = (np.array(part, "<u8").tobytes() for part in (self._ends, self._hashes))
        index = msgpack.packb([note, ends, hashes])
        self._file.write(index + _FOOTER.pack(len(index), _hash(index)))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let the file go, finished or not."""
        self._file.close()
