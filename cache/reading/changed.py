"""Telling a store that a newer build has replaced from one that is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cache.errors import StoreChanged, StoreDamaged, StoreError
from cache.manifest import Manifest, read_manifest

_Value = TypeVar("_Value")


def unless_changed(root: Path, manifest: Manifest, read: Callable[[], _Value]) -> _Value:
    """Return what ``read`` returns of the store at ``root``, by ``manifest`` as it was read.

    Files that a manifest names are there as long as it is: they go after the next one came. Where
    ``read`` finds damage, the manifest is compared, and where it is the same, all is read again:
    builds that follow each other may have brought it back meanwhile.

    Raises:
        StoreChanged: another manifest is there by now.
        StoreDamaged: as ``read`` raised it, for the second time.
    """
    try:
        return read()
    except StoreDamaged as damage:
        check_unchanged(root, manifest, damage)
    try:
        return read()
    except StoreDamaged as damage:
        check_unchanged(root, manifest, damage)
        raise


def check_unchanged(root: Path, manifest: Manifest, damage: StoreDamaged | None = None) -> None:
    """Compare ``manifest`` with the one that the store at ``root`` has now.

    Raises:
        StoreChanged: it has another one, which is why ``damage`` is none.
    """
    try:
        same = read_manifest(root).fingerprint == manifest.fingerprint
    except StoreError:
        # Without a store in its place, damage stays damage.
        return
    if not same:
        raise StoreChanged(
            f"{root} was replaced by a newer build while it was being read. Open it again."
        ) from damage
