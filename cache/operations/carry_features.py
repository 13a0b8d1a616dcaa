"""Feature sets of a store that is made of others: arrays that its posts still need, in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple

from cache.errors import StoreDamaged
from cache.feature_keys import Array
from cache.manifest import FeatureSetEntry, Manifest, ShardEntry
from cache.operations.rewrite import copy_file
from cache.reading.feature_arrays import FeatureArrays
from cache.reading.shard_posts import shard_posts
from cache.records import FEATURE_SETS, FeatureSet
from cache.tables.shards import RESTORE, open_shard
from cache.writing.feature_files import FeatureSetWriter

# Row groups kept of each source, of which there may be many.
_KEPT_BYTES: Final = 32 << 20


class Carried(NamedTuple):
    """What becomes of feature sets.

    Attributes:
        entries: of the new store, for its manifest.
        left_out: why the others are not there, by name.
    """

    entries: dict[FeatureSet, FeatureSetEntry]
    left_out: dict[FeatureSet, str]


class _Origin(NamedTuple):
    root: Path
    manifest: Manifest
    arrays: FeatureArrays


def carry_features(
    sources: Sequence[tuple[Path, Manifest]], out: Path, shards: Sequence[ShardEntry]
) -> Carried:
    """Write the feature sets of the store ``out``, whose shards are there, from its sources.

    A set is carried over if every source that has posts has it, made by the same model or rule;
    any other is left out, for its arrays could not stand beside each other. A file of which
    nothing changes is copied byte for byte.

    Args:
        sources: stores that the shards were made from, with their manifests.
        out: folder of the new store; whoever writes holds its lock.
        shards: of the new store, in order.

    Raises:
        StoreDamaged: a source is not what its manifest promises.
        StoreError: ``out`` cannot be written.
    """
    carried = Carried({}, {})
    holding = [(root, manifest) for root, manifest in sources if manifest.num_examples]
    made_by: dict[FeatureSet, str] = {}
    for name in FEATURE_SETS:
        if any(name in manifest.feature_sets for _, manifest in holding):
            if (why := _why_not(name, holding)) is not None:
                carried.left_out[name] = why
            else:
                made_by[name] = holding[0][1].feature_sets[name].source
    if made_by:
        carried.entries.update(_carry(made_by, holding, out, shards))
    return carried


def _why_not(name: FeatureSet, holding: Sequence[tuple[Path, Manifest]]) -> str | None:
    """Return why the arrays of a set cannot stand beside each other; None if they can."""
    held: list[FeatureSetEntry] = []
    for root, manifest in holding:
        if name not in manifest.feature_sets:
            return f"{root} does not have it"
        held.append(manifest.feature_sets[name])
    if len(made := sorted({one.source for one in held})) > 1:
        return f"it was made by {' and by '.join(made)}"
    filled = [one for one in held if any(file.rows for file in one.files)]
    if len({(one.dims, one.stages) for one in filled}) > 1:
        return "its arrays have other sizes in one store than in another"
    return None


def _carry(
    made_by: Mapping[FeatureSet, str],
    holding: Sequence[tuple[Path, Manifest]],
    out: Path,
    shards: Sequence[ShardEntry],
) -> dict[FeatureSet, FeatureSetEntry]:
    writers = {name: FeatureSetWriter(out, name, source) for name, source in made_by.items()}
    with ExitStack() as stack:
        origins = [
            _Origin(root, one, stack.enter_context(closing(FeatureArrays(root, one, _KEPT_BYTES))))
            for root, one in holding
        ]
        for shard in shards:
            posts = shard_posts(out, shard)
            for name, writer in writers.items():
                keys = sorted(writer.lacking(posts))
                for origin in origins:
                    _copy_if_same(name, shard.index, keys, origin, out)
                if not writer.find(keys):
                    writer.write(_arrays(name, keys, origins), _stages(name, holding))
    return {name: writer.entry() for name, writer in writers.items()}


def _copy_if_same(
    name: FeatureSet, index: int, keys: Sequence[str], origin: _Origin, out: Path
) -> None:
    """Copy the file of a shard if it holds just these arrays."""
    files = origin.manifest.feature_sets[name].files
    if index < len(files) and files[index].rows == len(keys):
        file = open_shard(origin.root, files[index], "features")
        same = file.column("key") == keys
        file.close()
        if same:
            copy_file(origin.root, out, files[index])


def _arrays(name: FeatureSet, keys: Sequence[str], origins: Sequence[_Origin]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for key in keys:
        arrays = (origin.arrays.find(name, key) for origin in origins)
        array = next((one for one in arrays if one is not None), None)
        if array is None:
            raise StoreDamaged(
                f"the array {key} of feature set {name} is in none of "
                f"{', '.join(str(origin.root) for origin in origins)}. {RESTORE}"
            )
        found[key] = array
    return found


def _stages(name: FeatureSet, holding: Sequence[tuple[Path, Manifest]]) -> tuple[int, ...]:
    return next((s for _, one in holding if (s := one.feature_sets[name].stages)), ())
