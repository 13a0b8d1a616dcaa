"""Whether a store is what its manifest promises: every byte is read, nothing is changed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from tqdm import tqdm

from cache.checking.consequences import consequence
from cache.checking.strangers import RECORDINGS, is_being_written, strangers
from cache.checking.verify_ends import card_problems, manifest_problems
from cache.checking.verify_features import (
    FeatureFindings,
    check_feature_file,
    feature_files,
)
from cache.checking.verify_findings import Look, ShardFindings
from cache.checking.verify_places import elsewhere, twice
from cache.checking.verify_recordings import SegmentFindings, check_recorded, unrecorded
from cache.checking.verify_shard import check_shard
from cache.errors import StoreDamaged, StoreMismatch
from cache.manifest import MANIFEST_NAME, Manifest, read_manifest
from cache.recording.segments import segments
from cache.tables.summary import Tally, contradictions

# Hashing and decoding run outside of Python's lock. More threads would hold more row groups.
THREADS: Final = min(8, os.cpu_count() or 2)
# To say what the loss of a file means takes a look at all shards.
_MOST_EXPLAINED: Final = 200
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify_store` found.

    Attributes:
        problems: sentences that name the file and what is wrong; empty for a sound store.
        counts: rows by table, posts by split, recordings, bytes, and the like.
        unrecorded: whether recordings are missing is one of the problems.
    """

    problems: tuple[str, ...]
    counts: dict[str, int]
    unrecorded: bool = False

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def verify_store(
    path: Path | str, *, look: Look | None = None, progress: bool = False
) -> VerifyReport:
    """Read every file of a store, compare it with the manifest, and look at every row.

    Derived files (``local/``) are not part of a store and are not read. Returns a report in every
    case: a folder without a manifest is a problem, not an error.

    Args:
        path: folder of the store.
        look: asked, from several threads, whether an image is what its row claims; returns what
            is wrong, None where nothing is. None asks nothing.
        progress: show a bar where the output is a terminal.
    """
    root = Path(path)
    while True:
        before = _state(root)
        report = _verify_once(root, look, progress)
        # A build may have replaced what was being read, and merged recordings.
        if report.ok or _state(root) == before:
            return report


def _state(root: Path) -> tuple[object, ...]:
    """Return what differs after a build, or a part of one."""
    try:
        status = (root / MANIFEST_NAME).lstat()
        manifest: tuple[int, ...] = (status.st_ino, status.st_size, status.st_mtime_ns)
    except OSError:
        manifest = ()
    return manifest, is_being_written(root), segments(root / RECORDINGS)


def _verify_once(root: Path, look: Look | None, progress: bool) -> VerifyReport:
    try:
        manifest = read_manifest(root)
    except StoreDamaged as error:
        return VerifyReport((f"{error} Until then no post of it can be read.",), {})
    except StoreMismatch as error:
        return VerifyReport((str(error),), {})
    recorded = segments(root / RECORDINGS)
    num_files = len(manifest.shards) * (1 + len(manifest.feature_sets)) + len(recorded)
    with (
        _threads() as pool,
        tqdm(total=num_files, desc="verifying", disable=None if progress else True) as bar,
    ):
        check = partial(
            check_shard,
            root,
            withheld=manifest.withheld,
            look=look,
            feature_sets=manifest.feature_sets,
        )
        # What is mapped is begun at once, so that the pool has work while this thread compares.
        shards_checked = pool.map(check, manifest.shards)
        recordings_read = pool.map(lambda one: check_recorded(*one), recorded)
        shards = _each(bar, shards_checked)
        problems = shard_problems(root, manifest, shards)
        files = feature_files(manifest, shards, posts_sound=not problems)
        arrays_checked = pool.map(partial(check_feature_file, root), files)
        ends = [
            *manifest_problems(root, manifest),
            *card_problems(root, manifest),
            *strangers(root, manifest),
        ]
        read = _each(bar, recordings_read)
        arrays = _each(bar, arrays_checked)
    problems += [
        *(problem for one in arrays for problem in one.problems),
        *ends,
        *(problem for one in read for problem in one.problems),
    ]
    lacking: list[str] = []
    if (root / RECORDINGS).is_dir():
        lacking = unrecorded(root / RECORDINGS, read, shards)
    counts = _counts(manifest, [*shards, *arrays], read)
    return VerifyReport((*problems, *lacking), counts, bool(lacking))


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Yield a pool that begins nothing more once whoever uses it is stopped."""
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _each(bar: tqdm[NoReturn], found: Iterable[_Found]) -> list[_Found]:
    every = []
    for one in found:
        every.append(one)
        bar.update()
    return every


def shard_problems(root: Path, manifest: Manifest, shards: Sequence[ShardFindings]) -> list[str]:
    """Return what is wrong with the shards of a store, of which `check_shard` found ``shards``."""
    problems: list[str] = []
    for found in shards:
        for problem in found.problems:
            text = problem.text
            if problem.lost is not None and len(problems) < _MOST_EXPLAINED:
                text += f" Until then cannot be read: {consequence(problem.lost, found, shards)}."
            problems.append(text)
    problems += twice(root, shards)
    # What cannot be read would seem to be in the wrong place, or not counted.
    if not problems:
        problems += elsewhere(root, shards)
    if not problems:
        tally = Tally()
        for found in shards:
            tally.merge(found.tally)
        problems += contradictions(root, manifest, tally)
    return problems


def _counts(
    manifest: Manifest,
    shards: Sequence[ShardFindings | FeatureFindings],
    read: Sequence[SegmentFindings],
) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for found in shards:
        counts.update(found.counts)
    for segment in read:
        counts["recorded " + segment.path.name.partition("-")[0]] += segment.rows
    counts["shards"] = len(manifest.shards)
    counts["unfinished posts"] = len(manifest.unfinished)
    return dict(counts)
