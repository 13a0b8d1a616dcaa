"""What a builder counts in its shards: from the files, so that nobody has to remember it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from cache.manifest import ShardEntry
from cache.tables.shards import open_shard

# First words of what `count_shards` counts; a builder may count other things as well.
COUNTED: Final = frozenset(("unfinished", "posts", "photos", "evidence", "dropped"))


def count_shards(store: Path, shards: Iterable[ShardEntry]) -> dict[str, int]:
    """Return what the shards hold, by kind, counted from the files themselves.

    So the counts are the same whether the store was built in one run or in many, or merged.
    """
    counts: Counter[str] = Counter()
    for shard in shards:
        counts["unfinished"] += len(shard.unfinished)
        for split, status in _columns(store, shard, "examples", "split", "photo_status"):
            counts["posts"] += 1
            counts[f"posts {split}"] += 1
            counts[f"photos {status}"] += 1
        for level, modality in _columns(store, shard, "evidence", "level", "modality"):
            counts["evidence"] += 1
            counts[f"evidence {level} {modality}"] += 1
        for (step,) in _columns(store, shard, "dropped", "step"):
            counts["dropped"] += 1
            counts[f"dropped {step}"] += 1
    return dict(sorted(counts.items()))


def _columns(
    store: Path, shard: ShardEntry, table: Literal["examples", "evidence", "dropped"], *names: str
) -> list[tuple[object, ...]]:
    file = open_shard(store, shard.files[table], table)
    columns = [file.column(name) for name in names]
    file.close()
    return list(zip(*columns, strict=True))
