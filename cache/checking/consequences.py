"""What it means that a file of a store cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cache.checking.verify_findings import ShardFindings
from cache.schema import SharedTable, Table

_WHAT: Final[dict[Table, str]] = {"evidence": "the evidence", "dropped": "the dropped hits"}
_CONTENT: Final[dict[SharedTable, str]] = {"texts": "texts", "media": "images"}


def consequence(table: Table, found: ShardFindings, shards: Sequence[ShardFindings]) -> str:
    """Return what cannot be read for want of a file, as the end of a sentence.

    Args:
        table: whose file it is.
        found: of its shard.
        shards: of all shards; others may use the contents of this one.
    """
    if table == "texts" or table == "media":
        return _contents(table, found, shards)
    index, rows = found.shard.index, found.shard.files["examples"].rows
    posts = f"{rows:,} posts of shard {index}{_names(found)}"
    return f"{_WHAT[table]} of {posts}" if table in _WHAT else posts


def _names(found: ShardFindings) -> str:
    """Return which posts, as far as files that can be read tell."""
    ids = [found.ids[0].as_py(), found.ids[-1].as_py()] if len(found.ids) else found.hit_ids
    return f" ({min(ids)!r} to {max(ids)!r})" if ids else ""


def _contents(table: SharedTable, found: ShardFindings, shards: Sequence[ShardFindings]) -> str:
    index, rows = found.shard.index, found.shard.files[table].rows
    users = {index} | {
        other.shard.index
        for other in shards
        if any((places == index).any() for places in other.contents[table].places)
    }
    named = ", ".join(map(str, sorted(users)))
    return f"{rows:,} {_CONTENT[table]}, used by shard{'s' * (len(users) > 1)} {named}"
