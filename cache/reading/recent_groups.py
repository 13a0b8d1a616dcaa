"""Parquet files that were opened, and row groups decompressed, not long ago; within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import pyarrow as pa

from cache.tables.shards import ParquetFile

Key = TypeVar("Key", bound=Hashable)


class RecentGroups(Generic[Key]):
    """Opens files by key with ``open_file``, and keeps the last ones and their last row groups."""

    def __init__(
        self, open_file: Callable[[Key], ParquetFile], most_files: int, most_bytes: int
    ) -> None:
        """Keep ``most_files`` open, and of row groups ``most_bytes``, but one at least."""
        self._open = open_file
        self._most_files = most_files
        self._most_bytes = most_bytes
        self._files: OrderedDict[Key, ParquetFile] = OrderedDict()
        self._groups: OrderedDict[tuple[Key, int], pa.Table] = OrderedDict()
        self._groups_bytes = 0

    def file(self, key: Key) -> ParquetFile:
        """Return an open file."""
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key]
        file = self._files[key] = self._open(key)
        if len(self._files) > self._most_files:
            self._files.popitem(last=False)[1].close()
        return file

    def group(self, key: Key, group: int) -> pa.Table:
        """Return a row group, decompressed."""
        place = (key, group)
        if place in self._groups:
            self._groups.move_to_end(place)
            return self._groups[place]
        part = self._groups[place] = self.file(key).group(group)
        self._groups_bytes += part.nbytes
        while self._groups_bytes > self._most_bytes and len(self._groups) > 1:
            self._groups_bytes -= self._groups.popitem(last=False)[1].nbytes
        return part

    def forget(self, key: Key) -> None:
        """Let go of one file."""
        if key in self._files:
            self._files.pop(key).close()
        for place in [place for place in self._groups if place[0] == key]:
            self._groups_bytes -= self._groups.pop(place).nbytes

    def close(self) -> None:
        """Let go of everything; the next call opens what it needs."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._groups.clear()
        self._groups_bytes = 0
