"""Which rows of which stores each shard of a merged store consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from cache.operations.merge_builds import (
    SameBuild,
    differing,
    group_builds,
    identity_of_one,
    identity_of_several,
)
from cache.operations.merge_conflicts import Conflict, Home, Prefer, settle
from cache.operations.source import Source


@dataclass(slots=True)
class PlannedShard:
    """What one shard is made of.

    Attributes:
        homes: every shard that it is made of.
        taken: ids of the posts whose rows are taken, by where they are.
        inputs: ids of posts whose words were left out there, by where they are.
        unfinished: ids of posts that no store has finished.
    """

    homes: list[Home]
    taken: dict[Home, list[str]] = field(default_factory=dict)
    inputs: dict[Home, list[str]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)


@dataclass(slots=True)
class MergePlan:
    """What a merged store consists of.

    Attributes:
        identity: of the merged store.
        shards: in order.
        builds: places of the stores, those of one build together.
        differing: dotted keys at which the identities of different builds differ.
        conflicts: posts that several stores have, by id.
        finished: ids of posts that some stores left unfinished and another did not.
    """

    identity: dict[str, JsonValue]
    shards: list[PlannedShard]
    builds: list[list[int]]
    differing: list[str]
    conflicts: list[Conflict]
    finished: list[str]

    def num_taken(self, store: int) -> int:
        """Return how many posts are taken from the store at a place."""
        taken = (shard.taken.items() for shard in self.shards)
        return sum(len(names) for part in taken for home, names in part if home.store == store)


def plan_merge(
    sources: Sequence[Source], prefer: Prefer | None, mixed: bool, same_build: SameBuild
) -> MergePlan:
    """Decide what is taken from where.

    Args:
        sources: in an order that does not depend on how they were named, unless that decides.
        prefer: who is believed where posts differ; None refuses.
        mixed: whether stores of different settings may become one.
        same_build: whether two identities are of one build.

    Raises:
        StoreMismatch: the stores cannot become one; the message says why, and the way out.
    """
    builds = group_builds(sources, same_build)
    identity, keys = identity_of_one(sources), list[str]()
    if len(builds) > 1:
        keys = differing(sources, mixed=mixed)
        identity = identity_of_several(sources, keys, prefer or "")
    homes = _homes(sources)
    settled = settle(sources, homes, prefer)
    place = {
        home: shard
        for build in builds
        for shard in _empty_shards(build, len(sources[build[0]].manifest.shards))
        for home in shard.homes
    }
    for name, (home, *_) in sorted(homes.items()):
        if name in settled:
            home = settled[name].home
            if (inputs := settled[name].inputs) is not None:
                place[home].inputs.setdefault(inputs, []).append(name)
        place[home].taken.setdefault(home, []).append(name)
    finished = _note_unfinished(sources, homes, place)
    shards = list({id(shard): shard for shard in place.values()}.values())
    if len(builds) > 1:
        shards = [shard for shard in shards if shard.taken or shard.unfinished]
    conflicts = [one.conflict for one in settled.values()]
    return MergePlan(identity, shards, builds, keys, conflicts, finished)


def _empty_shards(build: Sequence[int], count: int) -> list[PlannedShard]:
    return [PlannedShard([Home(store, index) for store in build]) for index in range(count)]


def _homes(sources: Sequence[Source]) -> dict[str, list[Home]]:
    """Return where each post is; in a store it is once."""
    homes: dict[str, list[Home]] = {}
    for place, source in enumerate(sources):
        for shard in source.manifest.shards:
            for name in source.names(shard.index):
                known = homes.setdefault(name, [])
                if known and known[-1].store == place:
                    raise source.damaged(f"post {name!r} is there twice")
                known.append(Home(place, shard.index))
    return homes


def _note_unfinished(
    sources: Sequence[Source],
    homes: Mapping[str, Sequence[Home]],
    place: Mapping[Home, PlannedShard],
) -> list[str]:
    """Note the posts that nobody has finished, each once; return those that somebody has."""
    finished: set[str] = set()
    noted: set[str] = set()
    for store, source in enumerate(sources):
        for shard in source.manifest.shards:
            for name in shard.unfinished:
                if name in homes:
                    finished.add(name)
                elif name not in noted:
                    noted.add(name)
                    place[Home(store, shard.index)].unfinished.append(name)
    return sorted(finished)
