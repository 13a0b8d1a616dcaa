"""Reads a store from an LMDB file derived from its shards: what training uses."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lmdb
import msgpack

from cache.closing import Closing
from cache.derive import LIST_KEY, LIST_NUMBER, derive, lmdb_name, usable
from cache.errors import InputError, StoreDamaged, StoreError, StoreMismatch
from cache.keys import content_key
from cache.manifest import Manifest
from cache.packing import Value, unpack_features, unpack_record, unseal
from cache.parquet_reader import ParquetReader
from cache.reader import Features
from cache.records import Dropped, Media, StoredExample

_log = logging.getLogger(__name__)


@dataclass
class _Map:
    """An open file; LMDB allows one per process, however many readers share it."""

    env: lmdb.Environment
    transaction: lmdb.Transaction
    users: int = 0


# By process as well: a map inherited through fork is closed before its file is mapped anew.
_maps: Final[dict[tuple[int, Path], _Map]] = {}


class LmdbReader(Closing):
    """A `StoreReader` over the derived file, which is made on first use.

    The file lies in ``local/`` of the store or, where that cannot be written, in the user's cache
    folder. It is opened when first read, once per process; the reader may be passed to other
    processes. Dropped hits and images are read from the shards.

    Args:
        path: folder of the store.
        progress: show a bar while the file is made, where the output is a terminal.

    Raises:
        StoreDamaged: the store is not complete.
        StoreError: the derived file can be written nowhere.
    """

    def __init__(self, path: Path | str, *, progress: bool = False) -> None:
        self.path = Path(path)
        self._shards = ParquetReader(self.path)
        self._file = _find_or_derive(self._shards, progress)
        self._dim = self._shards.manifest.embedding_dim or 0
        self._pid = -1
        self._transaction: lmdb.Transaction | None = None
        self._numbers: dict[str, int] = {}
        self._ids: dict[str | None, tuple[str, ...]] = {}

    @property
    def manifest(self) -> Manifest:
        """What the store promises."""
        return self._shards.manifest

    def example_ids(self, split: str | None = None) -> tuple[str, ...]:
        """Return the ids of a split, or of all posts, sorted."""
        self._open()
        return self._ids.get(split, ())

    def read(self, example_id: str) -> StoredExample:
        """Return all that the store keeps of a post but its dropped hits."""
        number, value = self._value(example_id)
        try:
            return unpack_record(value, number, example_id, self._dim)
        except StoreDamaged as error:
            raise self._damaged(error) from error

    def features(self, example_id: str) -> Features:
        """Return what a trainer needs of a post."""
        number, value = self._value(example_id)
        try:
            return unpack_features(value, number, example_id, self._dim)
        except StoreDamaged as error:
            raise self._damaged(error) from error

    def dropped(self, example_id: str) -> tuple[Dropped, ...]:
        """Return the hits that curation did not keep."""
        return self._shards.dropped(example_id)

    def media(self, key: str) -> Media:
        """Return an image, its bytes compared with its key."""
        return self._shards.media(key)

    def close(self) -> None:
        """Let files and maps go; a second call does nothing."""
        self._shards.close()
        if self._transaction is not None and self._pid == os.getpid():
            _release(self._file)
        self._transaction = None
        self._pid = -1

    def __getstate__(self) -> dict[str, Path]:
        """Keep the path only: another process maps the file itself."""
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _value(self, example_id: str) -> tuple[int, Value]:
        if self._pid != os.getpid():
            self._open()
        number = self._numbers.get(example_id)
        if number is None:
            raise InputError(
                f"{self.path} holds no post {example_id!r}; see example_ids() for those it holds"
            )
        assert self._transaction is not None
        value = self._transaction.get(number.to_bytes(4, "big"))
        if value is None:
            raise self._damaged(f"the value of {example_id!r} is missing")
        return number, value

    def _open(self) -> None:
        if self._pid == os.getpid():
            return
        if not usable(self._file):
            self._file = _find_or_derive(self._shards, progress=False)
        self._transaction = _acquire(self._file)
        self._pid = os.getpid()
        if not self._numbers:
            self._list_ids()

    def _list_ids(self) -> None:
        assert self._transaction is not None
        try:
            listing = unseal(self._transaction.get(LIST_KEY) or b"", LIST_NUMBER)
        except StoreDamaged as error:
            raise self._damaged(error) from error
        fingerprint, ids, splits = msgpack.unpackb(listing)
        if fingerprint != self.manifest.fingerprint:
            raise self._damaged("it belongs to another store")
        self._numbers = {name: number for number, name in enumerate(ids)}
        self._ids = {None: tuple(ids)}
        for split in sorted(set(splits)):
            self._ids[split] = tuple(
                name for name, other in zip(ids, splits, strict=True) if other == split
            )

    def _damaged(self, why: object) -> StoreDamaged:
        return StoreDamaged(
            f"{self._file} is damaged: {why}. Remove it; it is made again from the shards."
        )


def _find_or_derive(shards: ParquetReader, progress: bool) -> Path:
    """Return a usable derived file: of the store, of the user, or made now."""
    name = lmdb_name(shards.manifest)
    folders = [shards.path / "local", _user_folder(shards.path)]
    for folder in folders:
        if usable(folder / name):
            return folder / name
    problems = []
    for folder in folders:
        try:
            path = derive(shards, folder, progress)
        except (StoreDamaged, StoreMismatch):
            raise
        except StoreError as error:
            problems.append(str(error))
            continue
        if problems:
            _log.warning("%s The derived file is %s.", problems[0], path)
        return path
    raise StoreError("; ".join(problems))


def _user_folder(store: Path) -> Path:
    """Return where the user's copies for ``store`` lie: one folder for each store."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME") or tempfile.gettempdir()
    folder = base if "XDG_CACHE_HOME" in os.environ else f"{base}/.cache"
    return Path(folder) / "ramie" / content_key(os.fsencode(store.resolve()))[:16]


def _acquire(path: Path) -> lmdb.Transaction:
    key = (os.getpid(), path.resolve())
    for inherited in [other for other in _maps if other[0] != key[0]]:
        _close(_maps.pop(inherited))
    if key not in _maps:
        env = lmdb.open(
            str(path), readonly=True, lock=False, subdir=False, readahead=False, create=False
        )
        _maps[key] = _Map(env, env.begin(buffers=True))
    _maps[key].users += 1
    transaction: lmdb.Transaction = _maps[key].transaction
    return transaction


def _release(path: Path) -> None:
    key = (os.getpid(), path.resolve())
    if key in _maps:
        _maps[key].users -= 1
        if _maps[key].users == 0:
            _close(_maps.pop(key))


def _close(shared: _Map) -> None:
    shared.transaction.abort()
    shared.env.close()
