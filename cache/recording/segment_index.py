"""Which answer or image is in which segment, and the merging of small segments."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pyarrow as pa

from cache.errors import StoreError
from cache.files import explaining
from cache.recording.asked_at import Clock, believable, latest_now
from cache.recording.segments import (
    SegmentFiles,
    SegmentGone,
    SegmentTable,
    segments,
    write_segment,
)

# A segment below the first is worth merging, into segments of about the second (compressed).
SMALL_BYTES: Final = 1 << 20
_MERGED_BYTES: Final = 8 << 20
# What is merged at once may take so much decompressed; a segment of more than half is left alone.
_MERGED_MEMORY_BYTES: Final = 64 << 20
# Each failed attempt means that another process merged segments while this one was reading.
_ATTEMPTS: Final = 10
_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")


class Place(NamedTuple):
    """Where an answer or image is, and what decides between two answers of one key."""

    path: Path
    row: int
    provider: str = ""
    asked_at: str = ""


class SegmentIndex:
    """What the segments of a folder hold, by key; for one thread at a time.

    Where two segments hold one key, the answer that was asked for last counts; of two asked for
    at the same time the one with the greater body, so that merging segments changes no answer.
    A time that cannot be (`cache.recording.asked_at`) counts as the earliest.

    Attributes:
        answers: by key.
        images: by key.

    Raises:
        StoreDamaged: a segment is not a complete file of this schema.
    """

    def __init__(self, folder: Path, clock: Clock = latest_now) -> None:
        self._folder = folder
        self._clock = clock
        self._files = SegmentFiles()
        self.answers: dict[str, Place] = {}
        self.images: dict[str, Place] = {}
        self._small: dict[SegmentTable, set[Path]] = {}
        self._look_again()

    def row(self, table: SegmentTable, place: Place) -> pa.Table:
        """Return the one row at ``place``; for use within `current`."""
        return self._files.row(place.path, table, place.row)

    def current(self, read: Callable[[], _Value]) -> _Value:
        """Return what ``read`` returns, looking again where another process merged segments.

        Raises:
            StoreError: others merge faster than ``read`` reads.
        """
        for _ in range(_ATTEMPTS):
            try:
                return read()
            except SegmentGone:
                self._look_again()
        raise self._restless()

    def counted(self, asked_at: str) -> str:
        """Return a time of asking as it counts here: empty where it cannot be."""
        return believable(asked_at, self._clock())

    def write(self, table: SegmentTable, content: pa.Table) -> Path:
        """Write a segment, all of whose rows count from now on; return its path.

        Raises:
            StoreError: the folder cannot be written; nothing of the segment is then seen.
        """
        path = write_segment(self._folder, table, content)
        self._places(table).update(self._rows(content, path))
        if _size(path) < SMALL_BYTES:
            self._small[table].add(path)
        return path

    def num_small(self, table: SegmentTable) -> int:
        """Return how many segments are worth merging."""
        return len(self._small[table])

    def merge_small(self, table: SegmentTable) -> None:
        """Merge small segments; failing costs nothing but the room that they take."""
        try:
            for paths in _batches(self._sizes(table)):
                self._merge(table, paths)
        except SegmentGone:
            # Another process is merging too. What it wrote holds all that it removed.
            self._look_again()
        except StoreError as error:
            _log.warning("small recordings are not merged now: %s", error)
            self._small[table].clear()

    def _sizes(self, table: SegmentTable) -> list[tuple[Path, int]]:
        """Return the segments worth merging, with their size in memory; forget large ones."""
        sizes = {p: self._files.uncompressed_bytes(p, table) for p in sorted(self._small[table])}
        fitting = {p: size for p, size in sizes.items() if 2 * size <= _MERGED_MEMORY_BYTES}
        self._small[table] = set(fitting)
        return list(fitting.items())

    def close(self) -> None:
        """Let files go; the next call opens what it needs."""
        self._files.close()

    def _places(self, table: SegmentTable) -> dict[str, Place]:
        return self.images if table == "media" else self.answers

    def _look_again(self) -> None:
        """Learn anew what the folder holds; what was known stays known where that fails."""
        before = self.answers, self.images, self._small
        for _ in range(_ATTEMPTS):
            self.answers, self.images = {}, {}
            self._small = {"recordings": set(), "media": set()}
            self._files.close()
            try:
                for path, table in segments(self._folder):
                    self._learn(path, table)
                return
            except SegmentGone:
                continue
            except BaseException:
                self.answers, self.images, self._small = before
                raise
        self.answers, self.images, self._small = before
        raise self._restless()

    def _learn(self, path: Path, table: SegmentTable) -> None:
        """Note what a segment holds; of two answers of one key the better one stays."""
        names = ["key"] if table == "media" else ["key", "provider", "asked_at"]
        known = self._places(table)
        for key, place in self._rows(self._files.columns(path, table, names), path):
            if key not in known or (table == "recordings" and self._better(place, known[key])):
                known[key] = place
        if _size(path) < SMALL_BYTES:
            self._small[table].add(path)

    def _better(self, place: Place, known: Place) -> bool:
        if place.asked_at != known.asked_at:
            return place.asked_at > known.asked_at
        new, old = (self.row("recordings", one).column("body")[0] for one in (place, known))
        return bool(new.as_py() > old.as_py())

    def _merge(self, table: SegmentTable, paths: Sequence[Path]) -> None:
        """Write one segment of what counts in ``paths``, then remove them.

        At every moment each answer is in some segment: a crash in between leaves it in two.
        """
        parts = []
        for path in paths:
            part = self._files.whole(path, table)
            counts = [
                self._counts(table, key, mine, paths) for key, mine in self._rows(part, path)
            ]
            parts.append(part.filter(pa.array(counts, pa.bool_())))
        merged = pa.concat_tables(parts).combine_chunks().sort_by("key")
        target = self.write(table, merged) if merged.num_rows else None
        for path in paths:
            if path != target:
                self._files.forget(path)
                self._small[table].discard(path)
                with explaining(path):
                    path.unlink(missing_ok=True)

    def _counts(self, table: SegmentTable, key: str, mine: Place, paths: Sequence[Path]) -> bool:
        """Return whether a merge of ``paths`` has to keep a row.

        A row is given up for a better one, or for an equal one in the same merge. An equal one
        elsewhere is no reason: another process may be giving that one up for this.
        """
        known = self._places(table)[key]
        if known.path in paths:
            return known[:2] == mine[:2]
        return table == "media" or not self._better(known, mine)

    def _rows(self, part: pa.Table, path: Path) -> Iterator[tuple[str, Place]]:
        """Yield the key and the place of every row of a segment."""
        keys = part.column("key").to_pylist()
        who, when = (
            part.column(name).to_pylist() if name in part.column_names else [""] * len(keys)
            for name in ("provider", "asked_at")
        )
        # Thousands of answers may have been asked for in one second.
        times = {asked_at: self.counted(asked_at) for asked_at in set(when)}
        for row, (key, name, asked_at) in enumerate(zip(keys, who, when, strict=True)):
            yield key, Place(path, row, sys.intern(name), sys.intern(times[asked_at]))

    def _restless(self) -> StoreError:
        return StoreError(
            f"the segments of {self._folder} are merged faster than they can be read. Stop the "
            "other processes that record into it, and run the same command again."
        )


def _batches(sizes: Sequence[tuple[Path, int]]) -> Iterator[list[Path]]:
    """Yield at least two segments to merge at a time, so few that they fit in memory.

    Args:
        sizes: every segment with what it takes decompressed: a small file may hold a large text.
    """
    batch: list[Path] = []
    stored = memory = 0
    for path, uncompressed in sizes:
        if stored >= _MERGED_BYTES or memory + uncompressed > _MERGED_MEMORY_BYTES:
            yield batch
            batch, stored, memory = [], 0, 0
        batch.append(path)
        stored += _size(path)
        memory += uncompressed
    if len(batch) > 1:
        yield batch


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise SegmentGone(str(path)) from error
