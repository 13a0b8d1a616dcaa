"""Documents in a Parquet file: columns ``id``, ``title``, ``text``, ``url`` and ``image``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from cache.errors import InputError
from retrieval.kb.documents import RawDocument, Record, checked_document
from retrieval.kb.problems import ProblemLog

DOCUMENTS: Final = "documents.parquet"
_COLUMNS: Final = ("id", "title", "text", "url", "image")
_ROWS_AT_ONCE: Final = 1024
# A row group is decoded a column at a time, so that its size is what memory it takes.
_LARGEST_GROUP: Final = 2 * 2**30


class ParquetRows:
    """A `Source`: the rows of a Parquet file, a row group at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent
        self._rows_read, self._rows = 0, 1

    @property
    def consumed(self) -> float:
        """Share of the rows that was read so far."""
        return self._rows_read / max(1, self._rows)

    def records(self, log: ProblemLog, skip: int = 0) -> Iterator[Record]:
        """Yield one record per usable row; rows are numbered from 1.

        Raises:
            InputError: it is no Parquet file, has none of the columns, or too large row groups.
        """
        try:
            with pq.ParquetFile(self.path) as file:
                columns = self._checked(file)
                yield from self._rows_of(file, columns, log, skip)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"cannot read {self.path} as Parquet: {error}. Write it again, with the columns "
                f"{', '.join(_COLUMNS)}."
            ) from error

    def _checked(self, file: pq.ParquetFile) -> list[str]:
        columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
        if "id" not in columns:
            raise InputError(
                f"{self.path} has no column 'id', but {', '.join(file.schema_arrow.names[:9])}. "
                f"Name its columns {', '.join(_COLUMNS)}."
            )
        groups = (file.metadata.row_group(index) for index in range(file.num_row_groups))
        largest = max((group.total_byte_size for group in groups), default=0)
        if largest > _LARGEST_GROUP:
            raise InputError(
                f"{self.path} has a row group of {largest:,} bytes, which would have to be read "
                f"at once. Write it with row groups of less than {_LARGEST_GROUP:,} bytes."
            )
        return columns

    def _rows_of(
        self, file: pq.ParquetFile, columns: list[str], log: ProblemLog, skip: int
    ) -> Iterator[Record]:
        self._rows_read, self._rows = 0, file.metadata.num_rows
        for group in range(file.num_row_groups):
            in_group = file.metadata.row_group(group).num_rows
            if self._rows_read + in_group <= skip:
                self._rows_read += in_group
                continue
            for batch in file.iter_batches(
                _ROWS_AT_ONCE, row_groups=[group], columns=columns, use_threads=False
            ):
                for row in batch.to_pylist():
                    self._rows_read += 1
                    if self._rows_read > skip:
                        document = self._document(self._rows_read, row, log)
                        yield Record(self._rows_read, [] if document is None else [document])

    def _document(self, line: int, row: dict[str, object], log: ProblemLog) -> RawDocument | None:
        try:
            return checked_document(self.folder, line, row, log)
        except ValueError as error:
            log.add(line, "broken line", f"{error}; left out")
            return None
