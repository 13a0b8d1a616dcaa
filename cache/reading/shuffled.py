"""An epoch over a store in random order, in the way that suits its reader."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from cache.reader import Features, StoreReader, features_of
from cache.reading.parquet_reader import ParquetReader

_AHEAD: Final = 256


def shuffled(reader: StoreReader, split: str | None = None, seed: int = 0) -> Iterator[Features]:
    """Yield every post of a split, or all posts, once.

    From derived files they come in any order, the next ones fetched from the disk meanwhile. From
    shards they come shard by shard, in random order of shards and within each: a shard is decoded
    once and not once for each of its posts. Neighbours in such an epoch are of one shard.

    Args:
        reader: of the store.
        split: which posts; None takes all.
        seed: decides the order; give every epoch its own.

    Raises:
        StoreDamaged: bytes are not what was written.
    """
    order = random.Random(seed)
    if isinstance(reader, ParquetReader):
        yield from _by_shard(reader, split, order)
        return
    ids = list(reader.example_ids(split))
    order.shuffle(ids)
    reader.prefetch(ids[:_AHEAD])
    for start in range(0, len(ids), _AHEAD):
        reader.prefetch(ids[start + _AHEAD : start + 2 * _AHEAD])
        yield from map(reader.features, ids[start : start + _AHEAD])


def _by_shard(
    reader: ParquetReader, split: str | None, order: random.Random
) -> Iterator[Features]:
    indices = list(range(len(reader.manifest.shards)))
    order.shuffle(indices)
    for index in indices:
        posts = [
            features_of(stored)
            for stored in reader.shard_records(index)
            if split in (None, stored.example.split)
        ]
        order.shuffle(posts)
        yield from posts
