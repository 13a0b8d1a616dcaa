"""Weights files: where they are looked for, and how they are identified."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from cache.errors import InputError


def weights_folder() -> Path:
    """Return where downloaded detector weights are kept (``$XDG_CACHE_HOME/ramie/weights``)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ramie" / "weights"


def offline() -> bool:
    """Return whether the user forbade downloads (``HF_HUB_OFFLINE`` or ``YOLO_OFFLINE``)."""
    names = ("HF_HUB_OFFLINE", "YOLO_OFFLINE")
    return any(os.environ.get(name, "").lower() in {"1", "true", "yes", "on"} for name in names)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        stat = path.stat()
        return _digest(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise InputError(
            f"cannot read the weights {path}: {error}. Check the path and its permissions."
        ) from error


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
