"""Stores of older schemas, written anew in this one: one step for every change of the schema.

What an older schema did not know stays empty; a build from the recordings would know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
from pydantic import JsonValue

from cache.checking.verify import shard_problems
from cache.checking.verify_shard import check_shard
from cache.errors import InputError, StoreDamaged, StoreOutdated
from cache.keys import post_sha256, text_key
from cache.manifest import Manifest, ShardEntry, load_manifest, read_manifest
from cache.operations.merge_recordings import merge_recordings
from cache.operations.old_schemas import OLD_SCHEMAS, OldManifest, OldShard
from cache.operations.rewrite import new_store, write_table
from cache.records import Post, Span
from cache.schema import SCHEMA_VERSION, SCHEMAS, TABLES, Table
from cache.tables.shards import ParquetFile, check_bytes
from cache.writing.complete import Stated, promise, publish
from cache.writing.tidy import remove_leftovers


class OldTables(NamedTuple):
    """A shard on its way from one schema to the next."""

    entry: OldShard
    tables: dict[Table, pa.Table]


Shards = Iterator[OldTables]


def migrate_store(store: Path, out: Path) -> Manifest:
    """Write the older store ``store`` in the current schema into ``out``; return its manifest.

    Recordings are copied: their form has not changed. The identity is the old one and says under
    ``migrated_from`` which store it was. Killed, the same call goes on.

    Raises:
        InputError: the store is of the current schema, or ``out`` holds a store or a build.
        StoreDamaged: the store is not what its manifest promises, or holds what makes no sense.
        StoreMismatch: the store is of a schema that is not known here.
        StoreError: ``out`` cannot be written, or another process is at it.
    """
    old = _read_old(store)
    source: dict[str, JsonValue] = {
        "schema_version": old.schema_version,
        "manifest_sha256": old.fingerprint,
    }
    identity: dict[str, JsonValue] = {**old.identity, "migrated_from": source}
    with new_store(out, store, recorded=[store]):
        shards: Shards = (
            OldTables(shard, _tables(store, old.schema_version, shard)) for shard in old.shards
        )
        for version in range(old.schema_version, SCHEMA_VERSION):
            shards = STEPS[version](shards)
        entries = [_write(out, *shard) for shard in shards]
        merge_recordings([store / "recordings"], out / "recordings")
        stated = Stated(old.counters, rights={}, withheld=(), original="")
        try:
            manifest = promise(out, identity, entries, stated)
            _check(out, manifest)
        except (InputError, StoreDamaged) as error:
            raise StoreDamaged(
                f"{store} fits its own hashes, but what it holds makes no sense: {error} Ask who "
                f"made it. {out} is no store; remove it."
            ) from error
        publish(out, manifest)
        remove_leftovers(out, manifest)
    return manifest


def one_to_two(shards: Shards) -> Shards:
    """Move texts out of the rows of hits; forget cosines that consistency no longer is."""
    home: dict[str, int] = {}
    for entry, tables in shards:
        texts: dict[str, str] = {}
        for table in ("evidence", "dropped"):
            hits = tables[table]
            said = hits.column("text").to_pylist()
            keys = {text: text_key(text) for text in said if text}
            texts |= {key: text for text, key in keys.items()}
            empty = pa.array([""] * hits.num_rows, pa.string())
            new = {
                "text_key": pa.array([keys.get(text) for text in said], pa.string()),
                "image_url": empty,
                "image_sha256": empty,
                "consistency": pa.nulls(hits.num_rows, pa.float64()),
            }
            tables[table] = _arranged(hits, new, OLD_SCHEMAS[2][table])
        places = {key: home.setdefault(key, entry.index) for key in sorted(texts)}
        rows = [
            {"key": key, "stored_in": place, "text": texts[key] if place == entry.index else None}
            for key, place in places.items()
        ]
        tables["texts"] = pa.Table.from_pylist(rows, OLD_SCHEMAS[2]["texts"])
        yield OldTables(entry, tables)


def two_to_three(shards: Shards) -> Shards:
    """Give every post the hash of its inputs."""
    for entry, tables in shards:
        examples = tables["examples"]
        posts = zip(*(examples.column(n).to_pylist() for n in _INPUTS), strict=True)
        hashes = [
            post_sha256(Post("", tuple(tokens), head=_span(head), tail=_span(tail)))
            for tokens, head, tail in posts
        ]
        new = {"post_sha256": pa.array(hashes, pa.string())}
        tables["examples"] = _arranged(examples, new, SCHEMAS["examples"])
        yield OldTables(entry, tables)


STEPS: Final[dict[int, Callable[[Shards], Shards]]] = {1: one_to_two, 2: two_to_three}
_INPUTS: Final = ("tokens", "head", "tail")


def _span(value: dict[str, int] | None) -> Span | None:
    return None if value is None else Span(value["start"], value["end"])


def _arranged(table: pa.Table, new: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """Return the columns of ``schema``: new ones, and the others from ``table``."""
    columns = [new[name] if name in new else table.column(name) for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def _read_old(store: Path) -> OldManifest:
    try:
        read_manifest(store)
    except StoreOutdated:
        return load_manifest(store, OldManifest, OLD_SCHEMAS)
    raise InputError(
        f"{store} is of schema {SCHEMA_VERSION} already: there is nothing to migrate."
    )


def _tables(store: Path, version: int, shard: OldShard) -> dict[Table, pa.Table]:
    """Return the tables of a shard, every byte compared with the manifest."""
    tables: dict[Table, pa.Table] = {}
    for name, schema in OLD_SCHEMAS[version].items():
        entry = shard.files[name]
        file = ParquetFile(check_bytes(store, entry), name, entry.rows, schema=schema)
        groups = [file.group(index).cast(schema) for index in range(file.num_groups)]
        file.close()
        tables[name] = pa.concat_tables([schema.empty_table(), *groups])
    return tables


def _write(out: Path, entry: OldShard, tables: dict[Table, pa.Table]) -> ShardEntry:
    files = {
        name: write_table(out, entry.index, name, tables[name].cast(SCHEMAS[name]))
        for name in TABLES
    }
    return ShardEntry(
        index=entry.index,
        embedding_dim=entry.embedding_dim,
        unfinished=entry.unfinished,
        compared_with=entry.compared_with,
        files=files,
    )


def _check(out: Path, manifest: Manifest) -> None:
    found = [check_shard(out, shard, withheld=(), look=None) for shard in manifest.shards]
    if problems := shard_problems(out, manifest, found):
        raise StoreDamaged(problems[0])
