"""The manifest: what a store consists of, written last, so that its presence means complete.

The manifest carries a hash of itself: an edit by hand is noticed. There are no dates and no
machine names in it, so that building twice gives the same bytes.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from cache.errors import InputError, StoreDamaged, StoreError, StoreMismatch, StoreOutdated
from cache.feature_keys import PYRAMID_SIDE
from cache.files import inner_path, sync_folder, write_atomically
from cache.keys import canonical_json, fingerprint
from cache.records import FeatureSet
from cache.schema import (
    FEATURE_AXES,
    FEATURE_DTYPES,
    FOLDERS,
    SCHEMA_VERSION,
    TABLES,
    FeatureDtype,
    Table,
)
from cache.tables.withheld import Part

MANIFEST_NAME: Final = "manifest.json"
SHARD_PATH: Final = re.compile(
    rf"({'|'.join(FOLDERS)})/part-([0-9]{{5,9}})-([0-9a-f]{{12}})\.parquet"
)
# Some 25,000 shards; what a stranger's takes in memory stays below half a gigabyte.
MAX_MANIFEST_BYTES: Final = 32 << 20
_MAX_VALUES: Final = 1 << 20
# What rows of one shard were compared with, where that differs between them.
SEVERAL_REFERENCES: Final = "0" * 64
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, lt=1 << 53)]
_Size = Annotated[int, Field(ge=1, le=1 << 16)]
_Kind = TypeVar("_Kind", bound=BaseModel)


class _Entry(BaseModel):
    """Frozen, strict, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileEntry(_Entry):
    """One shard file, as it must be found on disk."""

    path: str
    rows: _Count
    size_bytes: _Count
    sha256: _Sha256


class ShardEntry(_Entry):
    """One shard: one file for each table, and the posts that could not be finished.

    Attributes:
        index: place of the shard in the store.
        embedding_dim: length of every embedding in it; None where it has none.
        unfinished: ids of posts of which a provider could not be asked; they have no row.
        compared_with: fingerprint of what the evidence was compared with to score it; empty where
            it was not; `SEVERAL_REFERENCES` where that differs, in a merged shard.
        files: one file for each table.
    """

    index: _Count
    embedding_dim: Annotated[int, Field(ge=1, le=1 << 20)] | None
    unfinished: tuple[str, ...]
    compared_with: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    files: dict[Table, FileEntry]

    @model_validator(mode="after")
    def _named_by_content(self) -> ShardEntry:
        if set(self.files) != set(TABLES):
            raise ValueError(f"shard {self.index} must list {', '.join(TABLES)}")
        for table, file in self.files.items():
            if file.path != shard_path(table, self.index, file.sha256):
                raise ValueError(f"shard {self.index} names {file.path!r} as its {table} file")
        return self


class FeatureSetEntry(_Entry):
    """One feature set: what made its arrays, what they are like, and where they lie.

    Attributes:
        source: model and digest of its weights, or version of a rule: equal ones give arrays that
            may stand beside each other.
        dtype: of the numbers.
        dims: the sizes that all arrays have in common, the last axes; none where it has no array.
        stages: of ``pyramid`` alone: channels of each stage, which lie side by side.
        files: one for each shard, in order: arrays that its posts need and no earlier file holds.
    """

    source: Annotated[str, Field(min_length=1, max_length=500)]
    dtype: FeatureDtype
    dims: tuple[_Size, ...]
    stages: Annotated[tuple[_Size, ...], Field(max_length=4)]
    files: tuple[FileEntry, ...]


