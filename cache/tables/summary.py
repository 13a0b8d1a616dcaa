"""What a store holds, in a few numbers: counted from its shards, kept in its manifest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from cache.manifest import MANIFEST_NAME, FileEntry, Manifest, ShardEntry, differing_keys
from cache.schema import TABLES, Table
from cache.tables.shards import ParquetFile, check_size
from cache.tables.withheld import Part, left_out

# What the summary needs of each table.
COLUMNS: Final[dict[Table, tuple[str, ...]]] = {
    "examples": ("split", "photo_status", "tokens", "post_sha256"),
    "evidence": ("level", "modality", "provider", "retrieved_at"),
    "dropped": ("provider", "retrieved_at", "step"),
    "texts": ("stored_in", "text"),
    "media": ("stored_in", "data"),
}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WAY_OUT: Final = "Restore the store from a copy, or build it again."
_WIDTH: Final = len("2026-11-22")


class Tally:
    """Counts rows of a store, in any order; two tallies of different rows can be added up."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._dates: dict[str, set[str]] = {}
        self.left_out: set[Part] = set()

    def add(self, table: Table, part: pa.Table, index: int) -> None:
        """Count rows of shard ``index``; of each table at least its `COLUMNS`."""
        if (lacking := left_out(table, part, index)) is not None:
            self.left_out.add(lacking)
        if table == "examples":
            self._count("posts", part.column("split"))
            self._count("photos", part.column("photo_status"))
        elif table == "texts":
            here = part.filter(pc.equal(part.column("stored_in"), index))
            self._counts["texts",] += here.num_rows
        elif table == "media":
            here = pc.equal(part.column("stored_in"), index)
            self._counts["images", "count"] += pc.sum(here).as_py() or 0
            # Only their sizes are looked at: to filter the images would copy them.
            sizes = pc.binary_length(part.column("data")).filter(here)
            self._counts["images", "bytes"] += pc.sum(sizes).as_py() or 0
        else:
            self._add_hits("kept" if table == "evidence" else "dropped", part)

    def merge(self, other: Tally) -> None:
        """Count what ``other`` has counted."""
        self._counts.update(other._counts)
        self.left_out |= other.left_out
        for provider, dates in other._dates.items():
            self._dates.setdefault(provider, set()).update(dates)

    def summary(self) -> dict[str, JsonValue]:
        """Return the numbers as the manifest keeps them."""
        hits = ("kept", "dropped")
        return {
            "posts": {**self.group("posts")},
            "photos": {**self.group("photos")},
            "hits": {what: self._counts["hits", what] for what in hits},
            "reasons": {**self.group("reasons")},
            "providers": {
                name: {
                    **{what: self._counts[what, name] for what in hits},
                    "first": min(dates, default=""),
                    "last": max(dates, default=""),
                }
                for name, dates in sorted(self._dates.items())
            },
            "streams": {**self.group("streams")},
            "texts": self._counts["texts",],
            "images": {what: self._counts["images", what] for what in ("count", "bytes")},
        }

    def group(self, what: str) -> dict[str, int]:
        """Return how many there are of each kind: of ``posts``, ``photos``, ``reasons``, ..."""
        return {key[1]: n for key, n in sorted(self._counts.items()) if key[0] == what and n}

    def _count(self, what: str, values: pa.ChunkedArray) -> None:
        for pair in pc.value_counts(values).to_pylist():
            self._counts[what, pair["values"]] += pair["counts"]

    def _add_hits(self, what: str, part: pa.Table) -> None:
        self._counts["hits", what] += part.num_rows
        self._count(what, part.column("provider"))
        if what == "kept":
            streams = (part.column("level"), part.column("modality"), "/")
            self._count("streams", pc.binary_join_element_wise(*streams))
        else:
            self._count("reasons", part.column("step"))
        days = pc.utf8_slice_codeunits(part.column("retrieved_at"), 0, _WIDTH)
        # The day has a fixed width, so that whatever a provider is called can follow it.
        days = pc.utf8_rpad(days, _WIDTH)
        for pair in pc.unique(
            pc.binary_join_element_wise(days, part.column("provider"), "")
        ).to_pylist():
            dates = self._dates.setdefault(pair[_WIDTH:], set())
            if _DAY.fullmatch(pair[:_WIDTH]):
                dates.add(pair[:_WIDTH])


def tally(
    root: Path,
    shards: Iterable[ShardEntry],
    known: dict[str, Tally] | None = None,
    tables: Sequence[Table] = TABLES,
) -> Tally:
    """Count the rows of all ``shards`` of the store at ``root``, one row group at a time.

    Args:
        root: folder of the store.
        shards: whose rows are counted.
        known: by path, files whose rows were counted before; they are not read, and those that
            are read come to them.
        tables: which ones are counted.

    Raises:
        StoreDamaged: a file is missing, of another size, or cannot be read.
    """
    known = {} if known is None else known
    total = Tally()
    for shard in shards:
        for table in tables:
            entry = shard.files[table]
            if entry.path not in known:
                known[entry.path] = _tally_of(root, entry, table, shard.index)
            total.merge(known[entry.path])
    return total


def _tally_of(root: Path, entry: FileEntry, table: Table, index: int) -> Tally:
    counted = Tally()
    file = ParquetFile(check_size(root, entry), table, entry.rows)
    for group in range(file.num_groups):
        counted.add(table, file.group(group, list(COLUMNS[table])), index)
    file.close()
    return counted


def contradictions(root: Path, manifest: Manifest, held: Tally) -> Iterator[str]:
    """Yield a problem for each statement of a manifest that the rows of its shards belie."""
    where = root / MANIFEST_NAME
    for part in sorted(held.left_out.difference(manifest.withheld)):
        yield f"{where}: {part} are missing in the shards, which it does not say. {_WAY_OUT}"
    for key in differing_keys(manifest.summary, held.summary()):
        yield f"{where}: its summary of {key} is not what the shards hold. {_WAY_OUT}"


def summarise(root: Path, shards: Iterable[ShardEntry]) -> dict[str, JsonValue]:
    """Return what ``shards`` of the store at ``root`` hold; see `tally` for errors."""
    return tally(root, shards).summary()
