"""One store from several: parts of one build, or stores of different builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from cache.manifest import Manifest, ShardEntry, differing_keys
from cache.operations.carry_features import Carried, carry_features
from cache.operations.merge_builds import SameBuild
from cache.operations.merge_conflicts import Conflict, Prefer
from cache.operations.merge_plan import MergePlan, plan_merge
from cache.operations.merge_recordings import merge_recordings
from cache.operations.merge_shards import MergedShards
from cache.operations.rewrite import new_store
from cache.operations.source import Source
from cache.recording.recordings import Recordings
from cache.records import FeatureSet
from cache.tables.counters import COUNTED, count_shards
from cache.writing.complete import Stated, complete
from cache.writing.tidy import remove_leftovers

_RECORDINGS: Final = "recordings"
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge did.

    Attributes:
        manifest: of the merged store.
        differing: dotted keys at which the identities of the stores differ.
        stores: path and fingerprint of each store, as they were named.
        num_taken: posts taken from each store, by its fingerprint.
        conflicts: posts that several stores had, by id.
        finished: ids of posts that some stores had left unfinished and another had not.
        num_answers: recorded answers of all stores together.
        left_out: feature sets that some stores have and the merged one has not, with the reason.
    """

    manifest: Manifest
    differing: tuple[str, ...]
    stores: tuple[tuple[Path, str], ...]
    num_taken: Mapping[str, int]
    conflicts: tuple[Conflict, ...]
    finished: tuple[str, ...]
    num_answers: int
    left_out: Mapping[FeatureSet, str] = field(default_factory=dict)


def _equal(one: Mapping[str, JsonValue], other: Mapping[str, JsonValue]) -> bool:
    return not differing_keys(one, other)


def merge_stores(
    out: Path,
    stores: Sequence[Path],
    *,
    prefer: Prefer | None = None,
    mixed: bool = False,
    same_build: SameBuild = _equal,
    done: Callable[[int, int], None] = lambda finished, total: None,
) -> MergeReport:
    """Write one store that holds what all of ``stores`` hold; nothing is written into those.

    One shard at a time is in memory, and the ids of all posts. An interrupted merge is run again;
    what it wrote is used.

    Args:
        out: folder of the merged store, without a store in it.
        stores: folders; their order decides nothing, unless ``prefer`` is ``first``.
        prefer: which store wins where one id has different posts; None refuses. ``first`` lets
            the store that is named first win wherever stores differ.
        mixed: take stores of different settings; the merged identity tells them apart.
        same_build: whether two identities are of one build, whose shards belong together.
        done: told how many shards are written, of how many.

    Raises:
        StoreMismatch: different encoders, settings, or posts under one id.
        StoreDamaged: a store is not what its manifest promises.
        InputError: ``out`` holds a store, or is one of them.
        StoreError: ``out`` cannot be written, or another process is at it.
    """
    with ExitStack() as stack:
        stack.enter_context(new_store(out, *stores, recorded=stores))
        named = [stack.enter_context(Source(path)) for path in stores]
        unique: dict[str, Source] = {}
        for source in named:
            # A copy of a store has the same posts; its recordings may be others.
            unique.setdefault(source.fingerprint, source)
        sources = list(unique.values())
        if prefer != "first":
            sources.sort(key=lambda source: source.fingerprint)
        plan = plan_merge(sources, prefer, mixed, same_build)
        shards = MergedShards(out, sources)
        entries: list[ShardEntry] = []
        for index, planned in enumerate(plan.shards):
            entries.append(shards.write(index, planned))
            done(index + 1, len(plan.shards))
        merge_recordings((path / _RECORDINGS for path in stores), out / _RECORDINGS)
        carried = carry_features([(one.path, one.manifest) for one in sources], out, entries)
        manifest = _complete(out, shards, plan, entries, carried)
    with Recordings(out / _RECORDINGS) as book:
        num_answers = len(book)
    return MergeReport(
        manifest=manifest,
        differing=tuple(plan.differing),
        stores=tuple((source.path, source.fingerprint) for source in named),
        num_taken={one.fingerprint: plan.num_taken(n) for n, one in enumerate(sources)},
        conflicts=tuple(plan.conflicts),
        finished=tuple(plan.finished),
        num_answers=num_answers,
        left_out=carried.left_out,
    )


def _complete(
    out: Path,
    shards: MergedShards,
    plan: MergePlan,
    entries: Sequence[ShardEntry],
    carried: Carried,
) -> Manifest:
    sources = shards.sources
    stated = Stated(
        _counters(out, entries, sources, plan),
        _rights(sources),
        shards.withheld,
        _original(sources) if shards.withheld else "",
        carried.entries,
    )
    manifest = complete(out, plan.identity, entries, stated)
    remove_leftovers(out, manifest)
    return manifest


def _counters(
    out: Path, entries: Sequence[ShardEntry], sources: Sequence[Source], plan: MergePlan
) -> dict[str, JsonValue]:
    """Return what a builder of the shards would have counted, and what it counted besides."""
    counters: dict[str, JsonValue] = {}
    for build in plan.builds:
        besides: dict[str, JsonValue] = {}
        for place in build:
            # Parts of one build read one data set: they counted the same.
            besides |= {
                name: value
                for name, value in sources[place].manifest.counters.items()
                if name.partition(" ")[0] not in COUNTED
            }
        for name, value in besides.items():
            known = counters.get(name, 0)
            if isinstance(known, int) and isinstance(value, int):
                value = known + value
            counters[name] = value
    return {**counters, **count_shards(out, entries)}


def _rights(sources: Sequence[Source]) -> dict[str, str]:
    """Return what the stores state; what not all of them state alike is told with the store."""
    ordered = sorted(sources, key=lambda source: source.fingerprint)
    rights: dict[str, str] = {}
    for subject in sorted({name for source in sources for name in source.manifest.rights}):
        stated = [source.manifest.rights.get(subject) for source in ordered]
        if len(set(stated)) == 1:
            rights[subject] = stated[0] or ""
            continue
        rights[subject] = "; ".join(
            f"{text} (store {source.fingerprint[:_DIGITS]})"
            for source, text in zip(ordered, stated, strict=True)
            if text
        )
    return rights


def _original(sources: Sequence[Source]) -> str:
    """Return the whole store that all of the stores leave something out of, if it is one."""
    originals = {source.manifest.original for source in sources}
    return originals.pop() if len(originals) == 1 else ""
