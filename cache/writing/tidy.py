"""Removing what builds leave behind; never anything that no build would have written."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Final

from cache.errors import StoreDamaged
from cache.files import TEMPORARY, check_regular, explaining, make_folder
from cache.manifest import SHARD_PATH, Manifest
from cache.recording.segments import open_segment, segments
from cache.schema import FOLDERS

# Below the folder of derived files, where it is in nobody's way and given to nobody.
_SET_ASIDE: Final = f"{TEMPORARY}cut-"
_log = logging.getLogger(__name__)


def remove_leftovers(root: Path, manifest: Manifest, folders: Collection[str] = FOLDERS) -> None:
    """Remove shard files that ``manifest`` does not name, and what a killed run left half-written.

    Only for who holds the writer's lock: nobody else is writing then. Files with other names are
    left alone, `verify_store` reports them.

    Args:
        root: folder of the store.
        manifest: of the store.
        folders: those that are looked through.
    """
    named = {file.path for file in manifest.files}
    with explaining(root):
        for folder in folders:
            for path in (root / folder).glob("part-*"):
                relative = f"{folder}/{path.name}"
                if SHARD_PATH.fullmatch(relative) and relative not in named and path.is_file():
                    path.unlink()
        for folder in ("", *folders, "recordings"):
            for path in (root / folder).glob(f"{TEMPORARY}*"):
                path.unlink()


def set_aside_cut(recordings: Path, aside: Path) -> None:
    """Move segments whose end is lost, as after a power cut, out of ``recordings`` into ``aside``.

    Only for who holds the writer's lock. What they held is asked again.

    Raises:
        StoreDamaged: one is no file of its own; set aside, what it leads to would be asked again.
        StoreError: the folder cannot be written.
    """
    for path, table in segments(recordings):
        check_regular(path, recordings)
        try:
            open_segment(path, table).close()
        except StoreDamaged as damage:
            # An error of the operating system may pass, and says nothing about the file.
            if isinstance(damage.__cause__, OSError) and damage.__cause__.errno is not None:
                continue
            target = aside / f"{_SET_ASIDE}{path.name}"
            make_folder(aside)
            with explaining(path):
                path.replace(target)
            _log.warning("%s The file is %s now; what it held is asked again.", damage, target)
