"""Whether a store is what its manifest promises: every byte is read, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa

from cache.decode import decode_dropped, decode_evidence, decode_examples, decode_media
from cache.errors import RamieError, StoreDamaged, StoreError
from cache.files import TEMPORARY
from cache.journal import JOURNAL_NAME
from cache.keys import content_key
from cache.manifest import MANIFEST_NAME, Manifest, ShardEntry, read_manifest
from cache.recordings import FORGET, check_segment, segments
from cache.schema import TABLES, Table
from cache.shards import ParquetFile, open_shard
from cache.writer import LOCK_NAME

_FOLDERS: Final = (*TABLES, "recordings", "local")
_TOP: Final = (MANIFEST_NAME, JOURNAL_NAME, LOCK_NAME)
# People may leave a note or a report beside the data; everything else is a stranger.
_NOTES: Final = (".md", ".html")
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


class _Check:
    """What is gathered while a store is read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        self.counts: dict[str, int] = {}
        self.names: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.needed: list[tuple[int, str, int]] = []

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
    _check_media_places(check, len(manifest.shards))
    check.problems += _strangers(check.root, manifest)
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
    for table in ("evidence", "dropped"):
        _check_hits(check, shard, table, names)
    _check_media(check, shard)


def _check_examples(check: _Check, shard: ShardEntry) -> list[str] | None:
    """Return the posts of a shard; None where they could not be read."""
    before = len(check.problems)
    names: list[str] = []
    where = check.root / shard.files["examples"].path
    for part in check.groups(shard, "examples"):
        for example, _ in _decoded(check, where, decode_examples, part, shard.embedding_dim):
            name = example.post.example_id
            names.append(name)
            check.count(f"posts in {example.split}")
            if check.names.setdefault(name, shard.index) != shard.index:
                check.problems.append(f"{where}: post {name!r} is in another shard as well.")
    if names != sorted(set(names)):
        check.problems.append(f"{where}: rows are not sorted by unique example_id.")
    return names if len(check.problems) == before else None


def _check_hits(check: _Check, shard: ShardEntry, table: Table, names: list[str] | None) -> None:
    where = check.root / shard.files[table].path
    places = {name: place for place, name in enumerate(names or ())}
    last = 0
    for part in check.groups(shard, table):
        if table == "evidence":
            kept = _decoded(check, where, decode_evidence, part, shard.embedding_dim)
            owners = [name for name, _ in kept]
        else:
            owners = [name for name, _ in _decoded(check, where, decode_dropped, part)]
        # Without the posts, every row would look like a stranger's.
        for name in owners if names is not None else ():
            place = places.get(name, -1)
            if place < last:
                what = "is of no post of the shard" if place < 0 else "is not with its post's rows"
                check.problems.append(f"{where}: a row of {name!r} {what}.")
            last = max(last, place)


def _check_media(check: _Check, shard: ShardEntry) -> None:
    where = check.root / shard.files["media"].path
    keys: list[str] = []
    for part in check.groups(shard, "media"):
        present = part.column("data").is_valid().to_pylist()
        rows = _decoded(check, where, decode_media, part)
        for (item, stored_in), here in zip(rows, present, strict=False):
            keys.append(item.key)
            check.needed.append((shard.index, item.key, stored_in))
            if here != (stored_in == shard.index):
                check.problems.append(f"{where}: image {item.key} has bytes in the wrong shard.")
            if here:
                check.count("images")
                check.held[item.key] = shard.index
                if content_key(item.data) != item.key:
                    check.problems.append(f"{where}: image {item.key} has other bytes.")
    if keys != sorted(set(keys)):
        check.problems.append(f"{where}: rows are not sorted by unique key.")


def _check_media_places(check: _Check, num_shards: int) -> None:
    for index, key, stored_in in check.needed:
        if check.held.get(key) != stored_in and not check.problems:
            check.problems.append(
                f"{check.root}: shard {index} says that image {key} is in shard {stored_in} of "
                f"{num_shards}, where it is not. Build the store again."
            )


def _strangers(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a problem for every file that no store of this manifest has.

    While a build is interrupted its shards are not yet in the manifest, and no strangers.
    """
    named = {file.path for shard in manifest.shards for file in shard.files.values()}
    building = (root / JOURNAL_NAME).exists()
    for path in sorted(root.iterdir()):
        if path.name in _FOLDERS:
            if path.is_symlink() or not path.is_dir():
                yield f"{path} is not a folder. Replace it with the folder itself."
        elif path.name.startswith(TEMPORARY) and building:
            continue
        elif path.name not in _TOP and path.suffix not in _NOTES:
            yield f"{path} does not belong to the store. Move it elsewhere."
    for table in TABLES:
        for path in sorted((root / table).glob("*")):
            if f"{table}/{path.name}" not in named and not building:
                yield f"{path} is not in the manifest. Move it elsewhere, or build again."


def _check_recordings(check: _Check) -> None:
    folder = check.root / "recordings"
    known = dict(segments(folder)) if folder.is_dir() else {}
    for path in sorted(folder.glob("*")):
        if path not in known:
            check.problems.append(f"{path} is no recording. Move it elsewhere.")
            continue
        try:
            check_segment(path)
            file = ParquetFile(path, known[path], way_out=FORGET)
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