class Manifest(_Entry):
    """All that a store promises.

    Attributes:
        schema_version: of the tables.
        identity: what decided the content: settings, fingerprints, code version, models.
        shards: in order of index, none missing.
        counters: what the builder counted.
        rights: free statements by subject: ``licence``, ``posts``, ``evidence``, ...
        summary: what the shards hold, counted from them; see `cache.tables.summary`.
        withheld: what was left out: ``images``, ``posts``, ``texts``; sorted.
        original: fingerprint of the whole store that this one was made from by leaving something
            out; empty otherwise.
        feature_sets: arrays that were computed of posts and photos, see ``docs/feature-sets.md``;
            the file has the key only if there are some.
    """

    schema_version: int
    identity: dict[str, JsonValue]
    shards: tuple[ShardEntry, ...]
    counters: dict[str, JsonValue]
    rights: dict[str, str]
    summary: dict[str, JsonValue]
    withheld: tuple[Part, ...]
    original: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    feature_sets: dict[FeatureSet, FeatureSetEntry] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Manifest:
        if [shard.index for shard in self.shards] != list(range(len(self.shards))):
            raise ValueError("the shards are not numbered 0, 1, 2, ...")
        if len({shard.embedding_dim for shard in self.shards} - {None}) > 1:
            raise ValueError("the shards have embeddings of different lengths")
        if list(self.withheld) != sorted(set(self.withheld)):
            raise ValueError("withheld is not sorted, or names something twice")
        if self.original and not self.withheld:
            raise ValueError("it names an original, but nothing is withheld")
        for name, features in self.feature_sets.items():
            _check_feature_set(name, features, len(self.shards))
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that a store without feature sets has the bytes that it had before there were any.
        content: dict[str, Any] = dump(self)
        if not self.feature_sets:
            content.pop("feature_sets", None)
        return content

    @property
    def fingerprint(self) -> str:
        """The hash that the manifest carries: it stands for every byte of the store."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def embedding_dim(self) -> int | None:
        """Length of every embedding in the store; None where it has none."""
        dims = {shard.embedding_dim for shard in self.shards} - {None}
        return dims.pop() if dims else None

    @property
    def compared_alike(self) -> bool:
        """Whether one reference scored all of the evidence, or none did."""
        known = {shard.compared_with for shard in self.shards}
        return len(known) < 2 and SEVERAL_REFERENCES not in known

    @property
    def num_examples(self) -> int:
        """Posts in the store."""
        return sum(shard.files["examples"].rows for shard in self.shards)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Every file that the store consists of: those of the shards, then of feature sets."""
        of_shards = (file for shard in self.shards for file in shard.files.values())
        return (*of_shards, *(f for one in self.feature_sets.values() for f in one.files))

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Ids of the posts that a provider left unanswered, in order of shards."""
        return tuple(name for shard in self.shards for name in shard.unfinished)


def _check_feature_set(name: FeatureSet, features: FeatureSetEntry, num_shards: int) -> None:
    """Refuse a feature set that is not of the form of its name."""
    paths = [shard_path(name, index, file.sha256) for index, file in enumerate(features.files)]
    if len(paths) != num_shards or [file.path for file in features.files] != paths:
        raise ValueError(f"the files of feature set {name} are not one for each shard, in order")
    if features.dtype != FEATURE_DTYPES[name]:
        raise ValueError(f"feature set {name} is of {features.dtype}")
    some = any(file.rows for file in features.files)
    if len(features.dims) != (FEATURE_AXES[name][1] if some else 0):
        raise ValueError(f"feature set {name} has the sizes {features.dims}")
    # A system makes weights of these sizes, so a stranger's must be those of the format.
    if some and name == "pyramid" and features.dims[0] != PYRAMID_SIDE**2:
        raise ValueError(f"feature set {name} has {features.dims[0]} positions of a view")
    if sum(features.stages) != (sum(features.dims[-1:]) if name == "pyramid" else 0):
        raise ValueError(f"feature set {name} has the stages {features.stages}")


def shard_path(table: Table | FeatureSet, index: int, sha256: str) -> str:
    """Return the path of a shard file below its store: named by its content."""
    return f"{table}/part-{index:05d}-{sha256[:12]}.parquet"


def locate(root: Path, file: FileEntry) -> Path:
    """Return where ``file`` of the store ``root`` lies; the form of the path is checked again."""
    return inner_path(root, file.path, SHARD_PATH)


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the file of a manifest, with its own hash."""
    content = manifest.model_dump(mode="json")
    content["sha256"] = manifest.fingerprint
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return (text + "\n").encode()


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write the manifest atomically; an equal one is left alone."""
    data = manifest_bytes(manifest)
    path = root / MANIFEST_NAME
    if len(data) > MAX_MANIFEST_BYTES:
        raise StoreError(
            f"{path} would have {len(data):,} bytes, and no reader takes more than "
            f"{MAX_MANIFEST_BYTES:,}. Build with larger shards, or into several stores."
        )
    if path.is_file() and path.read_bytes() == data:
        sync_folder(root)
    else:
        write_atomically(path, data)


def read_manifest(root: Path) -> Manifest:
    """Return the manifest of the store at ``root``.

    Raises:
        StoreDamaged: there is none, or it was cut, edited or does not follow the format.
        StoreOutdated: it follows an older schema.
        StoreMismatch: it follows another schema.
    """
    return load_manifest(root, Manifest, (SCHEMA_VERSION,))


def load_manifest(root: Path, kind: type[_Kind], versions: Collection[int]) -> _Kind:
    """Return the manifest of the store at ``root`` as ``kind``, which describes ``versions``.

    Raises:
        StoreDamaged: see `read_manifest`.
        StoreMismatch: it follows a schema that is none of ``versions``.
    """
    path = root / MANIFEST_NAME
    text = _read_text(path)
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise StoreDamaged(_broken(path, f"it is not JSON ({error})")) from error
    if not isinstance(content, dict):
        raise StoreDamaged(_broken(path, "it is not an object"))
    found = content.get("schema_version")
    if type(found) is not int or found not in versions:
        raise _other_schema(path, found)
    claimed = content.pop("sha256", None)
    try:
        if claimed != fingerprint(content):
            why = "its own hash does not fit: it was edited or damaged"
            raise StoreDamaged(_broken(path, why))
        return kind.model_validate_json(canonical_json(content))
    except ValidationError as error:
        raise StoreDamaged(_broken(path, str(error.errors()[0]["msg"]))) from error
    except (InputError, UnicodeError, RecursionError) as error:
        raise StoreDamaged(_broken(path, str(error))) from error


def differing_keys(
    ours: Mapping[str, object], theirs: Mapping[str, object], prefix: str = ""
) -> list[str]:
    """Return the dotted keys at which two identities differ, sorted."""
    keys: list[str] = []
    for key in sorted({*ours, *theirs}):
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, dict) and isinstance(other, dict):
            keys += differing_keys(mine, other, f"{prefix}{key}.")
        elif (key in ours) != (key in theirs) or canonical_json(mine) != canonical_json(other):
            keys.append(prefix + key)
    return keys


def value_at(value: Mapping[str, JsonValue], dotted: str) -> JsonValue:
    """Return what is at a key that `differing_keys` named; None where there is nothing."""
    for key in sorted(value, key=len, reverse=True):
        inner = value[key]
        if dotted == key:
            return inner
        if isinstance(inner, dict) and dotted.startswith(f"{key}."):
            return value_at(inner, dotted[len(key) + 1 :])
    return None


def _read_text(path: Path) -> str:
    try:
        status = path.lstat()
        # Reading a named pipe would wait for a writer that never comes.
        if not stat.S_ISREG(status.st_mode):
            raise StoreDamaged(_broken(path, "it is not a regular file"))
        if status.st_size > MAX_MANIFEST_BYTES:
            raise StoreDamaged(_broken(path, f"it has {status.st_size} bytes"))
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StoreDamaged(
            f"{path} does not exist: there is no store in {path.parent}, or its build did not "
            "finish. Run the build again with the same recipe; it goes on where it stopped."
        ) from error
    except OSError as error:
        raise StoreDamaged(_broken(path, error.strerror or str(error))) from error
    except UnicodeDecodeError as error:
        raise StoreDamaged(_broken(path, "it is not UTF-8")) from error
    # Three bytes of JSON may take a hundred in memory.
    if sum(map(text.count, ",[{")) > _MAX_VALUES:
        raise StoreDamaged(_broken(path, f"it has more than {_MAX_VALUES:,} values"))
    return text


def _other_schema(path: Path, found: object) -> StoreMismatch:
    what = f"{path} has schema {found!r}, but this checkout reads schema {SCHEMA_VERSION}."
    if type(found) is int and 1 <= found < SCHEMA_VERSION:
        return StoreOutdated(
            f"{what} Write it anew with `ramie migrate {path.parent} OUT`; or build it again in "
            "the same folder: recorded answers are used again, nobody is asked."
        )
    return StoreMismatch(
        f"{what} Use the code version named in the manifest, or build into another folder."
    )


def _broken(path: Path, why: str) -> str:
    return f"{path} cannot be used: {why}. Restore it from a copy, or build the store again."


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
