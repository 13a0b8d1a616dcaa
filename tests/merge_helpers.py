"""Stores that hold some of the posts of a larger one, or say something else of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from cache_helpers import IDENTITY, Shard, files_of, shard

from cache import Example, Manifest, Media, Post, StoredExample, StoreWriter, content_key
from cache.tables.counters import count_shards
from cache.writing.journal import JOURNAL_NAME, read_journal
from retrieval.datasets import Dataset

Change = Callable[[StoredExample], StoredExample]
NUM_SHARDS = 3
POSTS = 4
NAMES = tuple(f"post-{index:02d}-{i:02d}" for index in range(NUM_SHARDS) for i in range(POSTS))


def name_of(row: StoredExample) -> str:
    return row.example.post.example_id


def needed(part: Shard, names: Collection[str]) -> tuple[Media, ...]:
    """The images that some posts of a shard name."""
    rows = [row for row in part.rows if name_of(row) in names]
    keys = {row.observation.photo_key for row in rows}
    keys |= {kept.hit.media_key for row in rows for kept in row.evidence}
    keys |= {item.hit.media_key for name in names for item in part.dropped.get(name, ())}
    return tuple(item for item in part.media if item.key in keys)


def build_part(
    path: Path,
    names: Collection[str] = NAMES,
    *,
    identity: Mapping[str, object] = IDENTITY,
    change: Change = lambda row: row,
    rights: Mapping[str, str] | None = None,
    compared_with: str = "",
) -> Manifest:
    """Write a store in which other posts than ``names`` are unfinished, as a builder does."""
    with StoreWriter(path, identity=identity, num_shards=NUM_SHARDS) as writer:
        for index in range(NUM_SHARDS):
            whole = shard(index, POSTS)
            rows = [change(row) for row in whole.rows if name_of(row) in names]
            dropped = {name: items for name, items in whole.dropped.items() if name in names}
            left = [name_of(row) for row in whole.rows if name_of(row) not in names]
            media = needed(whole, [*map(name_of, rows)])
            writer.write_shard(index, rows, dropped, media, left, compared_with)
        journal = read_journal(path / JOURNAL_NAME)
        assert journal is not None
        counters = count_shards(path, [entry for _, entry in sorted(journal.shards.items())])
        return writer.close({**counters, "data set: odd": 2}, rights=rights)


def found_at(moment: str, title: str = "Another title") -> Change:
    """What makes evidence other evidence that was found at a certain time."""

    def change(row: StoredExample) -> StoredExample:
        kept = tuple(
            replace(one, hit=replace(one.hit, retrieved_at=moment, title=title))
            for one in row.evidence
        )
        return replace(row, evidence=kept)

    return change


def shared_files(store: Path) -> dict[str, bytes]:
    """All files of a store but the recordings."""
    return {
        name: data for name, data in files_of(store).items() if not name.startswith("recordings")
    }


def many_posts() -> Dataset:
    """A data set of posts enough to compare evidence with, each about other things."""
    words = ("river", "tower", "cup", "final", "band", "harbour", "rain", "storm", "market")
    examples = []
    for number in range(14):
        digest = hashlib.sha256(str(number).encode()).digest()
        tokens = tuple(words[byte % len(words)] for byte in digest[:5])
        examples.append(Example(Post(f"e{number:02}", tokens), "train", entities=()))
    return Dataset(tuple(examples), {}, (), None, (), content_key(b"many"))
