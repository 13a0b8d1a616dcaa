"""Writing a feature set: one file for each shard, and what an interrupted run wrote is used."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from cache.errors import StoreError
from cache.feature_keys import Array, feature_key
from cache.files import sha256_of_file
from cache.manifest import FeatureSetEntry, FileEntry
from cache.records import FeatureSet, StoredExample
from cache.schema import FEATURE_AXES, FEATURE_DTYPES
from cache.tables.features import Made, decode_array, features_table, made_of
from cache.tables.shards import check_size, describe, open_shard, parquet_bytes
from cache.writing.shard_files import write_file

_log = logging.getLogger(__name__)


class FeatureSetWriter:
    """Writes one feature set, shard by shard in order of their index.

    For each shard: `lacking` tells what it needs, then `find` or `write` adds its file.

    Args:
        root: folder of the store; whoever writes holds its lock.
        name: of the set.
        source: what makes the arrays, see `FeatureSetEntry`.
    """

    def __init__(self, root: Path, name: FeatureSet, source: str) -> None:
        self._root = root
        self._name: FeatureSet = name
        self._source = source
        self._made = Made(source)
        self._dims: tuple[int, ...] = ()
        self._files: list[FileEntry] = []
        self._seen: set[str] = set()

    def lacking(self, posts: Iterable[StoredExample]) -> dict[str, StoredExample]:
        """Return, by key, a post of each array that the next shard needs and none before has."""
        by_key = {feature_key(self._name, post): post for post in posts}
        return {key: post for key, post in by_key.items() if key and key not in self._seen}

    def find(self, keys: Iterable[str]) -> bool:
        """Add the file of the next shard if it is there already; return whether it is.

        It is if it says that the same source made it, and holds arrays of just these ``keys``.
        """
        folder = self._root / self._name
        for path in sorted(folder.glob(f"part-{len(self._files):05d}-*.parquet")):
            try:
                if self._add_if_fits(path, sorted(keys)):
                    return True
            except (StoreError, OSError) as problem:
                _log.warning("arrays of %s are made again: %s", self._name, problem)
        return False

    def write(self, arrays: Mapping[str, Array], stages: tuple[int, ...] = ()) -> None:
        """Write the file of the next shard, and add it.

        Args:
            arrays: by key, those that `lacking` named.
            stages: of the tower, for ``pyramid``.

        Raises:
            InputError: an array is not of the form of the set, or not of the sizes of the others.
            StoreError: the disk is full or not writable.
        """
        made = Made(self._source, stages if arrays else ())
        table = features_table(self._name, made, arrays)
        data = parquet_bytes(table, "features")
        entry = describe(self._name, len(self._files), data, table.num_rows)
        free = FEATURE_AXES[self._name][0]
        dims = {array.shape[free:] for array in arrays.values()}
        self._check_alike(dims, made)
        write_file(self._root, entry, data)
        self._add(entry, arrays)

    def entry(self) -> FeatureSetEntry:
        """Return what the manifest says of the set."""
        return FeatureSetEntry(
            source=self._source,
            dtype=FEATURE_DTYPES[self._name],
            dims=self._dims,
            stages=self._made.stages,
            files=tuple(self._files),
        )

    def _add_if_fits(self, path: Path, keys: list[str]) -> bool:
        relative = f"{self._name}/{path.name}"
        sha256 = sha256_of_file(path)
        entry = FileEntry(
            path=relative, rows=len(keys), size_bytes=path.stat().st_size, sha256=sha256
        )
        # Named by its content: a damaged file has another name than it should.
        if relative != f"{self._name}/part-{len(self._files):05d}-{sha256[:12]}.parquet":
            return False
        check_size(self._root, entry)
        file = open_shard(self._root, entry, "features")
        try:
            made = made_of(file.schema, self._name)
            if made is None or made.source != self._source or file.column("key") != keys:
                return False
            shapes = file.column("shape")
            dims = {tuple(shape[FEATURE_AXES[self._name][0] :]) for shape in shapes}
            self._check_alike(dims, made)
            if keys:
                decode_array(file.group(0), 0, self._name, self._dims)
        finally:
            file.close()
        self._add(entry, keys)
        return True

    def _check_alike(self, dims: set[tuple[int, ...]], made: Made) -> None:
        """Compare the sizes of the arrays of one file with each other, and with those before.

        Raises:
            InputError: they differ.
        """
        if not dims:
            return
        known = {*dims, self._dims} if self._seen else dims
        stages = {made.stages, self._made.stages} if self._seen else {made.stages}
        if len(known) > 1 or len(stages) > 1:
            raise StoreError(
                f"arrays of feature set {self._name} have the sizes {sorted(known)} and the "
                f"stages {sorted(stages)}; one encoder gives one. Report this as a bug."
            )
        self._dims, self._made = dims.pop(), made

    def _add(self, entry: FileEntry, keys: Iterable[str]) -> None:
        self._files.append(entry)
        self._seen.update(keys)
