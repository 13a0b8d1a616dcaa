"""Whether feature sets hold what the posts of a store need, and nothing that cannot be."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from cache.checking.plausible import lengths, whole
from cache.checking.verify_findings import ShardFindings
from cache.errors import RamieError, StoreDamaged
from cache.feature_keys import PostSize, misfit, photo_feature_key
from cache.keys import is_content_key
from cache.manifest import FeatureSetEntry, FileEntry, Manifest
from cache.records import FeatureSet
from cache.tables.features import Made, array_rows, decode_row, made_of
from cache.tables.shards import load_shard

_WAY_OUT: Final = (
    "Until then systems that read the set cannot be trained on the store; nothing else is lost by "
    "it. Remove the file and build again with the recipe of the store: only this is made anew."
)
# Keys have 64 characters; of those that are none, so much is told.
_SHOWN_KEY: Final = 80
# Arrays of a file of which it is told what is wrong.
_SHOWN: Final = 10
# Of a box: what keys are made of.
_SIDES: Final = ("left", "top", "right", "bottom")
Needed = Mapping[str, PostSize]


class FeatureFile(NamedTuple):
    """A file of a feature set to be checked.

    Attributes:
        name: of the set.
        features: what the manifest says of the set.
        file: what it says of the file.
        needed: keys that the file must have, with the size of a post of each; None where damage
            elsewhere keeps that from being known.
    """

    name: FeatureSet
    features: FeatureSetEntry
    file: FileEntry
    needed: Needed | None


@dataclass(slots=True)
class FeatureFindings:
    """What was found in a file: sentences that name it, and counts, see `VerifyReport`."""

    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def arrays_needed(part: pa.Table, name: FeatureSet) -> dict[str, PostSize]:
    """Return the keys of the arrays that posts need in a feature set, with a size of a post each.

    Args:
        part: rows of ``examples`` that make sense.
        name: of the set.
    """
    regions = whole(part, "regions")
    num_regions = lengths(regions).tolist()
    sizes = map(
        PostSize, (n or None for n in lengths(whole(part, "tokens")).tolist()), num_regions
    )
    if name == "parse":
        return dict(zip(part.column("post_sha256").to_pylist(), sizes, strict=True))
    sides = [regions.flatten().field(side).to_numpy(False) for side in _SIDES]
    boxes = iter(np.stack(sides, axis=1).tolist())
    keys = (
        photo_feature_key(name, photo, list(itertools.islice(boxes, number)))
        for photo, number in zip(part.column("photo_key").to_pylist(), num_regions, strict=True)
    )
    return {key: size for key, size in zip(keys, sizes, strict=True) if key is not None}


def feature_files(
    manifest: Manifest, shards: Sequence[ShardFindings], *, posts_sound: bool
) -> list[FeatureFile]:
    """Return the files of all feature sets, with what the posts need where these are sound."""
    seen: dict[FeatureSet, set[str]] = {name: set() for name in manifest.feature_sets}
    files: list[FeatureFile] = []
    for found in shards:
        for name, features in manifest.feature_sets.items():
            # Popped, for at a million posts one copy of the keys is much.
            needed = {k: s for k, s in found.arrays.pop(name).items() if k not in seen[name]}
            seen[name].update(needed)
            file = features.files[found.shard.index]
            files.append(FeatureFile(name, features, file, needed if posts_sound else None))
    return files


def check_feature_file(root: Path, one: FeatureFile) -> FeatureFindings:
    """Read every byte and every array of a file."""
    found = FeatureFindings()
    found.counts[f"arrays of {one.name}"] += one.file.rows
    found.counts["bytes"] += one.file.size_bytes
    try:
        found.problems += (f"{root / one.file.path}: {what}." for what in _problems(root, one))
    except RamieError as error:
        found.problems.append(f"{error} {_WAY_OUT}")
    return found


def _problems(root: Path, one: FeatureFile) -> Iterator[str]:
    file = load_shard(root, one.file, "features")
    keys: list[str] = []
    try:
        made = made_of(file.schema, one.name)
        stages = one.features.stages if one.file.rows else ()
        if made != Made(one.features.source, stages):
            yield f"it says that {made} made it, and the manifest that {one.features.source!r} did"
        wrong = 0
        # Of a file that holds more than it may, which may be a lot, keys tell enough.
        too_many = one.needed is not None and one.file.rows > len(one.needed)
        for part in file.parts(["key"] if too_many else None):
            keys += (key[:_SHOWN_KEY] for key in part.column("key").to_pylist())
            for why in () if too_many else _wrong_arrays(part, one):
                wrong += 1
                if wrong <= _SHOWN:
                    yield why
        if wrong > _SHOWN:
            yield f"{wrong - _SHOWN:,} more arrays make no sense"
    finally:
        file.close()
    if keys != sorted(set(keys)) or not all(map(is_content_key, keys)):
        yield "rows are not sorted by unique key"
    if one.needed is not None:
        for what, odd in (
            ("is missing", one.needed.keys() - set(keys)),
            (
                "belongs into an earlier file, or to no post",
                set(keys) - one.needed.keys(),
            ),
        ):
            if odd:
                more = f" (and {len(odd) - 1:,} more)" if len(odd) > 1 else ""
                yield f"the array {min(odd)} {what}{more}"


def _wrong_arrays(part: pa.Table, one: FeatureFile) -> Iterator[str]:
    """Yield what is wrong with each array of a row group that is not as it must be."""
    for row in array_rows(part):
        size = None if one.needed is None else one.needed.get(row.key)
        try:
            array = decode_row(row, one.name, one.features.dims)
        except StoreDamaged as error:
            yield str(error)
        else:
            why = None if size is None else misfit(one.name, array, size)
            if why is not None:
                yield f"the array {row.key!r}: {why}"
