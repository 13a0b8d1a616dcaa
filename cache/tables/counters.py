"""What a builder counts in its shards: from their rows, so that nobody has to remember it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cache.manifest import ShardEntry
from cache.schema import ROW_TABLES
from cache.tables.summary import Tally, tally

# First words of what `count_shards` counts; a builder may count other things as well.
COUNTED: Final = frozenset(("unfinished", "posts", "photos", "evidence", "dropped"))


def count_shards(
    store: Path, shards: Iterable[ShardEntry], known: dict[str, Tally] | None = None
) -> dict[str, int]:
    """Return what the shards hold, by kind.

    So the counts are the same whether the store was built in one run or in many, or merged.

    Args:
        store: its folder.
        shards: of it, as they were written or compared before.
        known: see `tally`.
    """
    shards = list(shards)
    held = tally(store, shards, known, ROW_TABLES)
    streams = held.group("streams").items()
    counts = {"unfinished": sum(len(shard.unfinished) for shard in shards)} if shards else {}
    for what, parts in (
        ("posts", held.group("posts")),
        ("evidence", {stream.replace("/", " "): number for stream, number in streams}),
        ("dropped", held.group("reasons")),
    ):
        if parts:
            counts[what] = sum(parts.values())
        counts |= {f"{what} {part}": number for part, number in parts.items()}
    counts |= {f"photos {status}": number for status, number in held.group("photos").items()}
    return dict(sorted(counts.items()))
