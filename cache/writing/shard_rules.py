"""What one shard may hold, and what must agree between shards of a store."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from cache.errors import InputError
from cache.keys import check_text
from cache.manifest import ShardEntry
from cache.records import Dropped, StoredExample
from cache.tables.shards import open_shard


def check_posts(
    index: int,
    rows: Sequence[StoredExample],
    dropped: Mapping[str, Sequence[Dropped]],
    unfinished: Sequence[str],
) -> list[str]:
    """Return the ids of ``rows``, which are sorted by id.

    Raises:
        InputError: an id occurs twice, is of no post of the shard, or is finished and not.
    """
    names = [row.example.post.example_id for row in rows]
    seen = set(names)
    if len(seen) < len(names):
        twice = next(a for a, b in itertools.pairwise(names) if a == b)
        raise InputError(f"shard {index} has two posts {twice!r}; ids must be unique")
    if strangers := sorted({name for name, items in dropped.items() if items} - seen):
        raise InputError(
            f"shard {index} has dropped hits of {strangers[0]!r}, but no such post; "
            "give dropped hits for the posts of the shard only"
        )
    if both := sorted(seen & set(unfinished)):
        raise InputError(
            f"shard {index}: {both[0]!r} is called unfinished and has a row as well; "
            "leave the row out, so that the next run asks again"
        )
    for name in unfinished:
        check_text(name, f"shard {index}: the id of an unfinished post")
    return names


def check_dim(index: int, dim: int | None, shards: Mapping[int, ShardEntry]) -> None:
    """Refuse embeddings of another length than those of the other ``shards``.

    Raises:
        InputError: the lengths differ.
    """
    for other, shard in shards.items():
        theirs = shard.embedding_dim
        if other != index and dim is not None and theirs is not None and dim != theirs:
            raise InputError(
                f"shard {index} has embeddings of {dim} numbers, shard {other} of {theirs}; "
                "use one encoder for the whole store"
            )


def check_unique(root: Path, shards: Mapping[int, ShardEntry]) -> None:
    """Read the ids of all ``shards`` of the store at ``root``.

    Raises:
        InputError: two shards have a post of the same id.
    """
    home: dict[str, int] = {}
    for index, shard in sorted(shards.items()):
        file = open_shard(root, shard.files["examples"], "examples")
        for name in file.column("example_id"):
            if home.setdefault(name, index) != index:
                raise InputError(
                    f"post {name!r} is in shard {home[name]} and in shard {index}; "
                    "ids must be unique in a store"
                )
        file.close()
