"""Stores as an attacker would make them: every hash fits, and something in them is a trap."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import hostile_features
import hostile_forge as forge
import pyarrow as pa
import pyarrow.parquet as pq
from cache_helpers import IDENTITY, image, shard
from damage import complete_store

from cache import Media, StoredExample, StoreWriter, content_key, post_sha256
from cache.schema import SCHEMAS, Table

Make = Callable[[Path], None]
MIB: Final = 1 << 20
# What a page, a terminal, a shell, a path and a database may trip over.
STRINGS: Final = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)//' onclick='alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "`|](javascript:alert(1))![](http://evil.example/x)",
    "\x1b]0;owned\x07\x1b[2J\x1b[31m",
    "\u202egpj.exe\u202c\u2066\u2069\u200b\ufeff",
    "null \x00 and \r\n lines \x0b\x85\u2028",
    "../../../etc/passwd",
    "'; DROP TABLE posts; --{{7*7}}${7*7}%s%n%x",
    "\U0001f600\U000e0041\ud7ff\ufffe\uffff" + "e\u0301" * 40,
)


@dataclass(frozen=True, slots=True)
class Hostile:
    """A hostile store.

    Attributes:
        name: what is in it.
        make: turns the sound store in a folder into it.
        named: part of what `verify_store` says of it; empty where it is strange, but sound.
        heavy: takes seconds to make or to read.
    """

    name: str
    make: Make
    named: str
    heavy: bool = False


def sound_store(path: Path) -> None:
    """Write the sound store that hostile ones are made from."""
    complete_store(path)


def catalogue() -> Iterator[Hostile]:
    """Yield every hostile store; no two of one name."""
    yield from _manifests()
    yield from _links()
    yield from _footers()
    yield from _pages()
    yield from _tables()
    yield from _values()
    yield from _images()
    yield from _planted()
    yield from _strange()
    for name, make, named in hostile_features.traps():
        yield Hostile(name, make, named)
    for name, make, named in hostile_features.heavy_traps():
        yield Hostile(name, make, named, heavy=True)


# --- the manifest


def _manifests() -> Iterator[Hostile]:
    yield from _manifest_paths()
    for version in (99, -1, 0, True, None, "3", 1e308, 3.0, [3], 2**70):
        yield _edited(f"schema {version!r}", "has schema", schema_version=version)
    yield Hostile("no schema", partial(_edit, lambda m: m.pop("schema_version")), "has schema")
    # One that is older is not damaged, but its manifest has other keys.
    yield _edited("schema 2 with keys of 3", "has schema 2", schema_version=2)
    yield _raw("not JSON", b"PK\x03\x04", "not JSON")
    yield _raw("not UTF-8", b'{"a": "\xff\xfe"}', "not UTF-8")
    yield _raw("empty", b"", "not JSON")
    yield _raw("a list", b"[]", "not an object")
    yield _raw("deep", b"[" * 200_000, "not JSON")
    yield _raw("deep and closed", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "not JSON")
    yield _raw("a number of 10,000 digits", b'{"a":' + b"9" * 10_000 + b"}", "not JSON")
    yield _raw("infinite", b'{"schema_version": 3, "identity": {"a": 1e999}}', "NaN|infin|JSON")
    yield _raw("NaN", b'{"schema_version": 3, "identity": {"a": NaN}}', "no JSON number")
    yield _raw("32 MiB of empty lists", b"[" + b"[]," * 10 * MIB + b"[]]", "more than", heavy=True)
    yield _raw("of wide letters", b'{"\xf0\x9f\x98\x80' + b"a" * 30 * MIB + b'":1}', "has schema")
    yield Hostile("300 MB of nothing", _endless_manifest, "314572800 bytes")
    yield Hostile("5,000 shards", partial(_edit, _many_shards), "missing or not readable", True)
    yield Hostile("keys twice", _twice, "written by something else")
    for depth in (100, 400, 900):
        named = "" if depth == 100 else "|cannot be used"
        yield Hostile(f"identity {depth} deep", partial(_edit, partial(_nest, depth)), named)
    yield _edited("numbers of 4,000 digits", "|cannot be used", counters={"n": 10**4000})
    surrogates = {"name": "\ud800", "\udfff": 1}
    yield _edited("lone surrogates", "cannot be used", identity=surrogates)
    yield _edited("withheld twice", "sorted", withheld=["posts", "posts"])
    yield _edited("withheld unknown", "cannot be used", withheld=["../posts"])
    for key, value in (
        ("rows", 1 << 62),
        ("rows", -1),
        ("rows", 1.5),
        ("size_bytes", 1 << 80),
        ("sha256", "0" * 64),
    ):
        change = partial(_entry, "texts", key, value)
        yield Hostile(f"{key} {value}", partial(_edit, change), "cannot be used")
    for dim in (0, -1, 1 << 40, "8"):
        yield Hostile(f"dimension {dim}", partial(_edit, partial(_dim, dim)), "cannot be used")
    yield Hostile("dimension 9 of 8", partial(_edit, partial(_dim, 9)), "numbers where|lengths")


def _manifest_paths() -> Iterator[Hostile]:
    digits = "0" * 12
    for path in (
        "/etc/passwd",
        "../../etc/passwd",
        "texts/../../outside.parquet",
        f"texts/../texts/part-00000-{digits}.parquet",
        f"/texts/part-00000-{digits}.parquet",
        f"./texts/part-00000-{digits}.parquet",
        "C:\\Windows\\win.ini",
        f"texts\\part-00000-{digits}.parquet",
        "\\\\server\\share\\part.parquet",
        f"texts/part-00000-{digits}.parquet\n",
        f"texts/part-00000-{digits}.parquet\x00.txt",
        f"texts/part-\uff10\uff10\uff10\uff10\uff10-{digits}.parquet",
        f"file:///texts/part-00000-{digits}.parquet",
        f"s3://bucket/part-00000-{digits}.parquet",
        "~root/.ssh/id_rsa",
        "/dev/zero",
        "local/features.packed",
        "",
        "\x1b[2J",
    ):
        change = partial(_edit, partial(_entry, "texts", "path", path))
        yield Hostile(f"path {path!r}", change, "cannot be used")


def _edit(change: Callable[[dict[str, Any]], Any], store: Path) -> None:
    content = forge.manifest_of(store)
    change(content)
    forge.sign(store, content)


def _edited(name: str, named: str, **values: Any) -> Hostile:
    return Hostile(name, partial(_edit, lambda content: content.update(values)), named)


def _raw(name: str, data: bytes, named: str, heavy: bool = False) -> Hostile:
    def make(store: Path) -> None:
        (store / "manifest.json").write_bytes(data)

    return Hostile(f"manifest: {name}", make, named, heavy)


def _endless_manifest(store: Path) -> None:
    os.truncate(store / "manifest.json", 300 * MIB)


def _many_shards(content: dict[str, Any]) -> None:
    first = json.dumps(content["shards"][0])
    for index in range(2, 5_000):
        content["shards"].append(json.loads(first.replace("part-00000", f"part-{index:05d}")))
        content["shards"][-1]["index"] = index


def _twice(store: Path) -> None:
    text = (store / "manifest.json").read_text()
    (store / "manifest.json").write_text(text.replace("{", '{"schema_version": 99, ', 1))


def _nest(depth: int, content: dict[str, Any]) -> None:
    for _ in range(depth):
        content["identity"] = {"deeper": content["identity"]}


def _entry(table: Table, key: str, value: Any, content: dict[str, Any]) -> None:
    forge.entry_of(content, table)[key] = value


def _dim(dim: Any, content: dict[str, Any]) -> None:
    for entry in content["shards"]:
        entry["embedding_dim"] = dim


# --- what is no file


def _links() -> Iterator[Hostile]:
    kinds: dict[str, Callable[[Path, Path], None]] = {
        "link": lambda path, aside: path.symlink_to(aside),
        "link to a device": lambda path, aside: path.symlink_to("/dev/zero"),
        "pipe": lambda path, aside: os.mkfifo(path),
        "socket": lambda path, aside: os.mknod(path, 0o644 | stat.S_IFSOCK),
        "folder": lambda path, aside: path.mkdir(),
    }
    if os.geteuid() == 0:
        kinds["device"] = lambda path, aside: os.mknod(
            path, 0o666 | stat.S_IFCHR, os.makedev(1, 5)
        )
    files = ("manifest.json", "README.md", "texts/*", "media/*", "recordings/answers*")
    for kind, put in kinds.items():
        for name in files:
            make = partial(_instead, name, put)
            yield Hostile(f"{kind} instead of {name}", make, "")
    for folder in ("texts", "recordings"):
        yield Hostile(f"link instead of {folder}", partial(_folder_link, folder), "")
    yield Hostile("hard names", _hard_names, "does not belong to the store")


def _instead(name: str, put: Callable[[Path, Path], None], store: Path) -> None:
    path = sorted(store.glob(name))[0]
    aside = store.parent / f"{store.name}.aside"
    aside.mkdir(exist_ok=True)
    shutil.move(path, aside / path.name)
    put(path, aside / path.name)


def _folder_link(name: str, store: Path) -> None:
    aside = store.parent / f"{store.name}.aside"
    shutil.move(store / name, aside)
    (store / name).symlink_to(aside)


def _hard_names(store: Path) -> None:
    for name in ("\x1b[2J", "-rf", "a\nb", "\u202egpj", os.fsdecode(b"\xff\xfe")):
        (store / name).write_bytes(b"x")


# --- footers that lie


def _footers() -> Iterator[Hostile]:
    def lie(
        name: str, change: Callable[[forge.Struct], None], named: str = "cannot be read"
    ) -> Hostile:
        def make(store: Path) -> None:
            forge.put(store, "texts", forge.with_footer(_bytes(store, "texts"), change))

        return Hostile(f"footer: {name}", make, named)

    def field(number: int, value: Any, kind: int = 6) -> Callable[[forge.Struct], None]:
        return lambda said: said.update({number: (kind, value)})

    def group(number: int, value: int) -> Callable[[forge.Struct], None]:
        return lambda said: said[4][1][1][0].update({number: (6, value)})

    def column(number: int, value: Any, kind: int = 6) -> Callable[[forge.Struct], None]:
        return lambda said: forge.chunk(said, 0, 2).update({number: (kind, value)})

    for rows in (10**9, 2**62, -1):
        yield lie(f"{rows} rows", field(3, rows))
        yield lie(f"a group of {rows} rows", group(3, rows))
        # Nobody believes these two.
        yield lie(f"{rows} values", column(5, rows), "")
        yield lie(f"{rows} bytes", group(2, rows), "" if rows == 10**9 else "cannot be read")
        yield lie(f"{rows} bytes unpacked", column(6, rows), "")
        yield lie(f"{rows} bytes packed", column(7, rows))
        yield lie(f"a page at {rows}", column(9, rows))
        yield lie(f"a dictionary at {rows}", column(11, rows), "")
    yield lie("more bytes packed than a place in a file can say", column(7, 2**63 - 1))
    yield lie("an unknown codec", column(4, 99, 5))
    yield lie("another codec", column(4, 1, 5))
    yield lie("another type", column(1, 1, 5), "")
    yield lie("another path", column(3, (8, [b"key"]), 9), "")
    yield lie("encodings that are not used", column(2, (5, [2, 8]), 9), "")
    yield lie("no groups", lambda said: said.update({4: (9, (12, []))}))
    yield lie("a group of no columns", _no_columns)
    yield lie("a file elsewhere", _elsewhere)
    yield lie("100,000 empty groups", _empty_groups)
    yield lie("no schema", field(2, (12, []), 9))
    yield lie("a million children", _children)
    yield lie("a tree of itself", _deep_schema)
    yield lie("an Arrow schema of noise", _arrow_schema(b"AAAA" * 1000), "")
    yield lie("an Arrow schema with an extension", _arrow_schema(_extension()), "")
    yield lie("a million notes", lambda said: said.update({5: (9, (12, [_note()] * 100_000))}), "")
    yield lie("encrypted", field(8, {1: (12, {})}, 12), "")
    for name, data in (
        ("encrypted for real", b"PARE" + b"\0" * 64 + (50).to_bytes(4, "little") + b"PARE"),
        ("footer of 2 GB", b"PAR1" + b"\0" * 64 + (2**31 - 1).to_bytes(4, "little") + b"PAR1"),
        ("footer of 4 GB", b"PAR1" + b"\0" * 64 + b"\xff" * 4 + b"PAR1"),
        ("empty", b""),
        ("magic only", b"PAR1PAR1"),
        ("a pickle", b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR."),
        ("a zip", b"PK\x03\x04" + b"\0" * 64),
        ("an Arrow file", _arrow_file()),
    ):
        yield Hostile(f"Parquet: {name}", partial(_put_bytes, data), "cannot be read")
    yield Hostile("footer of 40 MB", _big_footer, "footer claims", heavy=True)


def _bytes(store: Path, table: Table) -> bytes:
    path: str = forge.entry_of(forge.manifest_of(store), table)["path"]
    return (store / path).read_bytes()


def _put_bytes(data: bytes, store: Path) -> None:
    forge.put(store, "texts", data)


def _no_columns(said: forge.Struct) -> None:
    said[4][1][1][0][1] = (9, (12, []))


def _elsewhere(said: forge.Struct) -> None:
    for column in said[4][1][1][0][1][1][1]:
        column[1] = (8, b"/etc/passwd")


def _empty_groups(said: forge.Struct) -> None:
    empty = {**said[4][1][1][0], 3: (6, 0)}
    said[4] = (9, (12, [said[4][1][1][0], *[empty] * 10_000]))


def _children(said: forge.Struct) -> None:
    said[2][1][1][0][5] = (5, 1_000_000)


def _deep_schema(said: forge.Struct) -> None:
    elements = said[2][1][1]
    inner = {3: (5, 0), 4: (8, b"a"), 5: (5, 1)}
    said[2] = (9, (12, [{**elements[0], 5: (5, 1)}, *[inner] * 50_000, elements[1]]))


def _note() -> forge.Struct:
    return {1: (8, b"key"), 2: (8, b"value")}


def _arrow_schema(value: bytes) -> Callable[[forge.Struct], None]:
    def change(said: forge.Struct) -> None:
        said[5] = (9, (12, [{1: (8, b"ARROW:schema"), 2: (8, value)}]))

    return change


def _extension() -> bytes:
    """Return an Arrow schema that names an extension type which older readers would unpickle."""
    import base64

    pickled = b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR."
    notes = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickled,
    }
    fields = [field.with_metadata(notes) for field in SCHEMAS["texts"]]
    serialized: bytes = pa.schema(fields).serialize().to_pybytes()
    return base64.b64encode(serialized)


def _arrow_file() -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, SCHEMAS["texts"]) as writer:
        writer.write_table(SCHEMAS["texts"].empty_table())
    return sink.getvalue()


def _big_footer(store: Path) -> None:
    def grow(said: forge.Struct) -> None:
        said[6] = (8, b"x" * 40 * MIB)

    forge.put(store, "texts", forge.with_footer(_bytes(store, "texts"), grow))


# --- pages that lie


def _pages() -> Iterator[Hostile]:
    def page(
        name: str,
        table: Table,
        column: str,
        change: Callable[[forge.Struct, bytes], tuple[forge.Struct, bytes]],
        named: str = "cannot be read",
        **how: Any,
    ) -> Hostile:
        def make(store: Path) -> None:
            data = _bytes(store, table)
            data = forge.with_page(data, 0, forge.leaf(table, column), change, **how)
            forge.put(store, table, data)

        return Hostile(f"page: {name}", make, named)

    for size in (2**31 - 1, 10**9, -1, 0):
        yield page(f"{size} bytes unpacked", "texts", "text", _said(2, size))
        yield page(f"{size} bytes packed", "texts", "text", _said(3, size))
        yield page(f"{size} values", "texts", "text", _values_said(size))
        yield page(f"{size} tokens", "examples", "tokens", _values_said(size))
        yield page(
            f"{size} values of a dictionary",
            "examples",
            "split",
            _values_said(size),
            dictionary=True,
        )
    yield page("zeros", "texts", "text", _zeros(1 << 30), "claims to take")
    yield page(
        "one value, often",
        "examples",
        "split",
        _one_value(256 * MIB),
        "claims to take",
        dictionary=True,
    )
    for encoding in (1, 2, 6, 7, 8, 9, 99, -1):
        yield page(f"encoding {encoding}", "texts", "text", _encoded(encoding))
    yield page("of an unknown kind", "texts", "text", _said(1, 9))
    yield page("an index", "texts", "text", _said(1, 1))
    yield page("notes of 1 MB", "texts", "text", _statistics(MIB))
    yield page("headers in headers", "texts", "text", _deep_header)
    yield page("noise", "texts", "text", lambda header, body: (header, os.urandom(len(body))))
    yield page("nothing", "texts", "text", lambda header, body: ({**header, 3: (5, 0)}, b""))
    yield Hostile("prefixes of prefixes", _prefixes, "claims to take", heavy=True)
    yield Hostile("one value of 4,000 rows", _dictionary_bomb, "claims to take", heavy=True)
    yield Hostile("a list of 100 million", _long_list, "claims to take", heavy=True)


def _said(number: int, value: int) -> Callable[[forge.Struct, bytes], tuple[forge.Struct, bytes]]:
    return lambda header, body: ({**header, number: (5, value)}, body)


def _describing(header: forge.Struct) -> int:
    return next(number for number in (5, 7, 8) if number in header)


def _values_said(
    value: int,
) -> Callable[[forge.Struct, bytes], tuple[forge.Struct, bytes]]:
    def change(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
        header[_describing(header)][1][1] = (5, value)
        return header, body

    return change


def _encoded(value: int) -> Callable[[forge.Struct, bytes], tuple[forge.Struct, bytes]]:
    def change(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
        header[_describing(header)][1][2] = (5, value)
        return header, body

    return change


def _zeros(size: int) -> Callable[[forge.Struct, bytes], tuple[forge.Struct, bytes]]:
    def change(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
        packed = pa.compress(bytes(size), "zstd", asbytes=True)
        return {**header, 2: (5, size), 3: (5, len(packed))}, packed

    return change


def _one_value(size: int) -> Callable[[forge.Struct, bytes], tuple[forge.Struct, bytes]]:
    def change(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
        packed = pa.compress(size.to_bytes(4, "little") + b"x" * size, "zstd", asbytes=True)
        return {**header, 2: (5, size + 4), 3: (5, len(packed))}, packed

    return change


def _statistics(
    size: int,
) -> Callable[[forge.Struct, bytes], tuple[forge.Struct, bytes]]:
    def change(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
        header[5][1][5] = (12, {1: (8, b"x" * size)})
        return header, body

    return change


def _deep_header(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
    inner: forge.Struct = {}
    for _ in range(300):
        inner = {20: (12, inner)}
    return {**header, 20: (12, inner)}, body


def _dictionary_bomb(store: Path) -> None:
    """One split of 8 MB, which 4,000 rows have: 32 GB out of some kilobytes."""
    first = forge.table_of_shard(store, "examples").slice(0, 1)
    rows = pa.concat_tables([first] * 4000)
    data = forge.parquet(rows, "examples", row_group_size=4000)
    place = forge.leaf("examples", "split")
    data = forge.with_page(data, 0, place, _one_value(8 * MIB), dictionary=True)

    def lie(said: forge.Struct) -> None:
        forge.chunk(said, 0, place).update({2: (9, (5, [0, 3])), 6: (6, 100)})

    forge.put(store, "examples", forge.with_footer(data, lie), 4000)


def _prefixes(store: Path) -> None:
    """Each text is all of the one before and one more letter: gigabytes out of little."""
    texts = pa.array(["x" * length for length in range(256)], pa.string())
    rows = _text_rows(texts)
    options = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
    data = forge.parquet(rows, "texts", **options)

    def longer(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
        raw = bytes(pa.decompress(body, header[2][1], "zstd", asbytes=True)) + bytes(8 * MIB)
        packed = pa.compress(raw, "zstd", asbytes=True)
        return {**header, 2: (5, len(raw)), 3: (5, len(packed))}, packed

    data = forge.with_page(data, 0, forge.leaf("texts", "text"), longer)
    forge.put(store, "texts", data, 256)


def _text_rows(texts: pa.Array) -> pa.Table:
    keys = [hashlib.sha256(text.as_py().encode()).hexdigest() for text in texts]
    columns = [pa.array(keys), pa.array([0] * len(keys), pa.int32()), texts]
    return pa.Table.from_arrays(columns, schema=SCHEMAS["texts"]).sort_by("key")


def _long_list(store: Path) -> None:
    """One post of 100 million empty words: runs of one value take some bytes."""
    first = forge.table_of_shard(store, "examples").slice(0, 1)
    offsets = pa.array([0, 30_000_000], pa.int32())
    words = pa.array([""], pa.string()).take(pa.array([0], pa.int64()))
    words = pa.concat_arrays([words] * 1).dictionary_encode()
    indices = pa.nulls(30_000_000, pa.int32()).fill_null(0)
    tokens = pa.DictionaryArray.from_arrays(indices, words.dictionary).cast(pa.string())
    column = pa.ListArray.from_arrays(
        offsets, tokens, type=SCHEMAS["examples"].field("tokens").type
    )
    place = first.schema.get_field_index("tokens")
    rows = first.set_column(place, first.schema.field(place), column)
    options = {"use_dictionary": ["tokens.list.element"], "row_group_size": 64}
    forge.put(store, "examples", forge.parquet(rows, "examples", **options), 1)


# --- tables of another form


def _tables() -> Iterator[Hostile]:
    def other(
        name: str, table: Callable[[Path], pa.Table], named: str = "other columns"
    ) -> Hostile:
        def make(store: Path) -> None:
            content = table(store)
            sink = pa.BufferOutputStream()
            pq.write_table(content, sink)
            forge.put(store, "texts", sink.getvalue().to_pybytes(), content.num_rows)

        return Hostile(f"table: {name}", make, named)

    def texts(store: Path) -> pa.Table:
        return forge.table_of_shard(store, "texts")

    yield other("no columns", lambda store: pa.table({}))
    yield other("5,000 columns", lambda store: pa.table({f"c{n}": [1] for n in range(5000)}))
    yield other("a column more", lambda store: texts(store).append_column("more", [["x"] * 4]))
    yield other("columns of one name", lambda store: _same_names(texts(store)))
    yield other("large strings", lambda store: texts(store).cast(_large(texts(store).schema)))
    yield other("dictionaries", lambda store: _encoded_strings(texts(store)))
    yield other("50 lists deep", lambda store: _deep_lists(), "too deeply nested")
    yield other("null allowed", lambda store: pa.table(texts(store).to_pydict()))
    yield Hostile("null where none is", _null_in_place, "")
    yield Hostile("not UTF-8", _not_utf8, "UTF-8|UTF8|invalid")


def _same_names(table: pa.Table) -> pa.Table:
    return table.rename_columns(["key"] * 3)


def _large(schema: pa.Schema) -> pa.Schema:
    kinds = {pa.string(): pa.large_string()}
    return pa.schema([pa.field(f.name, kinds.get(f.type, f.type), f.nullable) for f in schema])


def _encoded_strings(table: pa.Table) -> pa.Table:
    return pa.table({"key": table["key"].dictionary_encode(), "stored_in": table["stored_in"]})


def _deep_lists() -> pa.Table:
    kind = pa.int32()
    value: Any = 1
    for _ in range(50):
        kind, value = pa.list_(kind), [value]
    return pa.table({"key": pa.array([value], kind)})


def _null_in_place(store: Path) -> None:
    rows = forge.table_of_shard(store, "texts")
    keys = pa.array([None, *rows["key"].to_pylist()[1:]], pa.string())
    loose = pa.schema([pa.field(f.name, f.type) for f in SCHEMAS["texts"]])
    table = pa.Table.from_arrays([keys, *rows.columns[1:]], schema=loose)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, store_schema=False)
    forge.put(store, "texts", sink.getvalue().to_pybytes(), table.num_rows)


def _not_utf8(store: Path) -> None:
    def spoil(header: forge.Struct, body: bytes) -> tuple[forge.Struct, bytes]:
        raw = bytearray(pa.decompress(body, header[2][1], "zstd", asbytes=True))
        raw[-3:] = b"\xff\xfe\xff"
        packed = pa.compress(bytes(raw), "zstd", asbytes=True)
        return {**header, 3: (5, len(packed))}, packed

    data = _bytes(store, "texts")
    forge.put(store, "texts", forge.with_page(data, 0, forge.leaf("texts", "text"), spoil))


# --- values that no writer writes


def _values() -> Iterator[Hostile]:
    def value(table: Table, column: str, first: Any, named: str, what: str = "") -> Hostile:
        def make(store: Path) -> None:
            forge.change_column(store, table, column, lambda old: _first(old, first))

        return Hostile(f"{table}.{column}: {what or repr(first)[:40]}", make, named)

    nan, infinite = float("nan"), float("inf")
    for number in (nan, infinite, -infinite, 1e30, 1e-30):
        vector = [number, *[0.0] * 7]
        yield value("examples", "sentence_embedding", vector, "sentence_embedding")
        yield value("examples", "region_embeddings", [vector, None], "region_embeddings")
        yield value("evidence", "embedding", vector, "embedding")
    for size in (0, 7, 9, 100_000):
        yield value("evidence", "embedding", [0.5] * size, "numbers where", f"{size} numbers")
        yield value(
            "examples", "photo_embedding", [0.5] * size, "numbers where", f"{size} numbers"
        )
    yield value("evidence", "embedding", [0.0] * 8, "", "zeros")
    for score in ("provider_score", "fused_score", "relevance", "consistency"):
        yield value("evidence", score, nan, score)
        yield value("evidence", score, infinite, score)
    for place in (-2, 7, 2**31 - 1):
        yield value("evidence", "region_index", place, "region_index")
    for rank in (-1, -(2**31)):
        yield value("evidence", "rank", rank, "rank makes no sense")
        yield value("evidence", "hit_rank", rank, "hit_rank makes no sense")
    yield value("evidence", "level", "root", "level")
    yield value("evidence", "modality", "video", "modality")
    yield value("evidence", "example_id", "nobody", "is of no post")
    yield value("evidence", "text_key", "0" * 64, "is missing")
    yield value("evidence", "text_key", "../../x", "is missing")
    yield value("evidence", "media_key", "/etc/passwd", "no content key")
    yield value("examples", "split", "production", "split")
    yield value("examples", "photo_status", "fine", "photo status")
    yield value("examples", "photo_key", "x" * 64, "no content key")
    yield value("examples", "post_sha256", "0" * 64, "post_sha256")
    for start, end in ((-1, 1), (0, 0), (1, 0), (0, 2**31 - 1), (-(2**31), 2**31 - 1)):
        yield value("examples", "head", {"start": start, "end": end}, "head makes no sense")
    box = {"left": nan, "top": 0.0, "right": 1.0, "bottom": 1.0, "label": "a", "confidence": 0.5}
    yield value("examples", "regions", [box, box], "regions.left")
    yield value("examples", "regions", [], "regions make no sense|region_index")
    yield value("texts", "stored_in", 2**31 - 1, "wrong shard")
    yield value("texts", "stored_in", -1, "|wrong shard|in shard")
    yield value("texts", "text", "another", "is another")
    yield value("texts", "text", None, "wrong shard")
    yield value("texts", "key", "0" * 63, "no content key")
    yield value("media", "data", b"another", "is another")
    yield value("media", "stored_in", 1, "wrong shard")
    yield Hostile("texts in a circle", _circle, "wrong shard")
    yield Hostile("a text that no row names", _unnamed, "needed by no row")
    yield Hostile("one post in two shards", _same_post, "in the wrong shard")
    yield Hostile("one post twice", partial(_repeat, "examples"), "not sorted by unique")
    yield Hostile("one text twice", partial(_repeat, "texts"), "not sorted by unique")
    yield Hostile(
        "a text of 100 MB",
        _long_text,
        "a value of the column text has 100,000,000 bytes",
        heavy=True,
    )
    yield Hostile("a text of 3 MB in every row", _long_text_often, "", heavy=True)
    yield Hostile("260,000 hits", partial(_hits, 260_000), "", heavy=True)
    yield Hostile("a million rows", _million, "1,000,000 rows are more", heavy=True)


def _first(values: list[Any], new: Any) -> list[Any]:
    """Put a value in the place of the first that is one."""
    place = next((at for at, old in enumerate(values) if old not in (None, [])), 0)
    return [*values[:place], new, *values[place + 1 :]]


def _circle(store: Path) -> None:
    for index in range(2):
        rows = forge.table_of_shard(store, "texts", index)
        here = pa.array([1 - index] * rows.num_rows, pa.int32())
        empty = pa.nulls(rows.num_rows, pa.string())
        rows = pa.Table.from_arrays([rows["key"], here, empty], schema=SCHEMAS["texts"])
        forge.put_table(store, "texts", rows, index)


def _unnamed(store: Path) -> None:
    rows = forge.table_of_shard(store, "texts")
    more = _text_rows(pa.array(["nobody says so"]))
    forge.put_table(store, "texts", pa.concat_tables([rows, more]).sort_by("key"))


def _same_post(store: Path) -> None:
    for table in ("examples", "evidence", "dropped", "texts", "media"):
        rows = forge.table_of_shard(store, table, 0)
        forge.put_table(store, table, rows, 1)


def _repeat(table: Table, store: Path) -> None:
    rows = forge.table_of_shard(store, table)
    forge.put_table(store, table, pa.concat_tables([rows.slice(0, 1), rows]))


def _said_by(store: Path, text: str) -> None:
    """Let every hit of shard 0 say one text."""
    key = content_key(text.encode())
    for table in ("evidence", "dropped"):
        rows = forge.table_of_shard(store, table)
        place = rows.schema.get_field_index("text_key")
        keys = pa.array([key] * rows.num_rows, pa.string())
        forge.put_table(store, table, rows.set_column(place, rows.schema.field(place), keys))
    forge.put_table(store, "texts", _text_rows(pa.array([text])))


def _long_text(store: Path) -> None:
    _said_by(store, "x" * 100_000_000)


def _long_text_often(store: Path) -> None:
    _said_by(store, "x" * 3_000_000)


def _million(store: Path) -> None:
    _hits(1_000_000, store)


def _hits(number: int, store: Path) -> None:
    """A post with many kept hits, which hardly take room on the disk."""
    rows = forge.table_of_shard(store, "evidence").slice(0, 1)
    rows = rows.take(pa.array([0] * number))
    data = forge.parquet(rows, "evidence", row_group_size=4096)
    forge.put(store, "evidence", data, number)


# --- images


def _images() -> Iterator[Hostile]:
    html = b"<html><script>alert(1)</script></html>"
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    for name, data, named in (
        ("100,000 pixels square", png(100_000, 100_000), "pixels"),
        ("2 billion pixels wide", png(2**31 - 1, 1), "pixels"),
        ("no pixels", png(0, 0), ""),
        ("a bomb of zeros", png(7000, 7000, zlib.compress(bytes(60 * MIB), 9)), ""),
        ("a page", html, "the image"),
        ("a drawing", svg, "the image"),
        ("a program", b"\x7fELF" + bytes(200), "the image"),
        ("a pickle", b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.", "the image"),
        ("half of a picture", png(4, 3)[:20], "the image"),
        ("nothing", b"", "the image|wrong shard|missing"),
        ("a picture and a page", png(4, 3) + html, ""),
        ("a picture and an archive", png(4, 3) + _archive(), ""),
        ("a GIF of a page", b"GIF89a" + struct.pack("<HH", 4, 3) + html, "the image"),
    ):
        yield Hostile(f"image: {name}", partial(_put_image, data, "PNG", (4, 3)), named)
    for kind in ("SVG", "PNG\0", "<script>", "EPS", ""):
        data = png(4, 3) + kind.encode()
        yield Hostile(f"image of {kind!r}", partial(_put_image, data, kind, (4, 3)), "the image")
    for size in ((0, 0), (-1, -1), (2**31 - 1, 2**31 - 1)):
        make = partial(_put_image, png(4, 3), "PNG", size)
        yield Hostile(f"image said to be {size}", make, "the image")


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """Return a PNG of one grey, or with a body of its own."""

    def part(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    small = zlib.compress(bytes(min((width + 1) * height, MIB)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (part(b"IHDR", header), part(b"IDAT", body or small), part(b"IEND", b""))
    )


def _archive() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("../../pwned", "x")
    return sink.getvalue()


def _put_image(data: bytes, kind: str, size: tuple[int, int], store: Path) -> None:
    """Put an image in the place of the first of shard 0; all that name that one name it."""
    old = forge.table_of_shard(store, "media")["key"][0].as_py()
    key = content_key(data)
    for index in range(2):
        for table, column in (
            ("examples", "photo_key"),
            ("evidence", "media_key"),
            ("dropped", "media_key"),
        ):
            rows = forge.table_of_shard(store, table, index)  # type: ignore[arg-type]
            names = [key if one == old else one for one in rows[column].to_pylist()]
            place = rows.schema.get_field_index(column)
            field = rows.schema.field(place)
            rows = rows.set_column(place, field, pa.array(names, pa.string()))
            forge.put_table(store, table, rows, index)  # type: ignore[arg-type]
        rows = forge.table_of_shard(store, "media", index).to_pylist()
        for row in rows:
            if row["key"] == old:
                row |= {"key": key, "format": kind, "width": size[0], "height": size[1]}
                row["data"] = data if row["data"] is not None else None
        rows.sort(key=lambda row: str(row["key"]))
        forge.put_table(store, "media", pa.Table.from_pylist(rows, SCHEMAS["media"]), index)


# --- what is planted beside it


def _planted() -> Iterator[Hostile]:
    yield Hostile("derived files with forged tickets", _derived, "")
    yield Hostile("a database", _database, "does not belong")
    yield Hostile("pickles and programs", _programs, "does not belong")
    yield Hostile("a recording with a lying name", _lying_recording, "name promises")
    yield Hostile("a recording of the future", partial(_recording, "2999-01-01T00:00:00Z"), "")
    yield Hostile("a recording of no time", partial(_recording, "\x1b[2J<script>"), "")
    yield Hostile("a recording of 600 MB", _huge_recording, "claims to take", heavy=True)
    yield Hostile("a recording of other columns", _other_recording, "other columns")
    yield Hostile("recordings.json of lies", _listing, "")
    yield Hostile("a lock of somebody", _lock, "")


def _derived(store: Path) -> None:
    from cache.reading.derive import FORMAT
    from cache.reading.derived_file import FORMS

    (store / "local").mkdir(exist_ok=True)
    for form in FORMS:
        name = f"features-{forge.manifest_of(store)['sha256'][:16]}-{FORMAT}.{form}"
        path = store / "local" / name
        path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR." + os.urandom(100))
        status = path.lstat()
        ticket = {"size_bytes": status.st_size, "changed_ns": status.st_ctime_ns}
        path.with_name(f"{name}.json").write_text(json.dumps(ticket))


def _database(store: Path) -> None:
    (store / "local" / "features").mkdir(parents=True)
    for name in ("data.mdb", "lock.mdb"):
        (store / "local" / "features" / name).write_bytes(os.urandom(8192))


def _programs(store: Path) -> None:
    for name in ("store.pkl", "conftest.py", "sitecustomize.py", "dataset.pth", "pyarrow.py"):
        (store / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")


def _lying_recording(store: Path) -> None:
    path = next(store.glob("recordings/answers-*"))
    path.rename(path.with_name(f"answers-{'0' * 32}.parquet"))


def _recording(asked_at: str, store: Path) -> None:
    row = {
        "key": content_key(b"query"),
        "provider": "kb",
        "query_json": '{"a": 1}',
        "asked_at": asked_at,
        "body": b"<script>alert(1)</script>",
    }
    _put_recording(store, pa.Table.from_pylist([row], SCHEMAS["recordings"]))


def _put_recording(store: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    data = sink.getvalue().to_pybytes()
    name = f"answers-{hashlib.sha256(data).hexdigest()[:32]}.parquet"
    (store / "recordings" / name).write_bytes(data)


def _huge_recording(store: Path) -> None:
    """An answer of zeros: some kilobytes on the disk."""
    path = next(store.glob("recordings/answers-*"))
    place = SCHEMAS["recordings"].names.index("body")
    data = forge.with_page(path.read_bytes(), 0, place, _zeros(600 * MIB))
    name = f"answers-{hashlib.sha256(data).hexdigest()[:32]}.parquet"
    path.with_name(name).write_bytes(data)


def _other_recording(store: Path) -> None:
    _put_recording(store, pa.table({"key": ["x"]}))


def _listing(store: Path) -> None:
    text = json.dumps({"../../x": 1, "/etc/passwd": -1, "recordings/answers-0.parquet": 2**70})
    (store / "recordings.json").write_text(text)


def _lock(store: Path) -> None:
    (store / "build.lock").write_text('{"host": "\x1b[2J", "pid": -1, "since": "<script>"}')


# --- strange, and still sound


def _strange() -> Iterator[Hostile]:
    for number, text in enumerate(STRINGS):
        yield Hostile(f"strings {number}: {text[:20]!r}", partial(_painted, text), "")


def _painted(text: str, store: Path) -> None:
    """Write a sound store whose every free text is ``text``."""
    shutil.rmtree(store)
    identity = {**IDENTITY, "name": text, text: {text: text}}
    with StoreWriter(store, identity=identity, num_shards=2) as writer:
        for index in range(2):
            part = shard(index, 4)
            rows = tuple(_painted_row(row, text) for row in part.rows)
            dropped = {
                f"{name} {text}": tuple(
                    replace(item, hit=_painted_hit(item.hit, text), step=text, reason=text)
                    for item in items
                )
                for name, items in part.dropped.items()
            }
            media = [_real_image(index), _real_image(index + 1)]
            writer.write_shard(index, rows, dropped, media, (f"unfinished {index} {text}",))
        writer.close({text: 1, f"posts {text}": text}, rights={"licence": text, text: text})


def _real_image(number: int) -> Media:
    data = png(4, 3) + str(number).encode()
    return Media(content_key(data), data, "PNG", 4, 3)


def _painted_hit(hit: Any, text: str) -> Any:
    names = {content_key(image(n).data): _real_image(n).key for n in range(3)}
    return replace(
        hit,
        provider=text,
        document_id=f"{text}{hit.rank}",
        text=f"{text} {hit.text}",
        title=text,
        url=text,
        image_url=text,
        image_sha256=text,
        retrieved_at=text,
        query_key=text,
        media_key=names.get(hit.media_key),
    )


def _painted_row(row: StoredExample, text: str) -> StoredExample:
    names = {content_key(image(n).data): _real_image(n).key for n in range(3)}
    old = row.example.post
    post = replace(
        old,
        example_id=f"{old.example_id} {text}",
        tokens=tuple(text for _ in old.tokens),
        photo_name=text if old.photo_name else "",
    )
    seen = row.observation
    seen = replace(
        seen,
        post=post,
        photo_key=names.get(seen.photo_key or ""),
        regions=tuple(replace(region, label=text) for region in seen.regions),
    )
    entities = row.example.entities
    example = replace(
        row.example,
        post=post,
        entities=entities and tuple(span._replace(label=text) for span in entities),
        relation=text if row.example.relation else None,
    )
    evidence = tuple(replace(one, hit=_painted_hit(one.hit, text)) for one in row.evidence)
    return StoredExample(example, seen, evidence, post_sha256(post))
