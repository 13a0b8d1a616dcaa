"""Gives a finished store its feature sets: what is missing is made, nothing else is touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from cache.errors import StoreDamaged
from cache.manifest import FeatureSetEntry, Manifest, ShardEntry, read_manifest
from cache.reading.parquet_reader import ParquetReader
from cache.records import FEATURE_SETS, FeatureSet
from cache.tables.shards import check_size
from cache.writing.complete import publish_features
from cache.writing.feature_files import FeatureSetWriter
from cache.writing.lock import LOCK_NAME, WriterLock
from cache.writing.tidy import remove_leftovers
from retrieval.features.maker import FeatureMaker

Entries = Mapping[FeatureSet, FeatureSetEntry]


def complete_features(
    store: Path,
    maker: FeatureMaker | None,
    earlier: Entries,
    *,
    progress: bool = False,
    say: Callable[[str], None],
) -> dict[FeatureSet, int]:
    """Give the finished store its feature sets; return how many arrays were made of each.

    Sets that ``maker`` makes are there afterwards. Others that the store had stay if its posts
    still need just what their files hold. A killed run leaves files that the next one uses.

    Args:
        store: folder of a finished store.
        maker: makes what is asked for; None makes nothing, and keeps what still fits.
        earlier: the sets that the store had before its shards were last written.
        progress: show a bar, where the output is a terminal.
        say: told which set the store loses, and why.

    Raises:
        InputError: what makes a set is not there.
        StoreError: the folder cannot be written, or another process is at it.
    """
    manifest = read_manifest(store)
    wanted = {} if maker is None else {name: maker.source(name) for name in maker.names}
    known = {**earlier, **manifest.feature_sets}
    sources = {**{name: one.source for name, one in known.items()}, **wanted}
    left = any((store / name).is_dir() for name in FEATURE_SETS if name not in sources)
    if not left and _is_complete(store, manifest, sources):
        return {}
    lock = WriterLock(store / LOCK_NAME)
    try:
        run = _Run(store, read_manifest(store), sources, maker if wanted else None, say)
        return run.fill(progress)
    finally:
        lock.release()


def _is_complete(store: Path, manifest: Manifest, sources: Mapping[FeatureSet, str]) -> bool:
    """Return whether all sets are there, made by these sources; `verify_store` knows more."""
    held = manifest.feature_sets
    if {name: one.source for name, one in held.items()} != sources:
        return False
    try:
        for entry in held.values():
            for file in entry.files:
                check_size(store, file)
    except StoreDamaged:
        return False
    return True


class _Run:
    """One pass over the shards of a store."""

    def __init__(
        self,
        store: Path,
        manifest: Manifest,
        sources: Mapping[FeatureSet, str],
        maker: FeatureMaker | None,
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._maker = maker
        self._say = say
        self._writers = {
            name: FeatureSetWriter(store, name, sources[name])
            for name in FEATURE_SETS
            if name in sources
        }
        self._made: Counter[FeatureSet] = Counter()

    def fill(self, progress: bool) -> dict[FeatureSet, int]:
        """Go over all shards, and put the manifest in place."""
        total = self._manifest.num_examples
        hidden = None if progress else True
        with (
            ParquetReader(self._store, features=False) as reader,
            tqdm(total=total, desc="feature sets", unit="post", disable=hidden) as bar,
        ):
            for shard in self._manifest.shards:
                self._shard(shard, reader)
                bar.update(shard.files["examples"].rows)
        entries = {name: writer.entry() for name, writer in self._writers.items()}
        manifest = self._manifest
        if entries != manifest.feature_sets:
            manifest = publish_features(self._store, manifest, entries)
        remove_leftovers(self._store, manifest, FEATURE_SETS)
        for name in FEATURE_SETS:
            with suppress(OSError):
                # Of a set that is gone; one with files stays.
                (self._store / name).rmdir()
        return dict(self._made)

    def _shard(self, shard: ShardEntry, reader: ParquetReader) -> None:
        posts = reader.shard_posts(shard.index)
        lacking = {name: one.lacking(posts) for name, one in self._writers.items()}
        todo = {name: keys for name, keys in lacking.items() if not self._writers[name].find(keys)}
        names = () if self._maker is None else self._maker.names
        for name in [name for name in todo if name not in names]:
            self._say(
                f"{self._store} loses its feature set {name}: its posts are others now. "
                f"Name it in observe.features to have it made again."
            )
            del self._writers[name], todo[name]
        if self._maker is None or not todo:
            return
        for name, arrays in self._maker.make(todo, reader.media).items():
            self._writers[name].write(arrays.by_key, arrays.stages)
            self._made[name] += len(arrays.by_key)
