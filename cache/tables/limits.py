"""How much a file of a store may be: readers refuse more, and writers write no more."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

# A row group beyond this is refused before it is decoded: a small file may claim to be anything.
MAX_GROUP_BYTES: Final = 2 << 30
# Unless half as much is really in the file, it may take no more than this.
UNPACKED_BYTES: Final = 256 << 20
MAX_GROUP_ROWS: Final = 4096
# In memory it takes some twenty times as much.
LONGEST_FOOTER: Final = 16 << 20
# Readers make objects of the rows of a shard, or of their keys; some kilobytes say a million rows.
# Of a feature set, a post has one array at most.
_MAX_ROWS: Final = {
    "examples": 1 << 18,
    "evidence": 1 << 18,
    "dropped": 1 << 19,
    "features": 1 << 18,
}
_MAX_OTHER_ROWS: Final = 1 << 20
# Several times what the fetching of pages keeps of the longest.
_MAX_TEXT_BYTES: Final = 4 << 20
# Twice what any array of a feature set has.
_MAX_AXES: Final = 6
# With these, a value takes its own bytes; with any other, each may stand for all of its column.
_EXACT_ENCODINGS: Final = frozenset({"PLAIN", "RLE", "BIT_PACKED", "BYTE_STREAM_SPLIT"})


def most_rows(name: str) -> int:
    """Return how many rows a file of a table may have."""
    return _MAX_ROWS.get(name, _MAX_OTHER_ROWS)


def claimed_bytes(group: Any, columns: list[str] | None) -> int:
    """Return what columns of a row group may take in memory, by what the footer says of them."""
    claimed = 0
    for index in range(group.num_columns):
        column = group.column(index)
        if columns is None or column_of(column) in columns:
            exact = _EXACT_ENCODINGS.issuperset(column.encodings)
            claimed += max(column.total_uncompressed_size, 0) * (1 if exact else group.num_rows)
    return claimed


def too_much(table: pa.Table, name: str) -> str | None:
    """Return why no reader takes a table of this name, or a part of one; None if it does."""
    if table.num_rows > most_rows(name):
        return f"{table.num_rows:,} rows are more than any shard has"
    for field in table.schema:
        column = table.column(field.name)
        # Sizes of axes become objects, those of a whole file at once.
        if name == "features" and pa.types.is_list(field.type):
            most = pc.max(pc.list_value_length(column)).as_py() or 0
            if most > _MAX_AXES:
                return f"an array of {most:,} axes is in the column {field.name}"
        # Most columns are short as a whole.
        if pa.types.is_string(field.type) and column.nbytes > _MAX_TEXT_BYTES:
            longest = pc.max(pc.binary_length(column)).as_py() or 0
            if longest > _MAX_TEXT_BYTES and name != "recordings":
                return (
                    f"a value of the column {field.name} has {longest:,} bytes, more than the "
                    f"{_MAX_TEXT_BYTES:,} that one may have"
                )
    return None


def column_of(chunk: Any) -> str:
    """Return the column of the table that a chunk belongs to, which may have several."""
    name: str = chunk.path_in_schema.partition(".")[0]
    return name
