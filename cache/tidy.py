"""Removing what builds leave behind; never anything that no build would have written."""

from __future__ import annotations

from pathlib import Path

from cache.files import TEMPORARY, explaining
from cache.manifest import SHARD_PATH, Manifest
from cache.schema import TABLES


def remove_leftovers(root: Path, manifest: Manifest) -> None:
    """Remove shard files that ``manifest`` does not name, and what a killed run left half-written.

    Only for who holds the writer's lock: nobody else is writing then. Files with other names are
    left alone, `verify_store` reports them.
    """
    named = {file.path for shard in manifest.shards for file in shard.files.values()}
    with explaining(root):
        for table in TABLES:
            for path in (root / table).glob("part-*"):
                relative = f"{table}/{path.name}"
                if SHARD_PATH.fullmatch(relative) and relative not in named and path.is_file():
                    path.unlink()
        for folder in ("", *TABLES, "recordings"):
            for path in (root / folder).glob(f"{TEMPORARY}*"):
                path.unlink()
