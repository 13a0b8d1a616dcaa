"""Files in the folder of a store that no store has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from cache.files import TEMPORARY
from cache.manifest import MANIFEST_NAME, SHARD_PATH, Manifest
from cache.recording.segments import segments
from cache.schema import FOLDERS
from cache.writing.complete import CARD_NAME
from cache.writing.journal import JOURNAL_NAME
from cache.writing.lock import LOCK_NAME

RECORDINGS: Final = "recordings"
LOCAL: Final = "local"
_FOLDERS: Final = (*FOLDERS, RECORDINGS, LOCAL)
# The last one tells who cannot list a folder which recordings a pushed store has.
_TOP: Final = (MANIFEST_NAME, CARD_NAME, JOURNAL_NAME, LOCK_NAME, "recordings.json")
# People may leave a note or a report beside the data; everything else is a stranger.
_NOTES: Final = (".md", ".html")
_DERIVED: Final = ("features", "images")
_WAY_OUT: Final = "Move it elsewhere; until then who gets the store gets it, too."


def strangers(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a problem for every file that no store of this manifest has."""
    for path in stranger_paths(root, manifest, building=is_being_written(root)):
        if path.parent == root and path.name in _FOLDERS:
            yield f"{path} is not a folder. Replace it with the folder itself."
        elif path.parent == root and path.name in _TOP:
            yield f"{path} is not a regular file. Replace it with the file itself."
        elif path.parent.name in FOLDERS:
            yield f"{path} is not in the manifest. {_WAY_OUT}"
        elif path.parent.name == RECORDINGS:
            yield f"{path} is no recording. {_WAY_OUT}"
        else:
            yield f"{path} does not belong to the store. {_WAY_OUT}"


def stranger_paths(root: Path, manifest: Manifest, *, building: bool) -> Iterator[Path]:
    """Yield what is in the folder of a store, and no part of it.

    Args:
        root: folder of the store.
        manifest: of the store.
        building: a build is at work or interrupted: its shards are not yet in the manifest.
    """
    for path in _inside(root):
        if path.name in _FOLDERS:
            if not _is(path, stat.S_IFDIR):
                yield path
        elif path.name.startswith(TEMPORARY) and building:
            continue
        elif (path.name not in _TOP and path.suffix not in _NOTES) or not _is(path, stat.S_IFREG):
            yield path
    named = {file.path for file in manifest.files}
    for folder in FOLDERS:
        for path in _inside(root / folder):
            relative = f"{folder}/{path.name}"
            unfinished = path.name.startswith(TEMPORARY) or SHARD_PATH.fullmatch(relative)
            if relative not in named and not (building and unfinished):
                yield path
    recorded = {path for path, _ in segments(root / RECORDINGS)}
    for path in _inside(root / RECORDINGS):
        if path not in recorded and not (building and path.name.startswith(TEMPORARY)):
            yield path
    for path in _inside(root / LOCAL):
        if not (path.name.startswith((*_DERIVED, TEMPORARY)) and _is(path, stat.S_IFREG)):
            yield path


def is_being_written(root: Path) -> bool:
    """Return whether a build or a push is at work, or was killed: a part of it may be there."""
    return any(os.path.lexists(root / name) for name in (JOURNAL_NAME, LOCK_NAME))


def _inside(folder: Path) -> list[Path]:
    """Return what is in a folder itself, hidden files too; nothing behind a link.

    Nothing of a folder that cannot be read: its files are reported one by one.
    """
    with suppress(OSError):
        return sorted(folder.iterdir()) if _is(folder, stat.S_IFDIR) else []
    return []


def _is(path: Path, kind: int) -> bool:
    try:
        return stat.S_IFMT(path.lstat().st_mode) == kind
    except OSError:
        return False
