"""What became of the hits of one post between two stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np

from cache.keys import text_key
from cache.records import Dropped, Evidence, Hit

Change = Literal["gained", "lost", "dropped", "restored", "moved", "scored", "altered"]
CHANGES: Final[tuple[Change, ...]] = (
    "gained",
    "lost",
    "dropped",
    "restored",
    "moved",
    "scored",
    "altered",
)
_SCORES: Final = frozenset(("provider_score", "relevance", "consistency", "fused_score"))
_UNTOLD: Final = frozenset(
    ("level", "modality", "region_index", "provider", "document_id", "embedding")
)
# What a hit says, and what stands in its place where that is withheld.
_SAID: Final = {"title": frozenset(("",)), "text": frozenset((text_key(""),))}
Key = tuple[str, str, int, str, str, int]
Item = TypeVar("Item")


class HitChange(NamedTuple):
    """A hit that is kept in one of two stores at least, and not alike in both.

    Attributes:
        change: ``gained`` or ``lost`` (the other store did not find it), ``dropped`` or
            ``restored`` (it is kept in the first or in the second store only), ``moved`` to
            another rank, ``scored`` otherwise, or ``altered`` in what it says; the first that
            fits.
        stream: level and modality.
        provider: who answered.
        document_id: the provider's name for it.
        reason: step and reason of the store that dropped it; empty where none did.
        values: what differs, by name: in the first store, and in the second; texts by their key.
    """

    change: Change
    stream: str
    provider: str
    document_id: str
    reason: str
    values: dict[str, tuple[object, object]]


def hit_changes(
    kept: tuple[Sequence[Evidence], Sequence[Evidence]],
    dropped: tuple[Sequence[Dropped], Sequence[Dropped]],
    *,
    said: bool = True,
) -> list[HitChange]:
    """Return what became of each hit that one of two stores keeps.

    Args:
        kept: evidence of one post in the first store, and in the second.
        dropped: what they do not keep.
        said: whether both stores have the titles and texts of all hits. If not, one that only one
            of them has is no change.
    """
    ours, theirs = (_by_key((one.hit, one) for one in items) for items in kept)
    our_dropped, their_dropped = (_by_key((one.hit, one) for one in items) for items in dropped)
    changes: list[HitChange] = []
    for key in sorted({*ours, *theirs}):
        mine, other = ours.get(key), theirs.get(key)
        if mine is not None and other is not None:
            values = _values(mine, other)
            if not said:
                values = {name: pair for name, pair in values.items() if not _left_out(name, pair)}
            if values:
                changes.append(_change(key, _kind(values), "", values))
        elif mine is not None:
            why = their_dropped.get(key)
            changes.append(_change(key, "dropped" if why else "lost", _reason(why), {}))
        else:
            why = our_dropped.get(key)
            changes.append(_change(key, "restored" if why else "gained", _reason(why), {}))
    return changes


def _by_key(items: Iterable[tuple[Hit, Item]]) -> dict[Key, Item]:
    """Return hits by what makes them the same; one that comes twice is counted."""
    found: dict[Key, Item] = {}
    seen: Counter[tuple[str, str, int, str, str]] = Counter()
    for hit, item in items:
        name = (hit.level, hit.modality, hit.region_index, hit.provider, hit.document_id)
        found[*name, seen[name]] = item
        seen[name] += 1
    return found


def _change(
    key: Key, change: Change, reason: str, values: dict[str, tuple[object, object]]
) -> HitChange:
    level, modality, _, provider, document_id, _ = key
    return HitChange(change, f"{level}/{modality}", provider, document_id, reason, values)


def _reason(dropped: Dropped | None) -> str:
    return "" if dropped is None else f"{dropped.step}: {dropped.reason}"


def _kind(values: dict[str, tuple[object, object]]) -> Change:
    if "rank" in values:
        return "moved"
    return "scored" if _SCORES.issuperset(values) else "altered"


def _left_out(name: str, pair: tuple[object, object]) -> bool:
    """Return whether a value differs because one of the stores withholds it."""
    return name in _SAID and not _SAID[name].isdisjoint(pair)


def _values(mine: Evidence, other: Evidence) -> dict[str, tuple[object, object]]:
    """Return what differs, by name."""
    values: dict[str, tuple[object, object]] = {}
    for name in ("rank", "fused_score"):
        values[name] = (getattr(mine, name), getattr(other, name))
    for one in fields(Hit):
        if one.name not in _UNTOLD:
            # The place in the provider's answer is another one than that among the evidence.
            name = "hit_rank" if one.name == "rank" else one.name
            values[name] = (getattr(mine.hit, one.name), getattr(other.hit, one.name))
    values["text"] = (text_key(mine.hit.text), text_key(other.hit.text))
    ours, theirs = mine.hit.embedding, other.hit.embedding
    differing = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    if not np.array_equal(() if ours is None else ours, () if theirs is None else theirs):
        differing["embedding"] = (ours is not None, theirs is not None)
    return differing
