"""The files that recordings consist of: named by their content, written whole, never changed."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from pathlib import Path
from typing import Final, Literal, get_args

import pyarrow as pa

from cache.errors import StoreDamaged
from cache.files import check_regular, sha256_of_file, write_atomically
from cache.reading.recent_groups import RecentGroups
from cache.tables.shards import ParquetFile, parquet_bytes

SegmentTable = Literal["media", "recordings"]
SEGMENT_TABLES: Final[tuple[SegmentTable, ...]] = get_args(SegmentTable)
FORGET: Final = "Remove it, and what it held is asked again."
_PREFIX: Final[dict[SegmentTable, str]] = {"recordings": "answers", "media": "media"}
_NAME_DIGITS: Final = 32
_SEGMENT: Final = re.compile(rf"(answers|media)-[0-9a-f]{{{_NAME_DIGITS}}}\.parquet")
_KEPT_BYTES: Final = 64 << 20
# One answer is read with the row group that it is in: 64 answers of 4 MiB, and as much again.
MAX_GROUP_BYTES: Final = 512 << 20
# A folder may hold thousands of segments; a process may open about a thousand files.
_FILES_KEPT: Final = 64


class SegmentGone(Exception):
    """A segment is there no longer: another process merged it into a new one. Look again."""


def segments(folder: Path) -> list[tuple[Path, SegmentTable]]:
    """Return the segments in ``folder`` with the table of each, sorted by name."""
    found: list[tuple[Path, SegmentTable]] = []
    for path in sorted(folder.glob("*.parquet")):
        if match := _SEGMENT.fullmatch(path.name):
            found.append((path, "media" if match[1] == "media" else "recordings"))
    return found


def write_segment(folder: Path, table: SegmentTable, content: pa.Table) -> Path:
    """Write a segment that survives a crash once this returns; return its path.

    Raises:
        StoreError: the folder cannot be written; nothing of the segment is then seen.
    """
    data = parquet_bytes(content, table)
    digest = hashlib.sha256(data).hexdigest()[:_NAME_DIGITS]
    path = folder / f"{_PREFIX[table]}-{digest}.parquet"
    write_atomically(path, data)
    return path


def check_segment(path: Path, root: Path | None = None) -> None:
    """Compare a segment with its name, which is the hash of its content.

    Args:
        path: of the segment.
        root: folder below which no link may lead to it; its own folder, unless given.

    Raises:
        StoreDamaged: they do not fit, or it is no file of its own.
    """
    check_regular(path, path.parent if root is None else root)
    if sha256_of_file(path)[:_NAME_DIGITS] != path.stem.partition("-")[2]:
        raise StoreDamaged(f"{path} does not have the content that its name promises. {FORGET}")


def open_segment(path: Path, table: SegmentTable) -> ParquetFile:
    """Return a segment, of which no row group is read that claims more than `MAX_GROUP_BYTES`.

    Raises:
        StoreDamaged: it is no complete Parquet file, or claims impossible sizes.
        StoreMismatch: it has other columns.
    """
    return ParquetFile(path, table, way_out=FORGET, max_group_bytes=MAX_GROUP_BYTES)


class SegmentFiles:
    """Open segments and row groups of theirs, within bounds.

    All methods raise `SegmentGone` for a file that is there no longer, and `StoreDamaged` for one
    that is not what its name promises; that is compared before rows are first taken from it.
    """

    def __init__(self) -> None:
        self._recent: RecentGroups[tuple[Path, SegmentTable]] = RecentGroups(
            _open, _FILES_KEPT, _KEPT_BYTES
        )
        self._compared: set[Path] = set()

    def columns(self, path: Path, table: SegmentTable, names: list[str]) -> pa.Table:
        """Return columns of a segment; the segment is not compared with its name for it."""
        try:
            return _all_groups(self._recent.file((path, table)), names)
        except StoreDamaged as error:
            raise _gone_or(error, path) from error

    def row(self, path: Path, table: SegmentTable, row: int) -> pa.Table:
        """Return one row of a segment."""
        try:
            self._compare(path)
            starts = self._recent.file((path, table)).group_starts
            group = bisect_right(starts, row) - 1
            return self._recent.group((path, table), group).slice(row - starts[group], 1)
        except (StoreDamaged, FileNotFoundError) as error:
            raise _gone_or(error, path) from error

    def whole(self, path: Path, table: SegmentTable) -> pa.Table:
        """Return all rows of a segment."""
        try:
            self._compare(path)
            return _all_groups(self._recent.file((path, table)))
        except (StoreDamaged, FileNotFoundError) as error:
            raise _gone_or(error, path) from error

    def uncompressed_bytes(self, path: Path, table: SegmentTable) -> int:
        """Return what a segment says it takes in memory."""
        try:
            return self._recent.file((path, table)).uncompressed_bytes
        except StoreDamaged as error:
            raise _gone_or(error, path) from error

    def forget(self, path: Path) -> None:
        """Let go of a segment that is about to be removed."""
        for table in SEGMENT_TABLES:
            self._recent.forget((path, table))
        self._compared.discard(path)

    def close(self) -> None:
        """Let all files go; the next call opens what it needs."""
        self._recent.close()

    def _compare(self, path: Path) -> None:
        if path not in self._compared:
            check_segment(path)
            self._compared.add(path)


def _open(key: tuple[Path, SegmentTable]) -> ParquetFile:
    path, table = key
    check_regular(path, path.parent)
    return open_segment(path, table)


def _all_groups(file: ParquetFile, names: list[str] | None = None) -> pa.Table:
    parts = [file.group(index, names) for index in range(file.num_groups)]
    if not parts:
        raise StoreDamaged(f"{file.path} is empty. {FORGET}")
    return pa.concat_tables(parts)


def _gone_or(error: Exception, path: Path) -> Exception:
    return error if path.exists() or path.is_symlink() else SegmentGone(str(path))
