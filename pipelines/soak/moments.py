"""Where a build is: each change that it is about to make on the disk, told to who watches."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cache.files import TEMPORARY
from cache.schema import TABLES

PHASES: Final = (
    "start-up",
    "lock",
    "recordings",
    "merging recordings",
    "shards",
    "journal",
    "card",
    "manifest",
    "clearing away",
    "lock given back",
)
"""What a build does, by what it changed last; before the first change it starts up."""

_TOP: Final = {
    "build.lock": "lock",
    "build.journal": "journal",
    "README.md": "card",
    "manifest.json": "manifest",
}
_CHANGES: Final = frozenset({"os.rename", "os.remove", "os.mkdir", "os.truncate"})


def tell_changes(store: Path, descriptor: int) -> None:
    """From now on write a byte, the number of the phase, before each change below ``store``."""
    root = str(store) + os.sep

    def watch(event: str, arguments: Sequence[object]) -> None:
        if event == "open":
            flags = arguments[2]
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
                return
        elif event not in _CHANGES:
            return
        path = arguments[1] if event == "os.rename" else arguments[0]
        if isinstance(path, str | os.PathLike) and str(path).startswith(root):
            place = PHASES.index(_phase(event, Path(path).relative_to(store)))
            os.write(descriptor, bytes([place]))

    sys.addaudithook(watch)


def _phase(event: str, path: Path) -> str:
    temporary = TEMPORARY in path.name
    name = path.name.partition("-")[2].partition("-")[2] if temporary else path.name
    removed = event == "os.remove" and not temporary
    if name in _TOP:
        if not removed:
            return _TOP[name]
        return "lock given back" if name == "build.lock" else "clearing away"
    if path.parts[0] in TABLES:
        return "clearing away" if removed else "shards"
    return "merging recordings" if removed else "recordings"
