"""Arrays of a feature set as a table, and back; an array is believed only as far as it fits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from cache.errors import InputError, StoreDamaged
from cache.feature_keys import Array, nonsense
from cache.keys import is_content_key
from cache.records import FeatureSet
from cache.schema import FEATURE_AXES, FEATURE_DTYPES
from cache.tables.columns import table_of

# Some fifty times the grid of a large encoder.
MAX_ARRAY_BYTES: Final = 64 << 20
_COLUMNS: Final = ("key", "shape", "dtype", "data")
_SOURCE: Final = b"ramie.source"
_STAGES: Final = b"ramie.stages"
_SET: Final = b"ramie.feature_set"
# Of a source and its stages; a manifest takes no more of either.
_LONGEST_NOTE: Final = 2000


class Made(NamedTuple):
    """What made the arrays of a file: source and stages, see `FeatureSetEntry`."""

    source: str
    stages: tuple[int, ...] = ()


def features_table(name: FeatureSet, made: Made, arrays: Mapping[str, Array]) -> pa.Table:
    """Return arrays of a feature set by key as a table, which names what made them.

    Raises:
        InputError: an array is not of the form of its set; the message names the key.
    """
    for key, array in arrays.items():
        if (why := _refused(name, key, array)) is not None:
            raise InputError(f"the array {key} of feature set {name} cannot be stored: {why}.")
    keys = sorted(arrays)
    little = np.dtype(FEATURE_DTYPES[name]).newbyteorder("<")
    table = table_of(
        "features",
        {
            "key": keys,
            "shape": [list(arrays[key].shape) for key in keys],
            "dtype": [FEATURE_DTYPES[name]] * len(keys),
            "data": [np.ascontiguousarray(arrays[key], little).tobytes() for key in keys],
        },
    )
    said = {_SET: name, _SOURCE: made.source, _STAGES: json.dumps(made.stages)}
    metadata = {key: value.encode() for key, value in said.items()}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})


def made_of(schema: pa.Schema, name: FeatureSet) -> Made | None:
    """Return what a file with that schema says of its arrays; None where that is nothing."""
    said = schema.metadata or {}
    notes = [said.get(note, b"") for note in (_SOURCE, _STAGES)]
    if said.get(_SET) != name.encode() or max(map(len, notes)) > _LONGEST_NOTE:
        return None
    try:
        source, stages = notes[0].decode(), json.loads(notes[1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(stages, list) or not all(type(size) is int for size in stages):
        return None
    return Made(source, tuple(stages))


class ArrayRow(NamedTuple):
    """A row of a file of a feature set: an array before it is believed."""

    key: str
    shape: list[int]
    dtype: str
    data: pa.Buffer


def array_rows(part: pa.Table) -> Iterator[ArrayRow]:
    """Yield the rows of a part of a file."""
    # One at a time, for a stranger's may be long.
    for key, shape, dtype, data in zip(*(part.column(one) for one in _COLUMNS), strict=True):
        yield ArrayRow(key.as_py(), shape.as_py(), dtype.as_py(), data.as_buffer())


def decode_array(part: pa.Table, row: int, name: FeatureSet, dims: tuple[int, ...]) -> Array:
    """Return the array in a row of a part of a file; see `decode_row`."""
    return decode_row(next(array_rows(part.slice(row, 1))), name, dims)


def decode_row(row: ArrayRow, name: FeatureSet, dims: tuple[int, ...]) -> Array:
    """Return the array of a row.

    Args:
        row: of a file of the set.
        name: of the set.
        dims: that all its arrays have.

    Raises:
        StoreDamaged: it is not of the form that the manifest promises, or its numbers cannot be.
    """
    key, sizes, dtype, buffer = row
    wanted = np.dtype(FEATURE_DTYPES[name]).newbyteorder("<")
    free, fixed = FEATURE_AXES[name]
    if dtype != FEATURE_DTYPES[name] or len(sizes) != free + fixed:
        raise _damaged(key, f"{dtype[:20]} of {len(sizes)} axes")
    if min(sizes) < 0 or tuple(sizes[free:]) != dims:
        raise _damaged(key, f"it has the sizes {sizes}, and all end in {list(dims)}")
    if math.prod(sizes) * wanted.itemsize != buffer.size or buffer.size > MAX_ARRAY_BYTES:
        raise _damaged(key, f"{buffer.size:,} bytes are not {sizes} numbers")
    # A copy: the row group stays in memory for others, and nobody may write into it.
    array: Array = np.frombuffer(buffer, wanted).reshape(sizes).astype(FEATURE_DTYPES[name])
    if (why := nonsense(name, array)) is not None:
        raise _damaged(key, why)
    return array


def _refused(name: FeatureSet, key: str, array: Array) -> str | None:
    if not is_content_key(key):
        return "its key is none"
    if array.ndim != sum(FEATURE_AXES[name]) or array.dtype != FEATURE_DTYPES[name]:
        return f"it is {array.dtype} of {array.ndim} axes"
    if array.nbytes > MAX_ARRAY_BYTES:
        return f"{array.nbytes:,} bytes are more than the {MAX_ARRAY_BYTES:,} that one may have"
    return nonsense(name, array)


def _damaged(key: str, why: str) -> StoreDamaged:
    return StoreDamaged(f"the array {key[:80]!r}: {why}")
