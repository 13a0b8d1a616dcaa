"""Feature sets of made-up arrays, which nothing but their keys decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from cache import FEATURE_SETS, FeatureSet, Manifest, StoredExample, read_manifest
from cache.feature_keys import Array
from cache.reading.shard_posts import shard_posts
from cache.region_graph import region_graph
from cache.tables.features import Made, features_table
from cache.tables.shards import describe, parquet_bytes
from cache.writing.complete import publish_features
from cache.writing.feature_files import FeatureSetWriter
from cache.writing.shard_files import write_file

CHANNELS = 6
STAGES = (2, 4)


def array_of(name: FeatureSet, key: str, post: StoredExample) -> Array:
    """Return the array of a post, as a model or a rule would make it."""
    rng = np.random.default_rng(int(key[:8], 16))
    regions = post.observation.regions
    if name == "grid":
        return rng.standard_normal((9, CHANNELS)).astype(np.float16)
    if name == "pyramid":
        return rng.standard_normal((1 + len(regions), 4, sum(STAGES))).astype(np.float16)
    if name == "parse":
        return np.arange(-1, len(post.example.post.tokens) - 1, dtype=np.int16)
    return region_graph([region.box for region in regions])


def add_features(
    store: Path,
    names: Iterable[FeatureSet] = FEATURE_SETS,
    sources: Mapping[FeatureSet, str] | None = None,
) -> Manifest:
    """Give a finished store feature sets; those that it has stay."""
    manifest = read_manifest(store)
    entries = dict(manifest.feature_sets)
    for name in names:
        writer = FeatureSetWriter(store, name, (sources or {}).get(name, f"made-up {name}"))
        for shard in manifest.shards:
            lacking = writer.lacking(shard_posts(store, shard))
            if not writer.find(lacking):
                arrays = {key: array_of(name, key, post) for key, post in lacking.items()}
                writer.write(arrays, STAGES if name == "pyramid" else ())
        entries[name] = writer.entry()
    return publish_features(store, manifest, entries)


def forge(store: Path, name: FeatureSet, table: pa.Table, index: int = 0) -> None:
    """Put another file in the place of one of a set, with the right hash in the manifest."""
    manifest = read_manifest(store)
    entry = manifest.feature_sets[name]
    (store / entry.files[index].path).unlink()
    data = parquet_bytes(table, "features")
    file = write_file(store, describe(name, index, data, table.num_rows), data)
    files = tuple(file if i == index else one for i, one in enumerate(entry.files))
    changed = entry.model_copy(update={"files": files})
    publish_features(store, manifest, {**manifest.feature_sets, name: changed})


def honest_table(store: Path, name: FeatureSet, index: int = 0) -> pa.Table:
    """Return what a file of a set holds, for `forge`, with all that it says of itself."""
    manifest = read_manifest(store)
    posts = shard_posts(store, manifest.shards[index])
    lacking = FeatureSetWriter(store, name, "").lacking(posts)
    arrays = {key: array_of(name, key, post) for key, post in lacking.items()}
    entry = manifest.feature_sets[name]
    return features_table(name, Made(entry.source, entry.stages), arrays)
