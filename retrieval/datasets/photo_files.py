"""From a photo's name in the data to a file below the photos' folder, and never to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_MAX_NAME_BYTES: Final = 255
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})


def name_problem(name: str) -> str:
    """Return why ``name`` is no plain file name, or empty where it is one."""
    if name in {"", ".", ".."}:
        return "is no file name"
    if "/" in name or "\\" in name:
        return "names a folder"
    if not name.isprintable():
        return "holds a control or invisible character"
    if len(name.encode("utf-8")) > _MAX_NAME_BYTES:
        return f"is longer than {_MAX_NAME_BYTES} bytes"
    return ""


def photo_name(photo_id: str) -> str:
    """Return the file name that belongs to an ``IMGID:``; most data sets leave ``.jpg`` off."""
    has_suffix = any(photo_id.lower().endswith(suffix) for suffix in _SUFFIXES)
    return photo_id if has_suffix else f"{photo_id}.jpg"


def find_photo(folders: Sequence[Path], name: str) -> tuple[Path | None, str]:
    """Return the file called ``name`` in the first folder that has one, and why there is none.

    Args:
        folders: resolved (no symbolic links left), tried in order.
        name: checked with `name_problem` before.
    """
    for folder in folders:
        path = folder / name
        if not path.is_symlink() and not path.exists():
            continue
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return None, "a link that leads nowhere"
        if not target.is_relative_to(folder):
            return None, "a link that leads out of the photos' folder"
        return target, ""
    return None, "missing"
