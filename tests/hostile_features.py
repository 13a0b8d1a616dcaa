"""Feature sets as an attacker would make them: every hash fits, and an array is a trap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import hostile_forge as forge
import pyarrow as pa
from feature_helpers import add_features

from cache import FeatureSet
from cache.schema import SCHEMAS

MIB: Final = 1 << 20
_STAGES: Final = b"ramie.stages"
_SOURCE: Final = b"ramie.source"
_SIZES: Final = SCHEMAS["features"].field("shape").type
Case = tuple[str, Callable[[Path], None], str]


def traps() -> Iterator[Case]:
    """Yield name, what makes it of a sound store, and what verifying must say, of each trap."""
    for part in (_entries, _shapes, _notes, _files):
        for name, make, named in part():
            yield f"features: {name}", partial(_with_sets, make), named


def heavy_traps() -> Iterator[Case]:
    """Yield those that take seconds to make or to read."""
    for name, make, named in _bombs():
        yield f"features: {name}", partial(_with_sets, make), named


def _with_sets(make: Callable[[Path], None], store: Path) -> None:
    add_features(store)
    make(store)


# --- what the manifest says


def _entries() -> Iterator[Case]:
    for dims in ([], [1 << 40], [-6], [0], ["6"], [6.0], [1 << 16], [6, 6], [True]):
        yield f"dims {dims}", partial(_entry, "grid", {"dims": dims}), "cannot be used|all end in"
    for dims in ([1 << 16, 6], [0, 6], [9, 6]):
        yield f"views of {dims}", partial(_entry, "pyramid", {"dims": dims}), "cannot be used"
    for stages in ([6] * 100, [-1, 7], [1 << 62], ["2", "4"], [5, 1]):
        said = "cannot be used|the manifest that"
        yield f"stages {stages[:4]}", partial(_entry, "pyramid", {"stages": stages}), said
    for dtype in ("object", "O", "float64", "|V8", None):
        yield f"dtype {dtype!r}", partial(_entry, "grid", {"dtype": dtype}), "cannot be used"
    yield "a long source", partial(_entry, "grid", {"source": "x" * MIB}), "cannot be used"
    yield (
        "a source of control characters",
        partial(_entry, "grid", {"source": "\x1b[2J"}),
        "it says that",
    )
    yield "a set of another name", _renamed, "cannot be used"
    for path in ("/etc/passwd", "../grid/x.parquet", "texts/part-00000-000000000000.parquet"):
        yield f"path {path}", partial(_path, path), "cannot be used"


def _entry(name: FeatureSet, values: dict[str, Any], store: Path) -> None:
    content = forge.manifest_of(store)
    content["feature_sets"][name].update(values)
    forge.sign(store, content)


def _renamed(store: Path) -> None:
    content = forge.manifest_of(store)
    content["feature_sets"]["../grid"] = content["feature_sets"].pop("grid")
    forge.sign(store, content)


def _path(path: str, store: Path) -> None:
    content = forge.manifest_of(store)
    content["feature_sets"]["grid"]["files"][0]["path"] = path
    forge.sign(store, content)


# --- what an array says of itself


def _shapes() -> Iterator[Case]:
    def shape(sizes: list[int], named: str, name: FeatureSet = "grid") -> Case:
        change = partial(_first, "shape", pa.array([sizes], _SIZES))
        return f"{name} of {sizes[:9]}", partial(_rows, name, change), named

    most = 2**31 - 1
    yield shape([], "of 0 axes")
    yield shape([9] * 7, "an array of 7 axes")
    yield shape([most, most], "all end in")
    yield shape([most, 6], "bytes are not")
    yield shape([-most, 6], "it has the sizes")
    yield shape([0, 6], "bytes are not")
    yield shape([most, 4, 6], "bytes are not", "pyramid")
    yield shape([0, most], "bytes are not", "region_graph")
    yield shape([most, 0], "bytes are not|asks for", "region_graph")
    yield shape([-1], "it has the sizes", "parse")
    for dtype in ("O", "object", "<M8[ns]", "float64", "V2", "\x1b[2J", "f2" * MIB):
        change = partial(_first, "dtype", pa.array([dtype]))
        yield f"type {dtype[:9]!r}", partial(_rows, "grid", change), "of 2 axes"
    pickled = b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR."
    for data in (b"", b"\x00", pickled, b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}"):
        change = partial(_first, "data", pa.array([data]))
        yield f"data {data[:9]!r}", partial(_rows, "grid", change), "bytes are not"
    for number, named in ((b"\x00\x7c", "not finite"), (b"\x01\xfc", "not finite")):
        change = partial(_first, "data", pa.array([number * 54]))
        yield f"numbers {number!r}", partial(_rows, "grid", change), named
    for key in ("", "../../etc/passwd", "\x1b[2J", "F" * 64, "x" * MIB):
        change = partial(_first, "key", pa.array([key]))
        yield f"key {key[:9]!r}", partial(_rows, "grid", change), "not sorted by unique key"


def _rows(name: FeatureSet, change: Callable[[pa.Table], pa.Table], store: Path) -> None:
    """Put other rows into the first file of a set."""
    rows = change(forge.table_of_shard(store, name))
    forge.put(store, name, forge.parquet(rows, "features"), rows.num_rows)


def _first(column: str, value: pa.Array, rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index(column)
    field = rows.schema.field(place)
    old = rows.column(column).combine_chunks().cast(value.type)
    return rows.set_column(place, field, pa.concat_arrays([value, old.slice(1)]).cast(field.type))


# --- what a file says of itself


def _notes() -> Iterator[Case]:
    wrong = "the manifest that"
    for value in (b"[Infinity]", b"[1e999]", b"[NaN]", b"[2.0, 4]", b"[true]", b'"24"', b"{}"):
        yield f"stages {value!r}", partial(_rows, "pyramid", partial(_note, _STAGES, value)), wrong
    for value in (b"[" * 50_000, b"[" + b"9" * 5000 + b"]", b"[" + b"1," * MIB + b"1]"):
        change = partial(_note, _STAGES, value)
        yield f"stages of {len(value)} bytes", partial(_rows, "pyramid", change), wrong
    for value in (b"\xff\xfe", b"x" * MIB, b"\x1b[2J", b""):
        change = partial(_note, _SOURCE, value)
        yield f"source {value[:9]!r}", partial(_rows, "grid", change), wrong
    change = partial(_note, b"ramie.feature_set", b"pyramid")
    yield "arrays of another set", partial(_rows, "grid", change), wrong
    yield "no notes", partial(_rows, "grid", lambda rows: rows.replace_schema_metadata({})), wrong


def _note(name: bytes, value: bytes, rows: pa.Table) -> pa.Table:
    return rows.replace_schema_metadata({**rows.schema.metadata, name: value})


def _files() -> Iterator[Case]:
    yield "no rows", partial(_rows, "grid", lambda rows: rows.slice(0, 0)), "is missing"
    yield "twice", partial(_rows, "grid", lambda rows: pa.concat_tables([rows, rows])), "sorted"
    yield "another table", _another_table, "other columns"
    for size in (2**31 - 1, 10**9):
        yield f"{size} bytes unpacked", partial(_page, "data", size), "cannot be read"
        yield f"{size} sizes", partial(_page, "shape", size), "cannot be read"


def _another_table(store: Path) -> None:
    rows = forge.table_of_shard(store, "texts")
    forge.put(store, "grid", forge.parquet(rows, "texts"), rows.num_rows)


def _page(column: str, size: int, store: Path) -> None:
    """Let the first page of a column say that it is larger, or holds more values."""
    entry = forge.entry_of(forge.manifest_of(store), "grid")
    data = (store / entry["path"]).read_bytes()

    def change(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
        if column == "data":
            return {**header, 2: (5, size)}, body
        header[5][1][1] = (5, size)
        return header, body

    place = forge.leaf("features", column)
    forge.put(store, "grid", forge.with_page(data, 0, place, change))


# --- what is small on the disk


def _bombs() -> Iterator[Case]:
    yield "zeros of 200 MiB", partial(_rows, "grid", _zeros), "bytes are not|all end in"
    yield "300,000 arrays", partial(_rows, "grid", partial(_repeated, 300_000)), "are more than"
    yield "250,000 arrays", partial(_rows, "grid", partial(_repeated, 250_000)), "sorted by unique"
    yield "keys of 400 MB", _long_keys, "takes more than|not sorted"
    yield "10 million sizes", _many_sizes, "axes is in the column"


def _zeros(rows: pa.Table) -> pa.Table:
    first = _first("data", pa.array([bytes(200 * MIB)]), rows)
    return _first("shape", pa.array([[100 * MIB // 6, 6]], _SIZES), first)


def _repeated(number: int, rows: pa.Table) -> pa.Table:
    return rows.take(pa.array([0] * number))


def _long_keys(store: Path) -> None:
    """Every row group is of a usual size; together their keys are not."""
    rows = _repeated(100, forge.table_of_shard(store, "grid"))
    keys = pa.array([f"{number:04}" + "0" * (4 * MIB - 4) for number in range(100)])
    rows = rows.set_column(0, rows.schema.field("key"), keys)
    forge.put(store, "grid", forge.parquet(rows, "features"), 100)


def _many_sizes(store: Path) -> None:
    sizes = pa.nulls(10_000_000, pa.int32()).fill_null(0)
    shapes = pa.ListArray.from_arrays(pa.array([0, len(sizes)], pa.int32()), sizes)
    rows = _first("shape", shapes.cast(_SIZES), forge.table_of_shard(store, "grid"))
    options = {"use_dictionary": ["shape.list.element"]}
    forge.put(store, "grid", forge.parquet(rows, "features", **options), rows.num_rows)
