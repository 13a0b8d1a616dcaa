"""Files in the folder of a store that no store has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cache.files import TEMPORARY
from cache.journal import JOURNAL_NAME
from cache.manifest import MANIFEST_NAME, Manifest
from cache.schema import TABLES
from cache.writer import LOCK_NAME

_FOLDERS: Final = (*TABLES, "recordings", "local")
_TOP: Final = (MANIFEST_NAME, JOURNAL_NAME, LOCK_NAME)
# People may leave a note or a report beside the data; everything else is a stranger.
_NOTES: Final = (".md", ".html")


def strangers(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a problem for every file that no store of this manifest has.

    While a build is interrupted its shards are not yet in the manifest, and no strangers.
    """
    named = {file.path for shard in manifest.shards for file in shard.files.values()}
    building = (root / JOURNAL_NAME).exists()
    for path in sorted(root.iterdir()):
        if path.name in _FOLDERS:
            if path.is_symlink() or not path.is_dir():
                yield f"{path} is not a folder. Replace it with the folder itself."
        elif path.name.startswith(TEMPORARY) and building:
            continue
        elif path.name not in _TOP and path.suffix not in _NOTES:
            yield f"{path} does not belong to the store. Move it elsewhere."
    for table in TABLES:
        for path in sorted((root / table).glob("*")):
            if f"{table}/{path.name}" not in named and not building:
                yield f"{path} is not in the manifest. Move it elsewhere, or build again."
