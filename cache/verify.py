"""Whether a store is what its manifest promises: every byte is read, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa

from cache.decode import (
    decode_dropped,
    decode_evidence,
    decode_examples,
    decode_media,
    decode_texts,
)
from cache.errors import RamieError, StoreDamaged, StoreError
from cache.keys import content_key
from cache.manifest import ShardEntry, read_manifest
from cache.plausible import check_region_index
from cache.schema import CONTENT_COLUMN, SharedTable, Table
from cache.segments import FORGET, check_segment, open_segment, segments
from cache.shards import open_shard
from cache.strangers import strangers

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify_store` found.

    Attributes:
        problems: sentences that name the file and what is wrong; empty for a sound store.
        counts: rows by table, posts by split, recordings, bytes, and the like.
    """

    problems: tuple[str, ...]
    counts: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


class _Shared:
    """Where the contents of a table are: shard by key, and (shard, key, place) as rows say."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.needed: list[tuple[int, str, int]] = []


class _Check:
    """What is gathered while a store is read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        self.counts: dict[str, int] = {}
        self.names: dict[str, int] = {}
        self.shared: dict[SharedTable, _Shared] = {table: _Shared() for table in CONTENT_COLUMN}
        # Texts that rows of the shard being read name; None where rows could not be read.
        self.texts_named: set[str] | None = None

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def groups(self, shard: ShardEntry, table: Table) -> Iterator[pa.Table]:
        """Yield the row groups of a shard's table; a problem ends them."""
        try:
            file = open_shard(self.root, shard.files[table], table)
            self.count(f"{table} rows", shard.files[table].rows)
            self.count("bytes", shard.files[table].size_bytes)
            for index in range(file.num_groups):
                yield file.group(index)
            file.close()
        except RamieError as error:
            self.problems.append(str(error))


def verify_store(path: Path | str) -> VerifyReport:
    """Read every file of a store, compare it with the manifest, and decode every row.

    Derived files (``local/``) are not part of a store and are not looked at. Returns a report in
    every case: a folder without a manifest is a problem, not an error.
    """
    check = _Check(Path(path))
    try:
        manifest = read_manifest(check.root)
    except StoreError as error:
        return VerifyReport((str(error),), {})
    for shard in manifest.shards:
        _check_shard(check, shard)
    for table in CONTENT_COLUMN:
        _check_places(check, table, len(manifest.shards))
    check.problems += strangers(check.root, manifest)
    _check_recordings(check)
    check.count("shards", len(manifest.shards))
    check.count("unfinished posts", len(manifest.unfinished))
    return VerifyReport(tuple(check.problems), check.counts)


def _decoded(
    check: _Check, where: Path, decode: Callable[..., list[_Row]], *arguments: object
) -> list[_Row]:
    """Return decoded rows; none, and a problem, where they make no sense."""
    try:
        return decode(*arguments)
    except StoreDamaged as error:
        check.problems.append(f"{where}: {error}.")
        return []


def _check_shard(check: _Check, shard: ShardEntry) -> None:
    names = _check_examples(check, shard)
    before = len(check.problems)
    check.texts_named = set()
    for table in ("evidence", "dropped"):
        _check_hits(check, shard, table, names)
    if len(check.problems) > before:
        check.texts_named = None
    for shared in CONTENT_COLUMN:
        _check_contents(check, shard, shared)


def _check_examples(check: _Check, shard: ShardEntry) -> dict[str, int] | None:
    """Return how many regions the posts of a shard have; None where they could not be read."""
    before = len(check.problems)
    names: list[str] = []
    num_regions: dict[str, int] = {}
    where = check.root / shard.files["examples"].path
    for part in check.groups(shard, "examples"):
        for example, seen in _decoded(check, where, decode_examples, part, shard.embedding_dim):
            name = example.post.example_id
            names.append(name)
            num_regions[name] = len(seen.regions)
            check.count(f"posts in {example.split}")
            if check.names.setdefault(name, shard.index) != shard.index:
                check.problems.append(f"{where}: post {name!r} is in another shard as well.")
    if names != sorted(set(names)):
        check.problems.append(f"{where}: rows are not sorted by unique example_id.")
    return num_regions if len(check.problems) == before else None


