"""Some posts of a store: their rows, and the texts and images that these still need."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cache.errors import StoreDamaged
from cache.keys import is_content_key
from cache.manifest import Manifest, ShardEntry
from cache.operations.rewrite import replaced, whole_table
from cache.schema import CONTENT_COLUMN, ROW_TABLES, SharedTable, Table
from cache.writing.ledger import Ledger

_NAMED_BY: Final[dict[SharedTable, tuple[str, ...]]] = {
    "texts": ("text_key",),
    "media": ("photo_key", "media_key"),
}


class Subset:
    """The tables of a store without some of its posts; shards in order of index.

    Args:
        root: folder of the store; every byte is compared with the manifest.
        manifest: of the store.
        names: ids of the posts that stay.
    """

    def __init__(self, root: Path, manifest: Manifest, names: Collection[str]) -> None:
        self._root = root
        self._manifest = manifest
        self._names = _strings(names)
        self._ledgers = {table: Ledger(root, table) for table in CONTENT_COLUMN}

    def shard(self, shard: ShardEntry) -> dict[Table, pa.Table]:
        """Return the tables of a shard, each text and image where it belongs now.

        Raises:
            StoreDamaged: the store is not what its manifest promises.
        """
        tables: dict[Table, pa.Table] = {}
        for table in ROW_TABLES:
            rows = self._whole(shard, table)
            tables[table] = rows.filter(pc.is_in(rows["example_id"], self._names))
        contents: dict[Table, pa.Table] = {}
        for shared, named_by in _NAMED_BY.items():
            named = [t[c] for t in tables.values() for c in named_by if c in t.column_names]
            needed = pa.chunked_array(
                [chunk for one in named for chunk in one.chunks], pa.string()
            )
            rows = self._whole(shard, shared)
            rows = rows.filter(pc.is_in(rows["key"], needed, skip_nulls=True))
            contents[shared] = self._settled(rows, shard, shared)
        return tables | contents

    def _whole(self, shard: ShardEntry, table: Table) -> pa.Table:
        return whole_table(self._root, shard.files[table], table)

    def _settled(self, rows: pa.Table, shard: ShardEntry, table: SharedTable) -> pa.Table:
        """Return ``rows`` with each content in the lowest shard that needs it."""
        column = CONTENT_COLUMN[table]
        keys, before = rows["key"].to_pylist(), rows["stored_in"].to_pylist()
        if not all(map(is_content_key, keys)):
            raise self._damaged(shard, table, "has a key that is none")
        places = self._ledgers[table].place(shard.index, keys)
        moved: dict[int, list[str]] = {}
        for key, place in zip(keys, before, strict=True):
            if places[key] == shard.index != place:
                moved.setdefault(place, []).append(key)
        fetched: dict[str, Any] = {}
        for place, wanted in moved.items():
            if not 0 <= place < shard.index:
                raise self._damaged(shard, table, f"says that a content is in shard {place}")
            there = self._whole(self._manifest.shards[place], table)
            there = there.filter(pc.is_in(there["key"], _strings(wanted)))
            fetched |= dict(zip(*(there[c].to_pylist() for c in ("key", column)), strict=True))
        values = pa.array([fetched.get(key) for key in keys], rows.schema.field(column).type)
        stored_in = pa.array([places[key] for key in keys], pa.int32())
        here = pc.equal(stored_in, shard.index)
        content = pc.if_else(here, pc.coalesce(rows[column], values), None)
        return replaced(rows, {"stored_in": stored_in, column: content})

    def _damaged(self, shard: ShardEntry, table: Table, why: str) -> StoreDamaged:
        path = self._root / shard.files[table].path
        return StoreDamaged(f"{path} {why}. Fetch or build the store again.")


def _strings(values: Collection[str]) -> pa.Array:
    return pa.array(sorted(values), pa.string())
