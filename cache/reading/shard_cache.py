"""Open shard files and decompressed row groups of one store, within bounds."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

import pyarrow as pa

from cache.errors import StoreDamaged
from cache.manifest import Manifest
from cache.reading.changed import unless_changed
from cache.reading.recent_groups import RecentGroups
from cache.reading.texts import TextFinder
from cache.schema import Table
from cache.tables.decode import decode_dropped, decode_evidence, decode_examples, decode_media
from cache.tables.shards import RESTORE, ParquetFile, check_size, open_shard

# A small store stays in memory as a whole.
_KEPT_BYTES: Final = 256 << 20
# Well below the usual limit of 1024 open files of a process.
_KEPT_FILES: Final = 128
_Value = TypeVar("_Value")


class ShardCache:
    """Decoded rows of any table of any shard; threads may read at the same time.

    The SHA-256 of a file is compared when it is opened for the first time; its size every time.
    All methods raise `StoreChanged` where a newer build has replaced the store.

    Args:
        root: folder of the store.
        manifest: of the store.
        kept_bytes: of row groups that are kept, decompressed.
    """

    def __init__(self, root: Path, manifest: Manifest, kept_bytes: int = _KEPT_BYTES) -> None:
        self._root = root
        self._manifest = manifest
        self._shards = manifest.shards
        self._compared: set[tuple[Table, int]] = set()
        self._recent: RecentGroups[tuple[Table, int]] = RecentGroups(
            self._open, _KEPT_FILES, kept_bytes
        )
        self._texts = TextFinder(self, self.damaged, withheld="texts" in manifest.withheld)
        self._locks: dict[int, Lock] = {}

    def column(self, table: Table, index: int, name: str) -> list[Any]:
        """Return one column of a shard's table."""
        return self._unless_changed(lambda: self._file(table, index).column(name))

    def rows(self, table: Table, index: int, start: int, end: int) -> list[Any]:
        """Return decoded rows ``start`` to ``end`` of a shard's table."""
        starts = self.group_starts(table, index)
        rows: list[Any] = []
        for group in range(bisect_right(starts, start) - 1, len(starts) - 1):
            if starts[group] >= end:
                break
            first = max(start - starts[group], 0)
            length = min(end, starts[group + 1]) - starts[group] - first
            if length > 0:
                part = self.group(table, index, group).slice(first, length)
                rows += self._decode(table, index, part)
        return rows

    def all_rows(self, table: Table, index: int) -> Iterator[Any]:
        """Yield all decoded rows of a shard's table; nothing of it is kept."""
        for group in range(len(self.group_starts(table, index)) - 1):
            read = partial(self._group_once, table, index, group)
            yield from self._decode(table, index, self._unless_changed(read))

    def close(self) -> None:
        """Let everything go; the next call opens what it needs."""
        with self._alone():
            self._recent.close()

    def _file(self, table: Table, index: int) -> ParquetFile:
        return self._recent.file((table, index))

    def _open(self, key: tuple[Table, int]) -> ParquetFile:
        table, index = key
        entry = self._shards[index].files[table]
        if key in self._compared:
            return ParquetFile(check_size(self._root, entry), table, entry.rows)
        file = open_shard(self._root, entry, table)
        self._compared.add(key)
        return file

    def group_starts(self, table: Table, index: int) -> list[int]:
        """Return the first row of each row group of a shard's table, and the number of rows."""
        return self._unless_changed(lambda: self._file(table, index).group_starts)

    def group(self, table: Table, index: int, group: int) -> pa.Table:
        """Return a row group of a shard's table, decompressed and kept for a while."""
        return self._unless_changed(lambda: self._recent.group((table, index), group))

    def _group_once(self, table: Table, index: int, group: int) -> pa.Table:
        return self._file(table, index).group(group)

    def _unless_changed(self, read: Callable[[], _Value]) -> _Value:
        # What one thread opens may be what another one has to let go of.
        with self._alone():
            return unless_changed(self._root, self._manifest, read)

    def _alone(self) -> Lock:
        """Return this process's lock: who held that of its parent at a fork is not there."""
        return self._locks.setdefault(os.getpid(), Lock())

    def _decode(self, table: Table, index: int, part: pa.Table) -> list[Any]:
        dim = self._shards[index].embedding_dim
        texts = {} if table in ("examples", "media") else self._texts_of(index, part)
        try:
            if table == "examples":
                return decode_examples(part, dim)
            if table == "evidence":
                return decode_evidence(part, dim, texts)
            if table == "dropped":
                return decode_dropped(part, texts)
            return decode_media(part)
        except StoreDamaged as error:
            raise self.damaged(f"{table} of shard {index}: {error}") from error

    def _texts_of(self, index: int, part: pa.Table) -> dict[str, str]:
        return self._texts.find(index, part.column("text_key").drop_null().to_pylist())

    def damaged(self, why: str) -> StoreDamaged:
        """Return the error that says why the store is damaged, and the way out."""
        return StoreDamaged(f"{self._root} cannot be used: {why}. {RESTORE}")
