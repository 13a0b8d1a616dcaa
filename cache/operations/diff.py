"""What changed between two stores: settings, posts, evidence, contents, recordings, statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from pydantic import JsonValue

from cache.manifest import Manifest, differing_keys, value_at
from cache.operations.diff_hits import HitChange, hit_changes
from cache.operations.source import Claim, Source
from cache.reading.parquet_reader import ParquetReader
from cache.recording.recordings import Recordings
from cache.recording.segments import segments
from cache.schema import ROW_TABLES, SharedTable

Aspect = Literal["inputs", "labels", "split", "photo", "seen", "evidence", "dropped"]
ASPECTS: Final[tuple[Aspect, ...]] = (
    "inputs",
    "labels",
    "split",
    "photo",
    "seen",
    "evidence",
    "dropped",
)
_RECORDINGS: Final = "recordings"


class PostChange(NamedTuple):
    """What changed about a post that both stores have.

    Attributes:
        example_id: of the post.
        aspects: what changed: its inputs, labels, split or photo; what was seen in it; the hits
            that are kept, or those that are not.
        hits: what became of the hits that are kept in one of the stores.
    """

    example_id: str
    aspects: tuple[Aspect, ...]
    hits: tuple[HitChange, ...]


@dataclass(slots=True)
class StoreDiff:
    """What changed from one store to another; pairs are of the first and of the second.

    Attributes:
        fingerprints: of the manifests.
        settings: values of the identity that differ, by dotted key.
        stated: rights by subject (``rights.posts``), what is withheld, unfinished posts, counters,
            number of shards, and what made each feature set, where they differ.
        only: ids of the posts that only one has.
        aspects: ids of the posts that both have and of which something changed, by what changed.
        hits: how many hits changed, by change, stream and provider.
        reasons: how many hits each step dropped, where that differs.
        contents: how many ``texts`` and ``images`` only one needs.
        recordings: keys of answers that only the one has, that only the other has, and that both
            have, asked for at another time.
        posts: what changed about single posts, as many as were asked for.
    """

    fingerprints: tuple[str, str]
    settings: dict[str, tuple[JsonValue, JsonValue]] = field(default_factory=dict)
    stated: dict[str, tuple[JsonValue, JsonValue]] = field(default_factory=dict)
    only: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    aspects: dict[Aspect, list[str]] = field(default_factory=dict)
    hits: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reasons: dict[str, tuple[int, int]] = field(default_factory=dict)
    contents: dict[str, tuple[int, int]] = field(default_factory=dict)
    recordings: tuple[list[str], list[str], list[str]] = field(
        default_factory=lambda: ([], [], [])
    )
    posts: list[PostChange] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether the stores hold the same, recordings included."""
        return self.fingerprints[0] == self.fingerprints[1] and not any(self.recordings)


def diff_stores(first: Path, second: Path, *, most_posts: int | None = None) -> StoreDiff:
    """Return what changed from the store ``first`` to the store ``second``.

    Stores with equal manifests are not read. Hashes of all posts are in memory, and of the changed
    ones as many as are asked for.

    Args:
        first: folder of a store.
        second: folder of another one.
        most_posts: how many changed posts to tell hit by hit; None tells all.

    Raises:
        StoreDamaged: a store is not what its manifest promises.
        StoreMismatch: it follows another schema.
    """
    with Source(first) as one, Source(second) as other:
        diff = StoreDiff((one.fingerprint, other.fingerprint))
        diff.recordings = _recordings(first / _RECORDINGS, second / _RECORDINGS)
        if one.fingerprint == other.fingerprint:
            return diff
        diff.settings = _differing(one.manifest.identity, other.manifest.identity)
        diff.stated = _differing(_statements(one.manifest), _statements(other.manifest))
        diff.reasons = _reasons(one.manifest, other.manifest)
        diff.contents = {
            "texts": _contents("texts", one, other),
            "images": _contents("media", one, other),
        }
        said = not any("texts" in source.manifest.withheld for source in (one, other))
        changed = _posts(diff, one, other, said)
    if changed:
        _hits(diff, changed, (first, second), most_posts, said)
    return diff


def _differing(
    ours: Mapping[str, JsonValue], theirs: Mapping[str, JsonValue]
) -> dict[str, tuple[JsonValue, JsonValue]]:
    return {
        key: (value_at(ours, key), value_at(theirs, key)) for key in differing_keys(ours, theirs)
    }


