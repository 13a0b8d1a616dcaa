"""Arrow columns from values of Python, a whole column at a time: rows would be far slower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from cache.errors import InputError
from cache.records import Vector
from cache.schema import SCHEMAS, VECTOR

Columns = Mapping[str, Sequence[object] | pa.Array]


def table_of(name: str, columns: Columns) -> pa.Table:
    """Return the table ``name`` of its columns.

    Raises:
        InputError: a value that its column does not take.
    """
    schema: pa.Schema = SCHEMAS[name]
    try:
        arrays = [_array(columns[field.name], field.type) for field in schema]
        table = pa.Table.from_arrays(arrays, schema=schema)
        table.validate(full=True)
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError) as error:
        raise InputError(
            f"a row of the table {name} cannot be stored: {error}. "
            "Compare the record with docs/store-format.md."
        ) from error
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise InputError(f"the column {field.name} of the table {name} holds None")
    return table


def vector_column(
    vectors: Sequence[Vector | None], dim: int | None, posts: Sequence[str]
) -> pa.ListArray:
    """Return embeddings, rounded to what float16 can express.

    Args:
        vectors: one per row; None where there is none.
        dim: numbers that each must have.
        posts: of each row, for messages.

    Raises:
        InputError: a vector of another shape or type, or with a number that float16 cannot hold.
    """
    rows = [row for row, vector in enumerate(vectors) if vector is not None]
    there = [np.asarray(vectors[row]) for row in rows]
    for row, values in zip(rows, there, strict=True):
        if values.ndim != 1 or values.size != dim or values.dtype.kind != "f":
            raise InputError(
                f"{posts[row]!r}: an embedding has shape {values.shape} and type {values.dtype}; "
                f"the store holds vectors of {dim} floats. Use one encoder for the whole store."
            )
    with np.errstate(over="ignore"):
        rounded = np.array(there, np.float16).astype(np.float32).reshape(len(there), dim or 0)
    fine = np.isfinite(rounded).all(axis=1)
    if not fine.all():
        raise InputError(
            f"{posts[rows[int(fine.argmin())]]!r}: an embedding holds NaN, an infinity or a value "
            "beyond float16. Store unit vectors, or None where nothing could be computed."
        )
    lengths = [None if vector is None else vector.size for vector in vectors]
    return list_column(VECTOR, pa.array(rounded.ravel()), lengths)


def list_column(kind: pa.DataType, items: pa.Array, lengths: Sequence[int | None]) -> pa.ListArray:
    """Return lists of ``kind``, whose ``items`` are one after the other; None is no list."""
    absent = np.array([*(length is None for length in lengths), False])
    ends = np.cumsum([0, *(length or 0 for length in lengths)])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32(), mask=absent), items, type=kind)


def _array(values: Sequence[object] | pa.Array, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)
