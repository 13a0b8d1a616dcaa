"""Derived files: made from the shards, believed only on the machine that made them.

A derived file is never shared. Its hashes tell accidents, not intent, so a ticket beside it notes
its size and the time at which the kernel last changed it, which no archive or copy can bring
along: a file that does not fit its ticket is made again, before any of it is read.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

from cache.errors import StoreDamaged, StoreError, StoreMismatch
from cache.files import TEMPORARY, explaining, write_atomically
from cache.manifest import Manifest
from cache.reading.derived_file import FORMS, Form, ValueFile, ValueWriter

FORMAT: Final = 5
_STALE_S: Final = 24 * 3600
_LONGEST_TICKET: Final = 1000
_log = logging.getLogger(__name__)

Kind = Literal["features", "images"]
# Puts values into the file and returns what is to be noted beside them.
Fill = Callable[[ValueWriter], Any]


def find_or_derive(
    kind: Kind, form: Form, manifest: Manifest, folders: Sequence[Path], fill: Fill
) -> ValueFile:
    """Return the derived file of a store, made where there is none that can be believed.

    Of several processes that need it one makes it, the others wait.

    Args:
        kind: what is in it.
        form: of the file.
        manifest: of the store.
        folders: where it may lie, best first; the file and its ticket are made in the first that
            can be written, and files of earlier manifests are removed from there.
        fill: makes the content.

    Raises:
        StoreDamaged: the shards are not what the manifest promises.
        StoreError: no folder can be written.
    """
    name = f"{kind}-{manifest.fingerprint[:16]}-{FORMAT}.{form}"
    for folder in folders:
        if file := open_derived(form, folder / name):
            return file
    problems = []
    for folder in folders:
        try:
            file = _derive(kind, form, folder / name, fill)
        except (StoreDamaged, StoreMismatch):
            raise
        except StoreError as error:
            problems.append(str(error))
            continue
        if problems:
            _log.warning("%s The derived file is %s.", problems[0], file.path)
        return file
    raise StoreError("; ".join(problems))


def open_derived(form: Form, path: Path) -> ValueFile | None:
    """Return the file at ``path``, or None where it is not the one its ticket was made for."""
    try:
        with _plain_file(path) as descriptor, _plain_file(_ticket(path)) as ticket:
            said = json.loads(os.read(ticket, _LONGEST_TICKET))
            if said == _ticket_of(os.fstat(descriptor)):
                return FORMS[form].open(path)
    except FileNotFoundError:
        return None
    except (StoreDamaged, OSError, ValueError, RecursionError) as error:
        _log.info("%s is made again: %s", path, error)
    return None


@contextmanager
def _plain_file(path: Path) -> Iterator[int]:
    """Open a file to read, but no link, pipe or device; the store may be from a stranger.

    Raises:
        OSError: it is not there, or no file of its own.
    """
    # Without waiting: something else than a file (a pipe) would have nobody at its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def _derive(kind: Kind, form: Form, path: Path, fill: Fill) -> ValueFile:
    with explaining(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent / f"{kind}.lock"):
            # Who held the lock before us made it.
            if file := open_derived(form, path):
                return file
            _make(form, path, fill)
            _remove_others(kind, path)
            file = open_derived(form, path)
    if file is None:
        raise StoreError(f"{path} changed while it was made. Run the same command again.")
    return file


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait for the right to write beside ``lock``; it ends with the process, however that ends."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(lock, flags, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("another process is preparing the store; waiting for %s", lock)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            # A file system without locks: two may do the same work, and each file is whole.
            pass
        yield
    finally:
        os.close(descriptor)


def _make(form: Form, path: Path, fill: Fill) -> None:
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    temporary.unlink(missing_ok=True)
    try:
        with closing(FORMS[form].write(temporary)) as writer:
            writer.finish(fill(writer))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    write_atomically(_ticket(path), json.dumps(_ticket_of(path.lstat())).encode())


def _ticket(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _ticket_of(status: os.stat_result) -> dict[str, int]:
    return {"size_bytes": status.st_size, "changed_ns": status.st_ctime_ns}


def _remove_others(kind: Kind, keep: Path) -> None:
    """Remove files of earlier manifests; readers that have them open keep what they have."""
    for path in keep.parent.glob(f"{kind}-*"):
        if path.name.partition(".")[0] != keep.stem:
            path.unlink(missing_ok=True)
    # What a killed run left; younger ones may be somebody's work in progress.
    for path in keep.parent.glob(f"{TEMPORARY}*"):
        with suppress(FileNotFoundError):
            if time.time() - path.lstat().st_mtime > _STALE_S:
                path.unlink()
