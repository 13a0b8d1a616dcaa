"""Forging what an attacker would: Parquet files with lies in them, and hashes that fit."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cache import FEATURE_SETS, FeatureSet, Manifest, fingerprint
from cache.card import data_card
from cache.manifest import shard_path
from cache.schema import SCHEMAS, Table
from cache.tables.shards import write_options
from cache.tables.summary import summarise

MAGIC: Final = b"PAR1"
# Of Thrift's compact protocol.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _STRUCT = 1, 2, 3, 7, 8, 9, 12
# A struct is {field: (type, value)}, a list (type of its elements, [value]).
Struct = dict[int, tuple[int, Any]]


class ThriftReader:
    """Reads Thrift's compact protocol, as far as Parquet uses it."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def number(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self) -> Struct:
        fields: Struct = {}
        field = 0
        while head := self.data[self.at]:
            self.at += 1
            field = field + (head >> 4) if head >> 4 else self.number()
            fields[field] = (head & 15, self.value(head & 15))
        self.at += 1
        return fields

    def value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind in (_BYTE, _DOUBLE, _BINARY):
            size = {_BYTE: 1, _DOUBLE: 8}.get(kind) or self.varint()
            self.at += size
            return self.data[self.at - size : self.at]
        if kind == _STRUCT:
            return self.struct()
        if kind == _LIST:
            head = self.data[self.at]
            self.at += 1
            size = self.varint() if head >> 4 == 15 else head >> 4
            return head & 15, [self.value(head & 15) for _ in range(size)]
        return self.number()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def thrift(kind: int, value: Any) -> bytes:
    """Return a value as `ThriftReader` reads it."""
    if kind in (_TRUE, _FALSE):
        # Inside of a list; as a field it is in the field's type.
        return bytes([_TRUE if value else _FALSE])
    if kind in (_BYTE, _DOUBLE):
        return bytes(value)
    if kind == _BINARY:
        return _varint(len(value)) + bytes(value)
    if kind == _LIST:
        inner, items = value
        short = len(items) < 15
        head = bytes([(len(items) if short else 15) << 4 | inner])
        return (
            head
            + (b"" if short else _varint(len(items)))
            + b"".join(thrift(inner, item) for item in items)
        )
    if kind == _STRUCT:
        parts = []
        for field, (one, inner) in sorted(value.items()):
            if one in (_TRUE, _FALSE):
                parts.append(bytes([_TRUE if inner else _FALSE]) + _varint(field * 2))
            else:
                parts.append(bytes([one]) + _varint(field * 2) + thrift(one, inner))
        return b"".join(parts) + b"\0"
    # Two's complement of 64 bits, zigzag.
    return _varint((value << 1 ^ value >> 63) & ((1 << 64) - 1))


def footer(data: bytes) -> Struct:
    """Return what a Parquet file says of itself."""
    size = int.from_bytes(data[-8:-4], "little")
    return ThriftReader(data[-8 - size : -8]).struct()


def with_footer(data: bytes, change: Callable[[Struct], None]) -> bytes:
    """Return a Parquet file with another footer."""
    size = int.from_bytes(data[-8:-4], "little")
    said = footer(data)
    change(said)
    written = thrift(_STRUCT, said)
    return data[: -8 - size] + written + len(written).to_bytes(4, "little") + MAGIC


def chunk(said: Struct, group: int, column: int) -> Struct:
    """Return the metadata of a column in a row group."""
    meta: Struct = said[4][1][1][group][1][1][1][column][3][1]
    return meta


def with_page(
    data: bytes,
    group: int,
    column: int,
    change: Callable[[Struct, bytes], tuple[Struct, bytes]],
    *,
    dictionary: bool = False,
) -> bytes:
    """Return a Parquet file in which a column has another first page, at the end of the file.

    Args:
        data: the file.
        group: row group.
        column: place of the leaf column.
        change: gets header and body of the page, and returns other ones; the checksum is made
            anew.
        dictionary: the dictionary's page, and all after it, instead of the first data page.
    """
    said = footer(data)
    meta = chunk(said, group, column)
    start = meta[11][1] if dictionary or 11 in meta else meta[9][1]
    reader = ThriftReader(data, start)
    header = reader.struct()
    body = data[reader.at : reader.at + header[3][1]]
    rest = data[reader.at + header[3][1] : start + meta[7][1]]
    header, body = change(header, body)
    if 4 in header:
        crc = zlib.crc32(body)
        header[4] = (5, crc - (1 << 32) if crc >= 1 << 31 else crc)
    page = thrift(_STRUCT, header) + body + rest
    size = int.from_bytes(data[-8:-4], "little")
    front = data[: -8 - size]

    def move(new: Struct) -> None:
        there = chunk(new, group, column)
        there[7] = (6, len(page))
        head = thrift(_STRUCT, header)
        if 11 in there:
            there[11] = (6, len(front))
            there[9] = (6, len(front) + len(head) + len(body))
        else:
            there[9] = (6, len(front))

    return with_footer(front + page + data[-8 - size :], move)


