"""Stores made from stores: whole tables in, changed tables out, one shard at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from cache.errors import InputError, StoreDamaged
from cache.files import write_atomically
from cache.manifest import MANIFEST_NAME, FileEntry, locate
from cache.recording.segments import segments
from cache.schema import SCHEMAS, Table
from cache.tables.shards import check_bytes, describe, open_shard, parquet_bytes
from cache.writing.journal import JOURNAL_NAME
from cache.writing.lock import LOCK_NAME, WriterLock


@contextmanager
def new_store(out: Path, *sources: Path, recorded: Iterable[Path] = ()) -> Iterator[None]:
    """Hold the writer's lock of a folder in which there is no store yet.

    What an interrupted run of the same kind left there is gone over again.

    Args:
        out: the folder.
        sources: stores that are read.
        recorded: those of them whose recordings the new store has.

    Raises:
        InputError: there is a store or a build in ``out``, or recordings that the new store would
            not have; or it is inside of a source, or one is inside of it.
        StoreError: ``out`` cannot be written, or another process is at it.
    """
    for source in sources:
        ours, theirs = out.resolve(), source.resolve()
        if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
            raise InputError(
                f"{out} and {source} are inside of each other. Choose another folder."
            )
    for name in (MANIFEST_NAME, JOURNAL_NAME):
        if (out / name).exists():
            raise InputError(
                f"{out} holds a store or a build already ({name}). Choose another folder."
            )
    lock = WriterLock(out / LOCK_NAME)
    try:
        _check_recordings(out, recorded)
        yield
    finally:
        lock.release()


def _check_recordings(out: Path, recorded: Iterable[Path]) -> None:
    """Refuse segments of other stores: nothing else tells them from those of this one."""
    known = {path.name for store in recorded for path, _ in segments(store / "recordings")}
    for path, _ in segments(out / "recordings"):
        if path.name not in known:
            raise InputError(
                f"{path} is of none of the stores whose recordings belong into {out}; an "
                "interrupted run with other stores may have left it. Choose another folder, or "
                f"remove {path.parent}."
            )


def whole_table(root: Path, file: FileEntry, name: Table) -> pa.Table:
    """Return a shard's table in one piece, every byte compared with the manifest.

    Written with `write_table`, it gives the same bytes again.

    Raises:
        StoreDamaged: the file is missing or holds other bytes.
        StoreMismatch: it has other columns.
    """
    shard = open_shard(root, file, name)
    try:
        groups = [shard.group(index) for index in range(shard.num_groups)]
    finally:
        shard.close()
    # Reading leaves notes of Parquet's in the schema, which a table that is written has not.
    schema = SCHEMAS[name]
    return pa.concat_tables([schema.empty_table(), *(g.cast(schema) for g in groups)])


def replaced(table: pa.Table, columns: Mapping[str, object]) -> pa.Table:
    """Return ``table`` with the values of some columns replaced."""
    for name, values in columns.items():
        field = table.schema.field(name)
        column = values if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, column)
    return table


def write_table(out: Path, index: int, name: Table, table: pa.Table) -> FileEntry:
    """Write a table of shard ``index`` into the store ``out``; return the manifest's entry."""
    # Where pieces end may show in the bytes.
    data = parquet_bytes(table.combine_chunks(), name)
    return _write(out, describe(name, index, data, table.num_rows), data)


def copy_file(root: Path, out: Path, file: FileEntry) -> FileEntry:
    """Copy a shard's file from ``root`` to ``out``, every byte compared with the manifest."""
    return _write(out, file, check_bytes(root, file).read_bytes())


def _write(out: Path, file: FileEntry, data: bytes | memoryview) -> FileEntry:
    try:
        check_bytes(out, file)
    except StoreDamaged:
        write_atomically(locate(out, file), data)
        check_bytes(out, file)
    return file