def _check_hits(
    check: _Check, shard: ShardEntry, table: Table, posts: dict[str, int] | None
) -> None:
    where = check.root / shard.files[table].path
    places = {name: place for place, name in enumerate(posts or ())}
    last = 0
    for part in check.groups(shard, table):
        # The texts are looked at where they are; here it matters which ones rows name.
        keys = dict.fromkeys(part.column("text_key").drop_null().to_pylist(), "")
        if check.texts_named is not None:
            check.texts_named.update(keys)
        if table == "evidence":
            kept = _decoded(check, where, decode_evidence, part, shard.embedding_dim, keys)
            hits = [(name, evidence.hit) for name, evidence in kept]
        else:
            fallen = _decoded(check, where, decode_dropped, part, keys)
            hits = [(name, dropped.hit) for name, dropped in fallen]
        # Without the posts, every row would look like a stranger's.
        for name, hit in hits if posts is not None else ():
            place = places.get(name, -1)
            if place < last:
                what = "is of no post of the shard" if place < 0 else "is not with its post's rows"
                check.problems.append(f"{where}: a row of {name!r} {what}.")
            last = max(last, place)
            if posts is not None and name in posts:
                try:
                    check_region_index(name, hit.region_index, posts[name])
                except StoreDamaged as error:
                    check.problems.append(f"{where}: {error}.")


def _check_contents(check: _Check, shard: ShardEntry, table: SharedTable) -> None:
    """Compare contents with their keys, and note where this shard says that they are."""
    where = check.root / shard.files[table].path
    shared, before = check.shared[table], len(check.problems)
    keys: list[str] = []
    for part in check.groups(shard, table):
        present = part.column(CONTENT_COLUMN[table]).is_valid().to_pylist()
        rows = _decoded(check, where, _CONTENTS[table], part)
        for (key, stored_in, content), here in zip(rows, present, strict=False):
            keys.append(key)
            shared.needed.append((shard.index, key, stored_in))
            if here != (stored_in == shard.index) or stored_in > shard.index:
                check.problems.append(f"{where}: the content {key} is in the wrong shard.")
            if here:
                check.count("images" if table == "media" else table)
                if shared.held.setdefault(key, shard.index) != shard.index:
                    check.problems.append(f"{where}: the content {key} is in another shard too.")
                if content_key(content) != key:
                    check.problems.append(f"{where}: the content {key} is another.")
    if keys != sorted(set(keys)):
        check.problems.append(f"{where}: rows are not sorted by unique key.")
    # Without all rows, every text would look like a missing one.
    if table == "texts" and check.texts_named is not None and len(check.problems) == before:
        for key in sorted(check.texts_named.symmetric_difference(keys)):
            what = "is missing" if key in check.texts_named else "is needed by no row"
            check.problems.append(f"{where}: the text {key} {what}.")


def _texts(part: pa.Table) -> list[tuple[str, int, bytes]]:
    return [(key, place, (text or "").encode()) for key, place, text in decode_texts(part)]


def _images(part: pa.Table) -> list[tuple[str, int, bytes]]:
    return [(item.key, place, item.data) for item, place in decode_media(part)]


_CONTENTS: Final[dict[SharedTable, Callable[[pa.Table], list[tuple[str, int, bytes]]]]] = {
    "texts": _texts,
    "media": _images,
}


def _check_places(check: _Check, table: SharedTable, num_shards: int) -> None:
    shared = check.shared[table]
    for index, key, stored_in in shared.needed:
        if shared.held.get(key) != stored_in and not check.problems:
            check.problems.append(
                f"{check.root}: shard {index} says that the content {key} is in shard "
                f"{stored_in} of {num_shards}, where it is not. Build the store again."
            )


def _check_recordings(check: _Check) -> None:
    folder = check.root / "recordings"
    known = dict(segments(folder)) if folder.is_dir() else {}
    for path in sorted(folder.glob("*")):
        if path not in known:
            check.problems.append(f"{path} is no recording. Move it elsewhere.")
            continue
        try:
            check_segment(path)
            file = open_segment(path, known[path])
            for index in range(file.num_groups):
                part = file.group(index)
                check.count("recorded " + path.name.partition("-")[0], part.num_rows)
                if known[path] == "media":
                    _check_recorded_images(path, part)
            file.close()
        except RamieError as error:
            check.problems.append(str(error))


def _check_recorded_images(path: Path, part: pa.Table) -> None:
    for item, _ in decode_media(part):
        if content_key(item.data) != item.key:
            raise StoreDamaged(f"{path}: image {item.key} has other bytes. {FORGET}")
