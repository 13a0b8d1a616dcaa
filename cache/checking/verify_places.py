"""Whether what shards say of each other holds: each post in one, each content where it is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cache.checking.verify_findings import ShardFindings
from cache.checking.verify_rows import DIGEST_BYTES
from cache.schema import CONTENT_COLUMN, SharedTable


def twice(root: Path, shards: Sequence[ShardFindings]) -> Iterator[str]:
    """Yield a problem for each post and each content that several shards hold."""
    for found, name in _repeated([(one, one.ids) for one in shards], pa.string()):
        where = root / found.shard.files["examples"].path
        yield f"{where}: post {name!r} is in another shard as well."
    for table in CONTENT_COLUMN:
        own = [(one, part) for one in shards for part in one.contents[table].own]
        for found, key in _repeated(own, pa.binary(DIGEST_BYTES)):
            where = root / found.shard.files[table].path
            yield f"{where}: the content {key.hex()} is in another shard too."


def elsewhere(root: Path, shards: Sequence[ShardFindings]) -> Iterator[str]:
    """Yield a problem for each shard that looks for a content where it is not."""
    for table in CONTENT_COLUMN:
        held, homes = _held(table, shards)
        asked = [
            (one.shard.index, keys, places)
            for one in shards
            for keys, places in zip(
                one.contents[table].others, one.contents[table].places, strict=True
            )
            if len(keys)
        ]
        if not asked:
            continue
        # One look for all: what is held is hashed anew for each.
        keys = pa.concat_arrays([keys for _, keys, _ in asked])
        places = np.concatenate([places for _, _, places in asked])
        users = np.concatenate([np.full(len(keys), index) for index, keys, _ in asked])
        at = pc.index_in(keys, value_set=held).fill_null(-1).to_numpy(False)
        rows = np.flatnonzero(homes[at] != places)
        for row in rows[np.unique(users[rows], return_index=True)[1]].tolist():
            yield (
                f"{root}: shard {users[row]} says that the content {keys[row].as_py().hex()} is "
                f"in shard {places[row]} of {len(shards)}, where it is not. Build the store again."
            )


def _held(
    table: SharedTable, shards: Sequence[ShardFindings]
) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return every content that a shard holds, and which one; last a shard that there is not."""
    parts = [(one.shard.index, part) for one in shards for part in one.contents[table].own]
    homes = [np.full(len(part), index) for index, part in parts]
    held = pa.chunked_array([part for _, part in parts], pa.binary(DIGEST_BYTES))
    return held.combine_chunks(), np.concatenate([*homes, [-1]]).astype(np.int64)


def _repeated(
    parts: Sequence[tuple[ShardFindings, pa.Array]], kind: pa.DataType
) -> Iterator[tuple[ShardFindings, Any]]:
    """Yield what several shards have, with the later one of them."""
    every = pa.chunked_array([part for _, part in parts], kind)
    if len(every) == len(every.unique()):
        return
    counted = pc.value_counts(every)
    several = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    first: dict[object, ShardFindings] = {}
    for found, part in parts:
        for value in part.filter(pc.is_in(part, value_set=several)).to_pylist():
            if first.setdefault(value, found) is not found:
                yield found, value
