"""Arrays of the feature sets of a store, by key: every file compared, few row groups in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cache.errors import InputError, StoreDamaged
from cache.feature_keys import Array, PostSize, feature_key, misfit, size_of
from cache.keys import is_content_key
from cache.manifest import Manifest
from cache.reading.changed import unless_changed
from cache.reading.recent_groups import RecentGroups
from cache.records import FEATURE_SETS, FeatureSet, StoredExample
from cache.tables.features import decode_array
from cache.tables.shards import RESTORE, ParquetFile, open_shard

# The sets of a small store stay in memory as a whole.
_KEPT_BYTES: Final = 256 << 20
_KEPT_FILES: Final = 64
_DIGEST: Final = np.dtype("S32")
_File = tuple[FeatureSet, int]


class _Post(NamedTuple):
    """What is known of a post once one of its arrays was asked for."""

    keys: dict[FeatureSet, str | None]
    size: PostSize


class _Homes(NamedTuple):
    """Where the arrays of a set are: digests of their keys, sorted, with file and row of each."""

    digests: NDArray[np.bytes_]
    files: NDArray[np.int32]
    rows: NDArray[np.int32]


class FeatureArrays:
    """Reads the feature sets of a store; threads may read at the same time.

    Args:
        root: folder of the store.
        manifest: of the store.
        kept_bytes: of row groups that are kept, decompressed.
    """

    def __init__(self, root: Path, manifest: Manifest, kept_bytes: int = _KEPT_BYTES) -> None:
        self._root = root
        self._manifest = manifest
        self._sets = manifest.feature_sets
        self._recent: RecentGroups[_File] = RecentGroups(self._open, _KEPT_FILES, kept_bytes)
        self._homes: dict[FeatureSet, _Homes] = {}
        self._posts: dict[str, _Post] = {}
        self._lock = Lock()

    def of_post(
        self, name: FeatureSet, example_id: str, record: Callable[[str], StoredExample]
    ) -> Array | None:
        """Return a post's array; None where it has none, see `StoreReader.array`.

        Args:
            name: of the set.
            example_id: of the post.
            record: returns the post as it is stored; called once for each post.
        """
        self._check_name(name)
        post = self._posts.get(example_id)
        if post is None:
            stored = record(example_id)
            keys = {one: feature_key(one, stored) for one in self._sets}
            post = self._posts[example_id] = _Post(keys, size_of(stored))
        key = post.keys[name]
        if key is None:
            return None
        array = self.find(name, key)
        why = "it is missing" if array is None else misfit(name, array, post.size)
        if why is not None:
            raise self._damaged(f"the array of {example_id!r} in feature set {name}: {why}")
        return array

    def find(self, name: FeatureSet, key: str) -> Array | None:
        """Return the array of a key; None where the set has it not.

        Raises:
            StoreDamaged: its bytes are not what was written, or make no sense.
        """
        with self._lock:
            return unless_changed(self._root, self._manifest, lambda: self._find(name, key))

    def close(self) -> None:
        """Let the files go; the next call opens what it needs."""
        self._recent.close()

    def _check_name(self, name: FeatureSet) -> None:
        if name in self._sets:
            return
        if name not in FEATURE_SETS:
            raise InputError(
                f"there is no feature set {name!r}; they are {', '.join(FEATURE_SETS)}"
            )
        wanted = ", ".join(f'"{one}"' for one in FEATURE_SETS if one == name or one in self._sets)
        raise InputError(
            f"{self._root} has no feature set {name!r}. Add it with `ramie build RECIPE --store "
            f"{self._root} --set 'observe.features=[{wanted}]'`, with the recipe of the store: "
            "nobody is asked for it, and no shard is written again; the fingerprint changes."
        )

    def _find(self, name: FeatureSet, key: str) -> Array | None:
        homes = self._homes.get(name)
        if homes is None:
            homes = self._homes[name] = self._look_around(name)
        digest = np.array(bytes.fromhex(key), _DIGEST)
        at = int(np.searchsorted(homes.digests, digest))
        if at == len(homes.digests) or homes.digests[at] != digest:
            return None
        place, row = (name, int(homes.files[at])), int(homes.rows[at])
        starts = self._recent.file(place).group_starts
        group = bisect_right(starts, row) - 1
        part = self._recent.group(place, group)
        if part.column("key")[row - starts[group]].as_py() != key:
            raise self._damaged(f"feature set {name}: a row group has other keys than its file")
        try:
            return decode_array(part, row - starts[group], name, self._sets[name].dims)
        except StoreDamaged as error:
            raise self._damaged(f"feature set {name}: {error}") from error

    def _look_around(self, name: FeatureSet) -> _Homes:
        """Read which arrays the files of a set hold; no array is read for it."""
        digests, files, rows = [], [], []
        for index in range(len(self._sets[name].files)):
            keys = self._recent.file((name, index)).column("key")
            if not all(map(is_content_key, keys)):
                raise self._damaged(f"feature set {name} has a key that is none")
            digests.append(np.array([bytes.fromhex(key) for key in keys], _DIGEST))
            files.append(np.full(len(keys), index, np.int32))
            rows.append(np.arange(len(keys), dtype=np.int32))
        every = np.concatenate([np.zeros(0, _DIGEST), *digests])
        # Stable: of a key that two files have, the lower one counts.
        order = np.argsort(every, kind="stable")
        empty = np.zeros(0, np.int32)
        return _Homes(
            every[order],
            np.concatenate([empty, *files])[order],
            np.concatenate([empty, *rows])[order],
        )

    def _open(self, place: _File) -> ParquetFile:
        name, index = place
        return open_shard(self._root, self._sets[name].files[index], "features")

    def _damaged(self, why: str) -> StoreDamaged:
        return StoreDamaged(f"{self._root} cannot be used: {why}. {RESTORE}")
