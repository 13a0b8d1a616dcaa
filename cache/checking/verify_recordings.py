"""Whether the recordings of a store can be read, and hold what its rows were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cache.checking.plausible import whole
from cache.checking.verify_findings import ShardFindings
from cache.checking.verify_rows import check_keys, digests_of, first_other
from cache.errors import RamieError, StoreDamaged
from cache.recording.segments import FORGET, SegmentTable, check_segment, open_segment

_AGAIN: Final = (
    "Restore them from a copy; without them, building the store again asks and fetches again."
)


@dataclass(slots=True)
class SegmentFindings:
    """What was found in a segment: problems, its rows, and the keys of answers or images."""

    path: Path
    table: SegmentTable
    problems: list[str] = field(default_factory=list)
    rows: int = 0
    keys: list[pa.Array] = field(default_factory=list)


def check_recorded(path: Path, table: SegmentTable) -> SegmentFindings:
    """Read every byte and every row of a segment."""
    found = SegmentFindings(path, table)
    try:
        check_segment(path, path.parent.parent)
        file = open_segment(path, table)
        for part in file.parts():
            found.rows += part.num_rows
            found.keys.append(whole(part, "key"))
            if table == "media":
                _check_images(path, part)
        file.close()
    except RamieError as error:
        found.problems.append(str(error))
    except OSError as error:
        found.problems.append(f"{path} cannot be read: {error.strerror or error}. {FORGET}")
    return found


def unrecorded(
    folder: Path, segments: Sequence[SegmentFindings], shards: Sequence[ShardFindings]
) -> list[str]:
    """Return a problem where segments must have gone: what hits were made from is not there.

    An image may have been lost before the store was built; then no shard has it either.
    """
    held = [part for one in shards for part in one.contents["media"].own]
    answers, images = (_keys(segments, table) for table in ("recordings", "media"))
    questions = _unique([part for one in shards for part in one.questions], pa.string())
    named = _unique([part for one in shards for part in one.images], pa.string())
    here = pa.chunked_array(held, pa.binary(32)).combine_chunks()
    named = named.filter(pc.is_in(digests_of(named), value_set=here))
    lost = [
        f"{number:,} {what}"
        for what, number in (
            ("answers", _num_lacking(questions, answers)),
            ("images", _num_lacking(named, images)),
        )
        if number
    ]
    if not lost:
        return []
    return [f"{folder} lacks {' and '.join(lost)} that hits of the store were made from. {_AGAIN}"]


def _check_images(path: Path, part: pa.Table) -> None:
    keys = whole(part, "key")
    try:
        check_keys(keys)
    except StoreDamaged as error:
        raise StoreDamaged(f"{path}: {error}. {FORGET}") from error
    data = whole(part, "data").fill_null(b"")
    if (row := first_other(data, digests_of(keys))) is not None:
        raise StoreDamaged(f"{path}: image {keys[row].as_py()} has other bytes. {FORGET}")


def _keys(segments: Sequence[SegmentFindings], table: SegmentTable) -> pa.Array:
    return _unique([p for one in segments if one.table == table for p in one.keys], pa.string())


def _unique(parts: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    return pa.chunked_array(parts, kind).unique()


def _num_lacking(keys: pa.Array, known: pa.Array) -> int:
    return int(pc.sum(pc.invert(pc.is_in(keys, value_set=known))).as_py() or 0)
