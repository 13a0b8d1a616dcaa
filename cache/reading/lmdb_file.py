"""A derived file in LMDB: values by number, each value's hash compared when it is read.

LMDB trusts what it maps: a file that is cut while it is mapped ends the process, and it must be
opened once per process and not used across a fork. So such a file is only opened where its ticket
(`cache.reading.derive`) fits, on a local disk, through the one environment of this process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import weakref
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import lmdb
import msgpack
import numpy as np
import xxhash

from cache.closing import Closing
from cache.errors import StoreDamaged

_NOTE: Final = b"\xff" * 5  # After every number, so that keys arrive in order.
_HASH_BYTES: Final = 8
_FIRST_MAP_BYTES: Final = 1 << 24
_BATCH_BYTES: Final = 1 << 25
_WILL_NEED: Final = 3
_hash = xxhash.xxh3_64_intdigest
_key = int.to_bytes
Get = Callable[[bytes], bytes | None]


@dataclass
class _Environment:
    """An open file; LMDB allows one per process, however many readers share it."""

    path: Path
    env: lmdb.Environment
    users: int = 0


_environments: Final[dict[Path, _Environment]] = {}
_environments_lock = threading.Lock()
_files: Final[weakref.WeakSet[LmdbFile]] = weakref.WeakSet()


class LmdbFile(Closing):
    """The values of a file by number, from 0; threads and forked processes may read at once.

    Args:
        path: of the file.

    Attributes:
        note: what the file's maker noted, as msgpack gives it back.

    Raises:
        StoreDamaged: it is no such file, or its note does not fit its hash.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forget()
        _files.add(self)
        try:
            data = self._begin()(_NOTE) or bytes(_HASH_BYTES)
            if _hash(data[_HASH_BYTES:]) != int.from_bytes(data[:_HASH_BYTES], "little"):
                raise self.damaged("its note does not fit its hash")
            self.note, hashes = msgpack.unpackb(data[_HASH_BYTES:], use_list=False)
            self._hashes = array("Q", np.frombuffer(hashes, "<u8").tolist())
        except BaseException:
            self.close()
            raise

    def value(self, number: int) -> bytes:
        """Return a value, its hash compared.

        Raises:
            StoreDamaged: the bytes in the file are others, or missing.
        """
        # A copy: what LMDB gives without one is gone, and ends the process, once the file closes.
        # As few calls as can be: this is the hot path.
        try:
            get = self._threads.get
        except AttributeError:
            get = self._begin()
        try:
            value = get(_key(number, 4, "big"))
        except lmdb.Error as error:
            raise self.damaged(error) from error
        if value is None or _hash(value) != self._hashes[number]:
            raise self.damaged(f"value {number} is missing or does not fit its hash")
        return cast(bytes, value)

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Ask the operating system for values; it fetches them while the caller goes on."""
        advise = getattr(ctypes.CDLL(None), "madvise", None)
        if advise is None:
            return
        page = os.sysconf("SC_PAGE_SIZE")
        with self._mapped().begin(buffers=True) as transaction:
            for number in numbers:
                # Where a value lies is known without looking at any of it.
                value = transaction.get(number.to_bytes(4, "big"))
                if not value:
                    continue
                view = np.frombuffer(value, np.uint8)
                start = view.ctypes.data // page * page
                length = view.ctypes.data + len(view) - start
                advise(ctypes.c_void_p(start), ctypes.c_size_t(length), _WILL_NEED)
                del view, value

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        with _environments_lock:
            if self._environment is not None:
                self._environment.users -= 1
                if not self._environment.users:
                    self._environment.env.close()
                    del _environments[self._environment.path]
            self.forget()

    def forget(self) -> None:
        """Know of no environment; the next call opens one."""
        self._environment: _Environment | None = None
        self._threads = threading.local()

    def damaged(self, why: object) -> StoreDamaged:
        """Return the error that says what is wrong with the file, and the way out."""
        return StoreDamaged(
            f"{self.path} is damaged: {why}. Remove it; it is made again from the shards."
        )

    def _begin(self) -> Get:
        """Return what looks values up for this thread of this process."""
        get: Get = self._mapped().begin().get
        self._threads.get = get
        return get

    def _mapped(self) -> lmdb.Environment:
        with _environments_lock:
            if self._environment is None:
                path = self.path.resolve()
                shared = _environments.get(path) or _Environment(path, self._open())
                shared.users += 1
                self._environment = _environments[path] = shared
            return self._environment.env

    def _open(self) -> lmdb.Environment:
        try:
            env = lmdb.open(
                str(self.path),
                readonly=True,
                lock=False,
                subdir=False,
                readahead=False,
                create=False,
            )
        except lmdb.Error as error:
            raise self.damaged(error) from error
        # A page beyond the end of the file would end the process that looks at it.
        if (env.info()["last_pgno"] + 1) * env.stat()["psize"] > self.path.stat().st_size:
            env.close()
            raise self.damaged("it is shorter than it says")
        return env


class LmdbWriter:
    """Writes a file for `LmdbFile`; `finish` makes it complete."""

    def __init__(self, path: Path) -> None:
        # No lock file: nobody else knows the temporary name. Synced once, at the end.
        try:
            self._env = lmdb.open(
                str(path), map_size=_FIRST_MAP_BYTES, subdir=False, lock=False, sync=False
            )
        except lmdb.Error as error:
            raise _as_os_error(error) from error
        self._hashes = array("Q")
        self._pairs: list[tuple[bytes, bytes]] = []
        self._pairs_bytes = 0

    def put(self, value: bytes) -> None:
        """Add the next value."""
        self._pairs.append((len(self._hashes).to_bytes(4, "big"), value))
        self._hashes.append(_hash(value))
        self._pairs_bytes += len(value)
        if self._pairs_bytes > _BATCH_BYTES:
            self._write()

    def finish(self, note: Any) -> None:
        """Write ``note`` (anything that msgpack takes) and sync the file."""
        data = msgpack.packb([note, np.array(self._hashes, "<u8").tobytes()])
        self._pairs.append((_NOTE, _hash(data).to_bytes(_HASH_BYTES, "little") + data))
        self._write()
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise _as_os_error(error) from error

    def close(self) -> None:
        """Let the file go, finished or not."""
        self._env.close()

    def _write(self) -> None:
        """Write what was put in one transaction, with a larger map where it did not fit."""
        while True:
            try:
                with self._env.begin(write=True) as transaction:
                    transaction.cursor().putmulti(self._pairs)
                break
            except lmdb.MapFullError:
                self._env.set_mapsize(2 * self._env.info()["map_size"])
            except lmdb.Error as error:
                raise _as_os_error(error) from error
        self._pairs.clear()
        self._pairs_bytes = 0


def _as_os_error(error: lmdb.Error) -> OSError:
    number = errno.ENOSPC if isinstance(error, lmdb.DiskError) else errno.EIO
    return OSError(number, str(error))


def _forget_inherited() -> None:
    """Unmap what this process inherited through fork, so that it maps the same files anew."""
    global _environments_lock
    # A thread that there is not any more may have held the other one.
    _environments_lock = threading.Lock()
    for file in _files:
        file.forget()
    for shared in _environments.values():
        shared.env.close()
    _environments.clear()


os.register_at_fork(after_in_child=_forget_inherited)
