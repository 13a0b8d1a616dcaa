"""Parquet files of a store: equal tables give equal bytes, and reading compares checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cache.errors import InputError, StoreDamaged, StoreMismatch
from cache.files import check_regular, sha256_of_file
from cache.manifest import FileEntry, locate
from cache.schema import CONTENT_COLUMN, DICTIONARY_COLUMNS, ROW_GROUP, SCHEMAS, VECTOR_COLUMNS
from cache.tables.limits import (
    LONGEST_FOOTER,
    MAX_GROUP_BYTES,
    MAX_GROUP_ROWS,
    UNPACKED_BYTES,
    claimed_bytes,
    column_of,
    most_rows,
    too_much,
)
from cache.tables.pages import decoded_bytes

# Well above what a shard of usual posts takes: a file beyond it is read twice instead of loaded.
_MAX_LOADED_BYTES: Final = 128 << 20
# Looking at many rows at a time costs less for each; few enough to be held by several threads.
_PART_ROWS: Final = 4096
_PART_BYTES: Final = 2 << 20
# By what pages say at most, which is a lot more where a dictionary has long values.
_PART_CLAIMED: Final = 32 << 20
# Of zstd. Vectors, keys and numbers hardly shrink further at 3, but take half as long again.
_LEVEL: Final = 1
_LEVEL_OF_TEXT: Final = 3
_TEXT_TABLES: Final = ("texts", "recordings")
RESTORE: Final = "Restore the file from a copy, or build the store again."


def parquet_bytes(table: pa.Table, name: str) -> memoryview:
    """Return ``table`` as a Parquet file; equal tables give equal bytes (with one pyarrow).

    Raises:
        InputError: no reader would take it: a text is too long, or there are too many rows.
    """
    if (why := too_much(table, name)) is not None:
        raise InputError(f"the table {name} cannot be stored: {why}. Use smaller shards or texts.")
    sink = pa.BufferOutputStream()
    options = write_options(table, name)
    rows = options.pop("row_group_size")
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        # A row group without rows stops Hugging Face datasets; a file without groups does not.
        if table.num_rows:
            writer.write_table(table, rows)
    return memoryview(sink.getvalue())


def write_options(table: pa.Table, name: str) -> dict[str, Any]:
    """Return what `pyarrow.parquet.write_table` is told about ``table``."""
    codecs: Any = "zstd"
    levels: Any = _LEVEL
    if name == "media":
        # Encoded images do not shrink, and finding that out takes half of the time.
        codecs = {**dict.fromkeys(table.column_names, "zstd"), CONTENT_COLUMN["media"]: "none"}
        levels = {column: _LEVEL for column, codec in codecs.items() if codec == "zstd"}
    elif name in _TEXT_TABLES:
        levels = _LEVEL_OF_TEXT
    return {
        "row_group_size": ROW_GROUP[name],
        "version": "2.6",
        "data_page_version": "1.0",
        "compression": codecs,
        "compression_level": levels,
        "use_dictionary": [name for name in DICTIONARY_COLUMNS if name in table.column_names],
        "column_encoding": dict.fromkeys(VECTOR_COLUMNS.get(name, ()), "BYTE_STREAM_SPLIT"),
        "write_page_checksum": True,
        "write_statistics": False,
        "store_schema": True,
    }


def describe(table_name: str, index: int, data: bytes | memoryview, rows: int) -> FileEntry:
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
    with _readable(path):
        digest = sha256_of_file(path)
    _compare(path, digest, file)
    return path


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreDamaged(f"{path} cannot be read: {reason}. {RESTORE}") from error


def _compare(path: Path, digest: str, file: FileEntry) -> None:
    if digest != file.sha256:
        raise StoreDamaged(
            f"{path} has the SHA-256 {digest[:12]}..., but the manifest promises "
            f"{file.sha256[:12]}... {RESTORE}"
        )


class ParquetFile:
    """A Parquet file of one of the store's tables, opened after its schema was compared.

    Args:
        path: the file.
        name: its table, a key of `SCHEMAS`.
        rows: how many rows it must have; None where nobody promised a number.
        way_out: what to do about damage, for the message.
        max_group_bytes: a row group that claims to take more is refused when it is read; None
            takes 256 MiB, and up to 2 GiB where half of that is really in the file.
        data: what the file holds, where it was read already; None reads it as needed.
        schema: the columns it must have, where they are not those of the table today.

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
        max_group_bytes: int | None = None,
        data: pa.Buffer | None = None,
        schema: pa.Schema | None = None,
    ) -> None:
        self.path = path
        self._way_out = way_out
        self._max_group_bytes = max_group_bytes
        # To read a few bytes of it without letting go of Python's lock, which others then hold.
        self._data = None if data is None else memoryview(data)
        try:
            # Opened here, so that headers of pages are read from what is then decoded.
            self._source = pa.OSFile(str(path)) if data is None else pa.BufferReader(data)
        except OSError as error:
            raise self._damaged(error) from error
        try:
            self._check_footer()
            self._file = pq.ParquetFile(self._source, page_checksum_verification=True)
            self._check(name, rows, schema or SCHEMAS[name])
        except (pa.ArrowException, OSError, ValueError) as error:
            self._source.close()
            raise self._damaged(error) from error
        except BaseException:
            self._source.close()
            raise

    def _check_footer(self) -> None:
        size = self._source.size()
        said = self._source.read_at(8, max(size - 8, 0))
        if int.from_bytes(said[:4], "little") > LONGEST_FOOTER:
            raise self._damaged("its footer claims an impossible size")

    def _check(self, name: str, rows: int | None, schema: pa.Schema) -> None:
        if not self._file.schema_arrow.equals(schema, check_metadata=False):
            raise StoreMismatch(
                f"{self.path} has other columns than the table {name} of this checkout. "
                "Build the store again, or use the code version named in its manifest."
            )
        meta = self._file.metadata
        if meta.num_rows > most_rows(name):
            raise self._damaged(f"{meta.num_rows:,} rows are more than any shard has")
        self._name = name
        if rows is not None and meta.num_rows != rows:
            raise self._damaged(f"{meta.num_rows} rows instead of {rows}")
        if meta.num_row_groups > max(meta.num_rows, 1):
            raise self._damaged("it has more row groups than rows")
        self.group_starts = [0]
        for index in range(meta.num_row_groups):
            group = meta.row_group(index)
            if not (
                0 <= group.num_rows <= MAX_GROUP_ROWS
                and 0 <= group.total_byte_size <= MAX_GROUP_BYTES
            ):
                raise self._damaged(f"row group {index} claims an impossible size")
            self.group_starts.append(self.group_starts[-1] + group.num_rows)
        if self.group_starts[-1] != meta.num_rows:
            raise self._damaged(f"row groups of {self.group_starts[-1]} rows, not {meta.num_rows}")

    @property
    def schema(self) -> pa.Schema:
        """The columns, and what the file says of itself."""
        return self._file.schema_arrow

    @property
    def num_groups(self) -> int:
        """Row groups of the file."""
        return len(self.group_starts) - 1

    @property
    def uncompressed_bytes(self) -> int:
        """What the row groups take decompressed, as the footer says."""
        meta = self._file.metadata
        return sum(claimed_bytes(meta.row_group(i), None) for i in range(self.num_groups))

    def group(self, index: int, columns: list[str] | None = None) -> pa.Table:
        """Return one row group, page checksums compared.

        Raises:
            StoreDamaged: the bytes do not fit their checksums or do not decode, or would take
                more memory than they may.
        """
        self._sizes(index, columns)
        return self._decoded([index], columns)

    def parts(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield all rows in order, several row groups at a time where these are small.

        Raises:
            StoreDamaged: see `group`.
        """
        waiting: list[int] = []
        rows = size = most = 0
        for index in range(self.num_groups):
            said, claimed = self._sizes(index, columns)
            waiting.append(index)
            rows = self.group_starts[index + 1] - self.group_starts[waiting[0]]
            size, most = size + said, most + claimed
            if rows >= _PART_ROWS or size >= _PART_BYTES or most >= _PART_CLAIMED:
                yield self._decoded(waiting, columns)
                waiting, size, most = [], 0, 0
        if waiting:
            yield self._decoded(waiting, columns)

    def _decoded(self, groups: list[int], columns: list[str] | None) -> pa.Table:
        with self._reading():
            table = self._file.read_row_groups(groups, columns=columns, use_threads=False)
            # A damaged offset or wrong UTF-8 inside a column would only show, or crash, later.
            table.validate(full=True)
        if (why := too_much(table, self._name)) is not None:
            raise self._damaged(why)
        return table

    def _sizes(self, index: int, columns: list[str] | None) -> tuple[int, int]:
        """Return what a row group takes by its footer, and at most by its pages.

        Raises:
            StoreDamaged: it would take too much memory, or has no proper pages; nothing of it was
                decoded.
        """
        with self._reading():
            group = self._file.metadata.row_group(index)
            chunks = [group.column(place) for place in range(group.num_columns)]
            if columns is not None:
                chunks = [one for one in chunks if column_of(one) in columns]
            if any(one.file_path for one in chunks):
                raise self._damaged(f"row group {index} is said to be in another file")
            stored = sum(one.total_compressed_size for one in chunks)
            most = self._max_group_bytes or min(MAX_GROUP_BYTES, max(UNPACKED_BYTES, 2 * stored))
            said = claimed = sum(max(one.total_uncompressed_size, 0) for one in chunks)
            # How values are encoded takes longer to ask than all else, and seldom matters.
            if said * max(group.num_rows, 1) > most:
                claimed = claimed_bytes(group, columns)
            # Of no rows, nothing is decoded; older writers left offsets there that lead nowhere.
            if claimed <= most and group.num_rows:
                claimed = sum(decoded_bytes(self._read_at, one) for one in chunks)
            if claimed > most:
                raise self._damaged(
                    f"row group {index} claims to take {claimed:,} bytes when "
                    f"decompressed, more than the {most:,} that one may take"
                )
        return said, claimed

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(error) from error

    def _read_at(self, start: int, length: int) -> bytes:
        if self._data is not None and start + length <= len(self._data):
            return bytes(self._data[start : start + length])
        data: bytes = self._source.read_at(length, start)
        return data

    def column(self, name: str) -> list[Any]:
        """Return one whole column as Python values.

        Raises:
            StoreDamaged: see `group`; or all of it takes more memory than a row group may.
        """
        values: list[Any] = []
        taken = 0
        for index in range(self.num_groups):
            part = self.group(index, [name])
            taken += part.nbytes
            # Each row group may be small, and there may be thousands.
            if taken > UNPACKED_BYTES:
                raise self._damaged(
                    f"its column {name} takes more than the {UNPACKED_BYTES:,} bytes that it may"
                )
            values += part.column(name).to_pylist()
        return values

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        self._source.close()
        self._data = None

    def _damaged(self, why: object) -> StoreDamaged:
        # Some reasons of the library span several lines.
        reason = " ".join(str(why).split()).rstrip(".")
        return StoreDamaged(f"{self.path} cannot be read: {reason}. {self._way_out}")


def open_shard(root: Path, file: FileEntry, name: str) -> ParquetFile:
    """Return a shard file of the store ``root``, every byte compared with the manifest."""
    return ParquetFile(check_bytes(root, file), name, file.rows)


def load_shard(root: Path, file: FileEntry, name: str) -> ParquetFile:
    """Return what `open_shard` does, for who reads all of it: a file of usual size is read once.

    The whole file is in memory until the result is closed and gone.
    """
    path = check_size(root, file)
    if file.size_bytes > _MAX_LOADED_BYTES:
        return open_shard(root, file, name)
    # Of Arrow's memory, which is used again for the next file without asking the kernel.
    data = pa.allocate_buffer(file.size_bytes)
    with _readable(path), path.open("rb", buffering=0) as opened:
        size = opened.readinto(memoryview(data))
    _compare(path, hashlib.sha256(memoryview(data)[:size]).hexdigest(), file)
    return ParquetFile(path, name, file.rows, data=data)