def _statements(manifest: Manifest) -> dict[str, JsonValue]:
    return {
        "rights": dict(manifest.rights),
        "withheld": list(manifest.withheld),
        "original": manifest.original,
        "unfinished": [*sorted(manifest.unfinished)],
        "counters": dict(manifest.counters),
        "shards": len(manifest.shards),
        "feature_sets": {str(n): one.source for n, one in manifest.feature_sets.items()},
    }


def _reasons(one: Manifest, other: Manifest) -> dict[str, tuple[int, int]]:
    counts = [_counted(manifest.summary.get("reasons")) for manifest in (one, other)]
    steps = sorted({step for count in counts for step in count})
    pairs = {step: (counts[0].get(step, 0), counts[1].get(step, 0)) for step in steps}
    return {step: pair for step, pair in pairs.items() if pair[0] != pair[1]}


def _counted(value: JsonValue) -> dict[str, int]:
    counts = value.items() if isinstance(value, dict) else ()
    return {step: number for step, number in counts if isinstance(number, int)}


def _contents(table: SharedTable, one: Source, other: Source) -> tuple[int, int]:
    """Return how many contents only the one store needs, and only the other."""
    ours, theirs = one.content_digests(table), other.content_digests(table)
    common = len(np.intersect1d(ours, theirs, assume_unique=True))
    return len(ours) - common, len(theirs) - common


def _recordings(ours: Path, theirs: Path) -> tuple[list[str], list[str], list[str]]:
    """Return the keys of answers that are gone, that came, and that were asked for again."""
    names = [[path.name for path, _ in segments(folder)] for folder in (ours, theirs)]
    if names[0] == names[1]:
        return [], [], []
    asked: list[dict[str, str]] = []
    for folder in (ours, theirs):
        with Recordings(folder) as book:
            asked.append({one.key: one.asked_at for one in book.asked()})
    before, after = asked
    return (
        sorted(before.keys() - after.keys()),
        sorted(after.keys() - before.keys()),
        sorted(key for key in before.keys() & after.keys() if before[key] != after[key]),
    )


def _posts(
    diff: StoreDiff, one: Source, other: Source, said: bool
) -> dict[str, tuple[Aspect, ...]]:
    """Note which posts changed; return in what, by id."""
    common = _files(one) & _files(other)
    before, after = (_claims(source, common, said) for source in (one, other))
    diff.only = (sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys()))
    changed: dict[str, tuple[Aspect, ...]] = {}
    for name in sorted(before.keys() & after.keys()):
        if aspects := tuple(_aspects(before[name], after[name])):
            changed[name] = aspects
            for aspect in aspects:
                diff.aspects.setdefault(aspect, []).append(name)
    return changed


def _files(source: Source) -> set[tuple[str, ...]]:
    """Return the digests of the rows of each shard: equal ones hold equal posts."""
    return {
        tuple(shard.files[table].sha256 for table in ROW_TABLES)
        for shard in source.manifest.shards
    }


def _claims(source: Source, common: set[tuple[str, ...]], said: bool) -> dict[str, Claim]:
    claims: dict[str, Claim] = {}
    for shard in source.manifest.shards:
        if tuple(shard.files[table].sha256 for table in ROW_TABLES) not in common:
            claims |= source.claims(shard.index, said=said)
    return claims


def _aspects(one: Claim, other: Claim) -> Iterator[Aspect]:
    if one.post_sha256 != other.post_sha256:
        yield "inputs"
    if one.labels != other.labels and None not in (one.labels, other.labels):
        yield "labels"
    if one.split != other.split:
        yield "split"
    if one.photo_key != other.photo_key:
        yield "photo"
    found: tuple[Aspect, ...] = ("seen", "evidence", "dropped")
    for aspect, ours, theirs in zip(found, one.found, other.found, strict=True):
        if ours != theirs:
            yield aspect


def _hits(
    diff: StoreDiff,
    changed: Mapping[str, tuple[Aspect, ...]],
    paths: tuple[Path, Path],
    most_posts: int | None,
    said: bool,
) -> None:
    """Note what became of the hits of changed posts."""
    with ParquetReader(paths[0]) as one, ParquetReader(paths[1]) as other:
        for name, aspects in changed.items():
            hits: list[HitChange] = []
            if "evidence" in aspects or "dropped" in aspects:
                hits = hit_changes(
                    (one.read(name).evidence, other.read(name).evidence),
                    (one.dropped(name), other.dropped(name)),
                    said=said,
                )
            for hit in hits:
                diff.hits[hit.change, hit.stream, hit.provider] += 1
            if most_posts is None or len(diff.posts) < most_posts:
                diff.posts.append(PostChange(name, aspects, tuple(hits)))
