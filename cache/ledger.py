"""Which shard holds a text or an image: the lowest that needs it, in any order of building."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cache.errors import StoreDamaged
from cache.keys import content_key, is_content_key
from cache.manifest import ShardEntry
from cache.schema import CONTENT_COLUMN, SCHEMAS, SharedTable
from cache.shards import RESTORE, ParquetFile, open_shard

_DIGEST_BYTES: Final = 32
_DIGEST: Final = np.dtype(f"S{_DIGEST_BYTES}")
Digests = NDArray[np.bytes_]


class Needs(NamedTuple):
    """What one shard needs of a table, 36 bytes each: stores share millions of texts.

    Attributes:
        digests: keys as bytes, sorted, each once.
        stored_in: shard that its file says each of them is in.
    """

    digests: Digests
    stored_in: NDArray[np.int32]


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

    def load(self, shard: ShardEntry) -> None:
        """Read from disk what a shard of an earlier run needs."""
        file = open_shard(self._root, shard.files[self.table], self.table)
        keys, places = file.column("key"), file.column("stored_in")
        file.close()
        if not all(map(is_content_key, keys)):
            raise StoreDamaged(f"{file.path} has a key that is none. {RESTORE}")
        digests = _digests(keys)
        order = np.argsort(digests)
        self._needs[shard.index] = Needs(digests[order], np.array(places, np.int32)[order])

    def place(self, index: int, keys: Iterable[str]) -> dict[str, int]:
        """Note that shard ``index`` needs ``keys``; return the shard that holds each of them."""
        unique = sorted(set(keys))
        digests = _digests(unique)
        places = self._lowest(index, digests)
        self._needs[index] = Needs(digests, places)
        return dict(zip(unique, places.tolist(), strict=True))

    def unsettled(self) -> dict[int, dict[str, int]]:
        """Return the right places for every shard whose file says something else."""
        wrong: dict[int, dict[str, int]] = {}
        for index, needs in sorted(self._needs.items()):
            right = self._lowest(index, needs.digests)
            if not np.array_equal(right, needs.stored_in):
                # A fixed-width string of numpy ends at its zeros; `ljust` puts them back.
                keys = [d.ljust(_DIGEST_BYTES, b"\0").hex() for d in needs.digests.tolist()]
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

    def _lowest(self, index: int, digests: Digests) -> NDArray[np.int32]:
        """Return the lowest shard up to ``index`` that needs each of ``digests``."""
        places = np.full(len(digests), index, np.int32)
        for other, needs in sorted(self._needs.items(), reverse=True):
            if other < index:
                places[_found_in(needs.digests, digests)] = other
        return places


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


def _found_in(known: Digests, wanted: Digests) -> NDArray[np.intp]:
    """Return the places in ``wanted`` of what ``known`` holds; both sorted.

    The first eight bytes rule out nearly everything, ten times as fast as whole digests would.
    """
    if not len(known):
        return np.zeros(0, np.intp)
    near = np.searchsorted(_prefixes(known), _prefixes(wanted)).clip(max=len(known) - 1)
    maybe = np.flatnonzero(_prefixes(known)[near] == _prefixes(wanted))
    exact = np.searchsorted(known, wanted[maybe]).clip(max=len(known) - 1)
    found: NDArray[np.intp] = maybe[known[exact] == wanted[maybe]]
    return found


def _prefixes(digests: Digests) -> NDArray[np.uint64]:
    return digests.view(">u8")[:: _DIGEST_BYTES // 8].astype(np.uint64)