def table_of_shard(store: Path, table: Table | FeatureSet, index: int = 0) -> pa.Table:
    """Return a table of a shard; that of a feature set with what it says of itself."""
    content = pq.read_table(store / entry_of(manifest_of(store), table, index)["path"])
    if table in FEATURE_SETS:
        return content.cast(SCHEMAS["features"].with_metadata(content.schema.metadata))
    return content.cast(SCHEMAS[table])


def parquet(table: pa.Table, name: str, **options: Any) -> bytes:
    """Return a table as its writer would write it, but for ``options``; nothing is checked."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **{**write_options(table, name), **options})
    return bytes(sink.getvalue())


def manifest_of(store: Path) -> dict[str, Any]:
    """Return the manifest as it lies there."""
    content: dict[str, Any] = json.loads((store / "manifest.json").read_text())
    return content


def entry_of(content: dict[str, Any], table: Table | FeatureSet, index: int = 0) -> dict[str, Any]:
    """Return what a manifest says of a file."""
    entry: dict[str, Any]
    if table in FEATURE_SETS:
        entry = content["feature_sets"][table]["files"][index]
    else:
        entry = content["shards"][index]["files"][table]
    return entry


def sign(store: Path, content: dict[str, Any]) -> None:
    """Write a manifest with the hash that fits it, and the card that goes with it."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    content["sha256"] = fingerprint(content)
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1)
    (store / "manifest.json").write_bytes((text + "\n").encode("utf-8", "surrogatepass"))
    try:
        known = {key: value for key, value in content.items() if key != "sha256"}
        card = data_card(Manifest.model_validate_json(json.dumps(known)))
        (store / "README.md").write_text(card)
    except ValueError:
        # Nobody writes a card of what is no manifest.
        pass


def put(
    store: Path,
    table: Table | FeatureSet,
    data: bytes,
    rows: int | None = None,
    index: int = 0,
) -> None:
    """Put a file in the place of a shard's table, with hashes that fit."""
    content = manifest_of(store)
    entry = entry_of(content, table, index)
    (store / entry["path"]).unlink(missing_ok=True)
    digest = hashlib.sha256(data).hexdigest()
    entry |= {
        "path": shard_path(table, index, digest),
        "sha256": digest,
        "size_bytes": len(data),
        "rows": entry["rows"] if rows is None else rows,
    }
    (store / entry["path"]).write_bytes(data)
    sign(store, content)


def put_table(store: Path, table: Table, content: pa.Table, index: int = 0, **how: Any) -> None:
    """Put a table in the place of another, and count the store anew, as its writer would."""
    put(store, table, parquet(content, table, **how), content.num_rows, index)
    try:
        said = manifest_of(store)
        known = {key: value for key, value in said.items() if key != "sha256"}
        manifest = Manifest.model_validate_json(json.dumps(known))
        said["summary"] = summarise(store, manifest.shards)
    except Exception:
        # What cannot be counted is refused for something else.
        return
    sign(store, said)


def change_column(
    store: Path, table: Table, name: str, change: Callable[[list[Any]], list[Any]], index: int = 0
) -> None:
    """Change the values of a column of a shard."""
    content = table_of_shard(store, table, index)
    field = SCHEMAS[table].field(name)
    values = change(content.column(name).to_pylist())
    place = content.schema.get_field_index(name)
    put_table(store, table, content.set_column(place, field, pa.array(values, field.type)), index)


def leaf(table: str, name: str) -> int:
    """Return the place of a leaf column, as Parquet counts them."""
    sink = pa.BufferOutputStream()
    pq.write_table(SCHEMAS[table].empty_table(), sink)
    schema = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    paths = [schema.column(place).path.partition(".")[0] for place in range(len(schema))]
    return paths.index(name)
