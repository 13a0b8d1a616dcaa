"""The posts of one shard, without their hits and without opening the rest of the store."""

from __future__ import annotations

from pathlib import Path

from cache.manifest import ShardEntry
from cache.records import StoredExample
from cache.tables.decode import decode_examples
from cache.tables.shards import open_shard


def shard_posts(root: Path, shard: ShardEntry) -> list[StoredExample]:
    """Return the posts of a shard of the store at ``root``, in order.

    Raises:
        StoreDamaged: the file is not what the manifest promises, or its rows make no sense.
    """
    file = open_shard(root, shard.files["examples"], "examples")
    try:
        return [
            StoredExample(example, seen, (), sha256)
            for group in range(file.num_groups)
            for example, seen, sha256 in decode_examples(file.group(group), shard.embedding_dim)
        ]
    finally:
        file.close()
