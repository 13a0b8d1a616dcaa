"""What a store consists of when it travels: names, sizes and hashes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cache import Manifest, StoreDamaged
from cache.manifest import SHARD_PATH
from cache.recording.segments import segments
from cache.schema import FOLDERS as _NAMED

RECORDINGS: Final = "recordings"
LISTING_NAME: Final = "recordings.json"
FOLDERS: Final = (*_NAMED, RECORDINGS)
MAX_LISTING_BYTES: Final = 32 << 20
_RECORDING: Final = re.compile(r"recordings/(?:answers|media)-([0-9a-f]{32})\.parquet")


@dataclass(frozen=True, slots=True, order=True)
class StoreFile:
    """A file that travels.

    Attributes:
        name: path below the store, of the form of a shard or of a recording.
        size_bytes: of the file.
        sha256: what the SHA-256 of its content begins with: all 64 digits, or 32 of a recording.
    """

    name: str
    size_bytes: int
    sha256: str


class _Listed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    size_bytes: Annotated[int, Field(ge=0, lt=1 << 40)]


class _Listing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    recordings: tuple[_Listed, ...]


def shard_files(manifest: Manifest) -> list[StoreFile]:
    """Return the files that ``manifest`` names."""
    return [StoreFile(file.path, file.size_bytes, file.sha256) for file in manifest.files]


def local_recordings(root: Path) -> list[StoreFile]:
    """Return the recordings of the store at ``root``."""
    found = (path for path, _ in segments(root / RECORDINGS))
    sizes = {f"{RECORDINGS}/{path.name}": path.lstat().st_size for path in found}
    return recordings_among(sizes)


def recordings_among(sizes: dict[str, int]) -> list[StoreFile]:
    """Return the recordings among files with these sizes; other names are passed over."""
    return [
        StoreFile(name, size, match[1])
        for name, size in sorted(sizes.items())
        if (match := _RECORDING.fullmatch(name))
    ]


def is_shard(name: str) -> bool:
    """Return whether ``name`` has the form of a shard's file."""
    return SHARD_PATH.fullmatch(name) is not None


def listing(recordings: Iterable[StoreFile]) -> bytes:
    """Return the file that names the recordings, for who cannot list a folder (over HTTP)."""
    listed = [{"name": file.name, "size_bytes": file.size_bytes} for file in sorted(recordings)]
    return (json.dumps({"recordings": listed}, indent=1) + "\n").encode()


def read_listing(data: bytes, where: str) -> list[StoreFile]:
    """Return the recordings that a listing names.

    Raises:
        StoreDamaged: it is no listing, or names anything else than recordings.
    """
    try:
        listed = _Listing.model_validate_json(data).recordings
    except ValidationError as error:
        raise _broken(where, str(error.errors()[0]["msg"])) from error
    for item in listed:
        if _RECORDING.fullmatch(item.name) is None:
            raise _broken(where, f"it names {item.name[:200]!r}, which is no recording")
    return recordings_among({item.name: item.size_bytes for item in listed})


def _broken(where: str, why: str) -> StoreDamaged:
    return StoreDamaged(
        f"{where} cannot be used: {why}. Ask whoever pushed it to push again, or leave the "
        "recordings out with --no-recordings."
    )
