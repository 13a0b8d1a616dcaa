"""Which shard holds a text or an image: the lowest that needs it, in any order of building."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from cache.errors import StoreDamaged
from cache.keys import content_key, is_content_key
from cache.manifest import ShardEntry
from cache.schema import CONTENT_COLUMN, SCHEMAS, SharedTable
from cache.tables.shards import RESTORE, ParquetFile, open_shard
from cache.writing.lowest import DIGEST_BYTES, Digests, Lowest, Places

_DIGEST: Final = np.dtype(f"S{DIGEST_BYTES}")


class Needs(NamedTuple):
    """What one shard needs of a table, 36 bytes each: stores share millions of texts.

    Attributes:
        digests: keys as bytes, sorted, each once.
        stored_in: shard that its file says each of them is in.
    """

    digests: Digests
    stored_in: Places


class Ledger:
    """What every finished shard needs of one table, and where its file says that it is.

    A content is stored once per store. While shards are written the best guess is the lowest
    shard known so far; `unsettled` names the files in which later shards proved that guess wrong.

    Args:
        root: folder of the store.
        table: which contents.
    """

    def __init__(self, root: Path, table: SharedTable) -> None:
        self.table: Final = table
        self._root = root
        self._needs: dict[int, Needs] = {}
        self._lowest: Lowest | None = Lowest()

    def load(self, shard: ShardEntry) -> None:
        """Read from disk what a shard of an earlier run needs."""
        file = open_shard(self._root, shard.files[self.table], self.table)
        keys, places = file.column("key"), file.column("stored_in")
        file.close()
        if not all(map(is_content_key, keys)):
            raise StoreDamaged(f"{file.path} has a key that is none. {RESTORE}")
        digests = _digests(keys)
        order = np.argsort(digests)
        self._note(shard.index, Needs(digests[order], np.array(places, np.int32)[order]))

    def place(self, index: int, keys: Iterable[str]) -> dict[str, int]:
        """Note that shard ``index`` needs ``keys``; return the shard that holds each of them."""
        unique = sorted(set(keys))
        digests = _digests(unique)
        if self._lowest is None:
            self._lowest = self._counted_anew()
        places = self._lowest.find(index, digests)
        self._note(index, Needs(digests, places))
        return dict(zip(unique, places.tolist(), strict=True))

    def unsettled(self) -> dict[int, dict[str, int]]:
        """Return the right places for every shard whose file says something else."""
        wrong: dict[int, dict[str, int]] = {}
        # What a shard needed before it was written again counts no more.
        lowest = self._counted_anew()
        for index, needs in sorted(self._needs.items()):
            right = lowest.find(index, needs.digests)
            if not np.array_equal(right, needs.stored_in):
                # A fixed-width string of numpy ends at its zeros; `ljust` puts them back.
                keys = [d.ljust(DIGEST_BYTES, b"\0").hex() for d in needs.digests.tolist()]
                wrong[index] = dict(zip(keys, right.tolist(), strict=True))
        return wrong

    def needs(self, index: int) -> Needs | None:
        """Return what is known of shard ``index``, for `restore`."""
        return self._needs.get(index)

    def restore(self, index: int, needs: Needs | None) -> None:
        """Note what the file of shard ``index`` says; None where there is no such file."""
        if needs is None:
            self._needs.pop(index, None)
        else:
            self._needs[index] = needs
        # Nothing may be looked for in a file that was never written.
        self._lowest = None

    def _note(self, index: int, needs: Needs) -> None:
        self._needs[index] = needs
        if self._lowest is not None:
            self._lowest.add(index, needs.digests)

    def _counted_anew(self) -> Lowest:
        lowest = Lowest()
        for index, needs in self._needs.items():
            lowest.add(index, needs.digests)
        return lowest


def relocated(
    root: Path, shard: ShardEntry, table: SharedTable, places: Mapping[str, int]
) -> pa.Table:
    """Return a shard's table with each content where ``places`` says, and nowhere else.

    Files that the build has replaced are still there until it ends, so a content that one shard
    gave up is found for the shard that needs it now.

    Raises:
        StoreDamaged: a content is in no file.
    """
    content = CONTENT_COLUMN[table]
    file = open_shard(root, shard.files[table], table)
    rows = [row for i in range(file.num_groups) for row in file.group(i).to_pylist()]
    file.close()
    missing = {
        row["key"] for row in rows if places[row["key"]] == shard.index and row[content] is None
    }
    found: dict[str, Any] = {}
    for path in sorted((root / table).glob("part-*.parquet")):
        if len(found) == len(missing):
            break
        found |= _contents(path, table, missing - set(found))
    if missing - set(found):
        raise StoreDamaged(
            f"the content {min(missing - set(found))} is in no file of {root / table}. "
            f"Remove {root / 'build.journal'} and run the build again."
        )
    for row in rows:
        place = row["stored_in"] = places[row["key"]]
        kept = row[content] if row[content] is not None else found.get(row["key"])
        row[content] = kept if place == shard.index else None
    return pa.Table.from_pylist(rows, schema=SCHEMAS[table])


def _contents(path: Path, table: SharedTable, keys: set[str]) -> dict[str, Any]:
    file = ParquetFile(path, table)
    found: dict[str, Any] = {}
    for index in range(file.num_groups):
        part = file.group(index, ["key", CONTENT_COLUMN[table]])
        for key, value in zip(*(column.to_pylist() for column in part.columns), strict=True):
            if key in keys and value is not None and content_key(_bytes(value)) == key:
                found[key] = value
    file.close()
    return found


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _digests(keys: list[str]) -> Digests:
    return np.array([bytes.fromhex(key) for key in keys], _DIGEST)
