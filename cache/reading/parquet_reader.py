"""Reads a store from the Parquet files as they were written: no derived copy, slower by post."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cache.checking.plausible import MOST_HITS, check_amount, check_region_index
from cache.closing import Closing
from cache.errors import InputError, StoreChanged, StoreDamaged, StoreWithheld
from cache.feature_keys import Array
from cache.keys import content_key
from cache.manifest import Manifest, read_manifest
from cache.reader import Features, features_of
from cache.reading.changed import check_unchanged, unless_changed
from cache.reading.feature_arrays import FeatureArrays
from cache.reading.shard_cache import ShardCache
from cache.records import (
    Dropped,
    Evidence,
    Example,
    FeatureSet,
    Media,
    Observation,
    StoredExample,
)
from cache.schema import Table
from cache.tables.shards import check_size


class ParquetReader(Closing):
    """A `StoreReader` over the shards themselves.

    Sizes of all files are compared on opening, the SHA-256 of a file when it is first read.

    Attributes:
        path: folder of the store.
        arrays: its feature sets.

    Raises:
        StoreDamaged: there is no manifest, or files are missing or of another size.
        StoreMismatch: the store follows another schema.
    """

    def __init__(self, path: Path | str, *, features: bool = True) -> None:
        """Open the store at ``path``; without ``features``, whatever lies there of its sets."""
        self.path = Path(path)
        self._manifest = _current_manifest(self.path, features)
        self._cache = ShardCache(self.path, self._manifest)
        self.arrays = FeatureArrays(self.path, self._manifest)
        self._homes: dict[str, tuple[int, int]] | None = None
        self._splits: dict[str, str] = {}
        self._ranges: dict[tuple[Table, int], dict[str, tuple[int, int]]] = {}
        self._media_homes: dict[str, tuple[int, int]] = {}
        self._media_shards_seen = 0

    @property
    def manifest(self) -> Manifest:
        """What the store promises."""
        return self._manifest

    def example_ids(self, split: str | None = None) -> tuple[str, ...]:
        """Return the ids of a split, or of all posts, sorted."""
        return tuple(n for n in sorted(self._index()) if split in (None, self._splits[n]))

    def split_of(self, example_id: str) -> str:
        """Return the split that a post belongs to."""
        self._home(example_id)
        return self._splits[example_id]

    def read(self, example_id: str) -> StoredExample:
        """Return all that the store keeps of a post but its dropped hits; see `StoreReader`."""
        index, row = self._home(example_id)
        example, observation, sha256 = self._cache.rows("examples", index, row, row + 1)[0]
        kept: list[Evidence] = self._items("evidence", example_id)
        self._check_regions(observation, kept)
        return StoredExample(example, observation, tuple(kept), sha256)

    def features(self, example_id: str) -> Features:
        """Return what a trainer needs of a post."""
        return features_of(self.read(example_id))

    def dropped(self, example_id: str) -> tuple[Dropped, ...]:
        """Return the hits that curation did not keep."""
        items: list[Dropped] = self._items("dropped", example_id)
        index, row = self._home(example_id)
        if items:
            _, observation, _ = self._cache.rows("examples", index, row, row + 1)[0]
            self._check_regions(observation, items)
        return tuple(items)

    def array(self, name: FeatureSet, example_id: str) -> Array | None:
        """Return a post's array of a feature set, or None; see `StoreReader`."""
        return self.arrays.of_post(name, example_id, self.post)

    def post(self, example_id: str) -> StoredExample:
        """Return what the store keeps of a post but its hits."""
        index, row = self._home(example_id)
        return _without_hits(*self._cache.rows("examples", index, row, row + 1)[0])

    def media(self, key: str) -> Media:
        """Return an image, its bytes compared with its key; see `StoreReader`."""
        index, row = self._find_media(key)
        item: Media = self._cache.rows("media", index, row, row + 1)[0][0]
        if not item.data and "images" in self._manifest.withheld:
            raise StoreWithheld(
                f"the bytes of the image {key} were left out of {self.path} by its owner. "
                "Ask the owner for the whole store."
            )
        return self._checked(item, index)

    def _checked(self, item: Media, index: int) -> Media:
        if content_key(item.data) != item.key:
            raise StoreDamaged(
                f"the image {item.key} in shard {index} of {self.path} has other bytes. "
                "Restore its media file, or build the store again."
            )
        return item

    def shard_records(self, index: int) -> list[StoredExample]:
        """Return all posts of one shard in order, without filling the reader's memory."""
        examples = list(self._cache.all_rows("examples", index))
        kept: dict[str, list[Evidence]] = {row[0].post.example_id: [] for row in examples}
        for name, evidence in self._cache.all_rows("evidence", index):
            if name not in kept:
                raise StoreDamaged(self._stranger("evidence", index, name))
            kept[name].append(evidence)
        for example, seen, _ in examples:
            self._check_regions(seen, kept[example.post.example_id])
        return [
            StoredExample(example, seen, tuple(kept[example.post.example_id]), sha256)
            for example, seen, sha256 in examples
        ]

    def shard_posts(self, index: int) -> list[StoredExample]:
        """Return all posts of one shard in order, without their hits."""
        return [_without_hits(*row) for row in self._cache.all_rows("examples", index)]

    def shard_media(self, index: int) -> Iterator[Media]:
        """Yield the images whose bytes one shard holds, compared with their keys."""
        for item, stored_in in self._cache.all_rows("media", index):
            if stored_in == index and item.data:
                yield self._checked(item, index)

    def prefetch(self, example_ids: Iterable[str]) -> None:
        """Do nothing: row groups are read as wholes already."""

    def warm(self) -> None:
        """Do nothing: every file is read as a whole when it is compared with the manifest."""

    def close(self) -> None:
        """Let the files go; a second call does nothing."""
        self._cache.close()
        self.arrays.close()

    def __getstate__(self) -> tuple[Path, Manifest]:
        """Keep path and manifest: another process opens its own files, but of the same store."""
        return self.path, self._manifest

    def __setstate__(self, state: tuple[Path, Manifest]) -> None:
        path, manifest = state
        self.__init__(path)  # type: ignore[misc]
        check_unchanged(path, manifest)

    def _index(self) -> dict[str, tuple[int, int]]:
        """Return shard and row of every post."""
        if self._homes is None:
            homes: dict[str, tuple[int, int]] = {}
            for shard in self._manifest.shards:
                names = self._cache.column("examples", shard.index, "example_id")
                splits = self._cache.column("examples", shard.index, "split")
                for row, (name, split) in enumerate(zip(names, splits, strict=True)):
                    if name in homes:
                        raise StoreDamaged(self._stranger("examples", shard.index, name))
                    homes[name] = (shard.index, row)
                    self._splits[name] = split
            self._homes = homes
        return self._homes

    def _home(self, example_id: str) -> tuple[int, int]:
        try:
            return self._index()[example_id]
        except KeyError:
            raise InputError(
                f"{self.path} holds no post {example_id!r}; see example_ids() for those it holds"
            ) from None

    def _items(self, table: Table, example_id: str) -> list[Any]:
        """Return what the table holds of a post, in order."""
        index, _ = self._home(example_id)
        ranges = self._ranges.get((table, index))
        if ranges is None:
            ranges = self._ranges[table, index] = self._find_ranges(table, index)
        if example_id not in ranges:
            return []
        start, end = ranges[example_id]
        if end - start > MOST_HITS:
            raise self._cache.damaged(f"{example_id!r} has {end - start:,} hits in {table}")
        return [item for _, item in self._cache.rows(table, index, *ranges[example_id])]

    def _find_ranges(self, table: Table, index: int) -> dict[str, tuple[int, int]]:
        ranges: dict[str, tuple[int, int]] = {}
        previous = None
        for row, name in enumerate(self._cache.column(table, index, "example_id")):
            elsewhere = self._index().get(name, (-1, 0))[0] != index
            if elsewhere or (name != previous and name in ranges):
                raise StoreDamaged(self._stranger(table, index, name))
            ranges[name] = (ranges[name][0] if name == previous else row, row + 1)
            previous = name
        return ranges

    def _check_regions(self, seen: Observation, found: Sequence[Evidence | Dropped]) -> None:
        name = seen.post.example_id
        try:
            check_amount(name, [item.hit.text for item in found])
            for item in found:
                check_region_index(name, item.hit.region_index, len(seen.regions))
        except StoreDamaged as error:
            index, _ = self._home(name)
            raise self._cache.damaged(f"shard {index}: {error}") from error

    def _stranger(self, table: str, index: int, name: str) -> str:
        return (
            f"the table {table} of shard {index} of {self.path} has a row of {name!r} that does "
            "not belong there. Build the store again."
        )

    def _find_media(self, key: str) -> tuple[int, int]:
        """Return shard and row of an image; shards are looked through once, as far as needed."""
        while True:
            # Before the key: another thread may look through a shard in between.
            index = self._media_shards_seen
            if key in self._media_homes:
                return self._media_homes[key]
            if index == len(self._manifest.shards):
                raise InputError(f"{self.path} holds no image {key!r}; take keys from its records")
            keys = self._cache.column("media", index, "key")
            places = self._cache.column("media", index, "stored_in")
            for row, (name, stored_in) in enumerate(zip(keys, places, strict=True)):
                if stored_in == index:
                    self._media_homes.setdefault(name, (index, row))
            self._media_shards_seen = index + 1


def _without_hits(example: Example, seen: Observation, sha256: str) -> StoredExample:
    return StoredExample(example, seen, (), sha256)


def _current_manifest(root: Path, features: bool) -> Manifest:
    """Return the manifest of a store whose files are there, however often it is being replaced."""
    while True:
        manifest = read_manifest(root)
        of_shards = [file for shard in manifest.shards for file in shard.files.values()]
        try:
            for file in manifest.files if features else of_shards:
                unless_changed(root, manifest, partial(check_size, root, file))
        except StoreChanged:
            continue
        return manifest
