"""The files of one shard, made side by side: compressing and hashing leave a core for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from cache.errors import StoreDamaged
from cache.files import sync_folder, write_atomically
from cache.manifest import FileEntry, locate
from cache.schema import Table
from cache.tables.shards import check_bytes, describe, parquet_bytes
from cache.tables.summary import Tally

_THREADS: Final = 2


class ShardFile(NamedTuple):
    """A file that is not written yet.

    Attributes:
        entry: how the manifest will call it.
        data: its bytes.
        tally: of its rows.
    """

    entry: FileEntry
    data: memoryview
    tally: Tally


def shard_files(
    index: int, tables: Mapping[Table, Callable[[], pa.Table]]
) -> dict[Table, ShardFile]:
    """Return the files of shard ``index``; none is written yet, so each table may be refused.

    Args:
        index: of the shard.
        tables: what makes each table; the slowest first.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        made = pool.map(lambda name: shard_file(index, name, tables[name]()), tables)
        return dict(zip(tables, made, strict=True))


def shard_file(index: int, name: Table, table: pa.Table) -> ShardFile:
    """Return the file of one table of shard ``index``."""
    data = parquet_bytes(table, name)
    tally = Tally()
    tally.add(name, table, index)
    return ShardFile(describe(name, index, data, table.num_rows), data, tally)


def write_files(root: Path, files: Mapping[Table, ShardFile]) -> dict[Table, FileEntry]:
    """Write the files of a shard that are not there yet; return their entries.

    Raises:
        StoreError: the disk is full or not writable; some may be there.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        written = pool.map(lambda file: write_file(root, file.entry, file.data), files.values())
        return dict(zip(files, written, strict=True))


def write_file(root: Path, entry: FileEntry, data: bytes | memoryview) -> FileEntry:
    """Write one file that the manifest will name, if it is not there yet; return its entry.

    Raises:
        StoreError: the disk is full or not writable.
    """
    try:
        check_bytes(root, entry)
    except StoreDamaged:
        write_atomically(locate(root, entry), data)
    else:
        # Whoever wrote it may have been killed before its name was safe from a power cut.
        sync_folder(locate(root, entry).parent)
    return entry
