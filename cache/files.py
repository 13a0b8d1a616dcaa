"""Files that appear only when complete, and paths that cannot leave the store."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cache.errors import StoreDamaged, StoreError

TEMPORARY: Final = ".tmp-"
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT: Final = {errno.EROFS, errno.EACCES, errno.EPERM}
# What file systems answer that keep no folders of their own (some network mounts).
_NO_SUCH_SYNC: Final = {errno.EINVAL, errno.ENOTSUP}
_CHUNK_BYTES: Final = 1 << 20


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn an operating system's error about writing ``path`` into one that says the way out.

    Raises:
        StoreError: no room, no right to write, or another failure of the operating system.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            way_out = "Free some space (or raise the quota)"
        elif error.errno in _NO_RIGHT:
            way_out = "Make the folder writable, or choose another one"
        else:
            way_out = "Check the folder and its disk"
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. {way_out} and run the same command "
            "again; what was finished is kept."
        ) from error


def sync_folder(folder: Path) -> None:
    """Make what was renamed, made or removed inside ``folder`` survive a power cut.

    Raises:
        StoreError: see `explaining`.
    """
    with explaining(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_SUCH_SYNC:
                raise
        finally:
            os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it where missing, so that a power cut leaves them there.

    Raises:
        StoreError: see `explaining`.
    """
    with explaining(folder):
        if not folder.is_dir():
            make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write a whole file: temporary name, fsync, rename, fsync of the folder.

    A reader sees the old file, or the new one, never a part. Folders are made where missing.
    Where the disk fails to keep it, the next attempt writes all of it anew: what failed to be
    synced once may count as clean, and be lost, however often it is synced again.

    Raises:
        StoreError: see `explaining`; nothing half is left behind.
    """
    make_folder(path.parent)
    with explaining(path):
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
        # Made anew, for what lies there may be a link to something else.
        temporary.unlink(missing_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def inner_path(root: Path, relative: str, pattern: re.Pattern[str]) -> Path:
    """Return ``root / relative`` for a path that a file, and not this program, named.

    Raises:
        StoreDamaged: the path does not have the form that the store's own files have (so no
            absolute path and no ``..`` can pass).
    """
    if pattern.fullmatch(relative) is None:
        raise StoreDamaged(
            f"{root} names a file {relative!r}, which is no file of a store. "
            "Fetch or build the store again."
        )
    return root / relative


def check_regular(path: Path, root: Path) -> os.stat_result:
    """Return the status of a file below ``root`` that is neither a link nor reached through one.

    Raises:
        StoreDamaged: the file is missing, no regular file, or behind a symbolic link.
    """
    for folder in path.relative_to(root).parents:
        if (root / folder) != root and (root / folder).is_symlink():
            raise StoreDamaged(
                f"{root / folder} is a symbolic link; a store holds its own files. "
                "Copy the folder itself into the store."
            )
    try:
        status = path.lstat()
    except OSError as error:
        raise StoreDamaged(
            f"{path} is missing or not readable ({error.strerror}). "
            "Restore the file, or build the store again."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise StoreDamaged(
            f"{path} is not a regular file; a store holds its own files. "
            "Replace it with the file itself, or build the store again."
        )
    return status
