"""Parquet files of a store: equal tables give equal bytes, and reading compares checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cache.errors import StoreDamaged, StoreMismatch
from cache.files import check_regular, sha256_of_file
from cache.manifest import FileEntry, locate
from cache.schema import DICTIONARY_COLUMNS, ROW_GROUP, SCHEMAS, VECTOR_COLUMNS

# A row group beyond this is refused before it is decoded: a small file may claim to be anything.
_MAX_GROUP_BYTES: Final = 2 << 30
_MAX_GROUP_ROWS: Final = 4096
# With these, a value takes its own bytes; with any other, each may stand for all of its column.
_EXACT_ENCODINGS: Final = frozenset({"PLAIN", "RLE", "BIT_PACKED", "BYTE_STREAM_SPLIT"})
RESTORE: Final = "Restore the file from a copy, or build the store again."


def parquet_bytes(table: pa.Table, name: str) -> bytes:
    """Return ``table`` as a Parquet file; equal tables give equal bytes (with one pyarrow)."""
    sink = pa.BufferOutputStream()
    dictionary = [column for column in DICTIONARY_COLUMNS if column in table.column_names]
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP[name],
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=dictionary,
        column_encoding=dict.fromkeys(VECTOR_COLUMNS.get(name, ()), "BYTE_STREAM_SPLIT"),
        write_page_checksum=True,
        write_statistics=False,
        store_schema=True,
    )
    return bytes(sink.getvalue())


def describe(table_name: str, index: int, data: bytes, rows: int) -> FileEntry:
    """Return the manifest's entry for a shard file with these bytes."""
    digest = hashlib.sha256(data).hexdigest()
    path = f"{table_name}/part-{index:05d}-{digest[:12]}.parquet"
    return FileEntry(path=path, rows=rows, size_bytes=len(data), sha256=digest)


def check_size(root: Path, file: FileEntry) -> Path:
    """Return where a shard file lies, having compared its size with the manifest.

    Raises:
        StoreDamaged: it is missing, a link, or of another size.
    """
    path = locate(root, file)
    size = check_regular(path, root).st_size
    if size != file.size_bytes:
        raise StoreDamaged(
            f"{path} has {size} bytes, but the manifest promises {file.size_bytes}. {RESTORE}"
        )
    return path


def check_bytes(root: Path, file: FileEntry) -> Path:
    """Return where a shard file lies, having compared size and SHA-256 with the manifest.

    Raises:
        StoreDamaged: it is missing, a link, or holds other bytes.
    """
    path = check_size(root, file)
    digest = sha256_of_file(path)
    if digest != file.sha256:
        raise StoreDamaged(
            f"{path} has the SHA-256 {digest[:12]}..., but the manifest promises "
            f"{file.sha256[:12]}... {RESTORE}"
        )
    return path


class ParquetFile:
    """A Parquet file of one of the store's tables, opened after its schema was compared.

    Args:
        path: the file.
        name: its table, a key of `SCHEMAS`.
        rows: how many rows it must have; None where nobody promised a number.
        way_out: what to do about damage, for the message.
        max_group_bytes: a row group that claims to take more is refused when it is read.

    Raises:
        StoreDamaged: it is no complete Parquet file, or claims impossible sizes.
        StoreMismatch: it has other columns.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        rows: int | None = None,
        *,
        way_out: str = RESTORE,
        max_group_bytes: int = _MAX_GROUP_BYTES,
    ) -> None:
        self.path = path
        self._way_out = way_out
        self._max_group_bytes = max_group_bytes
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True, memory_map=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(error) from error
        try:
            self._check(name, rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            self._file.close()
            raise self._damaged(error) from error
        except BaseException:
            self._file.close()
            raise

    def _check(self, name: str, rows: int | None) -> None:
        if not self._file.schema_arrow.equals(SCHEMAS[name], check_metadata=False):
            raise StoreMismatch(
                f"{self.path} has other columns than the table {name} of this checkout. "
                "Build the store again, or use the code version named in its manifest."
            )
        meta = self._file.metadata
        if rows is not None and meta.num_rows != rows:
            raise self._damaged(f"{meta.num_rows} rows instead of {rows}")
        self.group_starts = [0]
        for index in range(meta.num_row_groups):
            group = meta.row_group(index)
            if not (
                0 <= group.num_rows <= _MAX_GROUP_ROWS
                and 0 <= group.total_byte_size <= _MAX_GROUP_BYTES
            ):
                raise self._damaged(f"row group {index} claims an impossible size")
            self.group_starts.append(self.group_starts[-1] + group.num_rows)

    @property
    def num_groups(self) -> int:
        """Row groups of the file."""
        return len(self.group_starts) - 1

    @property
    def uncompressed_bytes(self) -> int:
        """What the row groups take decompressed, as the footer says."""
        meta = self._file.metadata
        return sum(_claimed_bytes(meta.row_group(i), None) for i in range(self.num_groups))

    def group(self, index: int, columns: list[str] | None = None) -> pa.Table:
        """Return one row group, page checksums compared.

        Raises:
            StoreDamaged: the bytes do not fit their checksums or do not decode, or would take
                more memory than they may.
        """
        claimed = _claimed_bytes(self._file.metadata.row_group(index), columns)
        if claimed > self._max_group_bytes:
            raise self._damaged(
                f"row group {index} claims to take {claimed:,} bytes when "
                f"decompressed, more than the {self._max_group_bytes:,} that one may take"
            )
        try:
            table = self._file.read_row_group(index, columns=columns, use_threads=False)
            # A damaged offset or wrong UTF-8 inside a column would only show, or crash, later.
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(error) from error
        return table

    def column(self, name: str) -> list[Any]:
        """Return one whole column as Python values."""
        values: list[Any] = []
        for index in range(self.num_groups):
            values += self.group(index, [name]).column(name).to_pylist()
        return values

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _damaged(self, why: object) -> StoreDamaged:
        # Some reasons of the library span several lines.
        reason = " ".join(str(why).split()).rstrip(".")
        return StoreDamaged(f"{self.path} cannot be read: {reason}. {self._way_out}")


def _claimed_bytes(group: Any, columns: list[str] | None) -> int:
    """Return what columns of a row group may take in memory, by what the footer says of them."""
    claimed = 0
    for index in range(group.num_columns):
        column = group.column(index)
        if columns is None or column.path_in_schema.partition(".")[0] in columns:
            exact = _EXACT_ENCODINGS.issuperset(column.encodings)
            claimed += max(column.total_uncompressed_size, 0) * (1 if exact else group.num_rows)
    return claimed


def open_shard(root: Path, file: FileEntry, name: str) -> ParquetFile:
    """Return a shard file of the store ``root``, every byte compared with the manifest."""
    return ParquetFile(check_bytes(root, file), name, file.rows)
