"""One writer at a time: a lock file that says who holds it and that no crash leaves locked."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cache.errors import StoreError
from cache.files import explaining, make_folder

LOCK_NAME: Final = "build.lock"
# More than any owner's signature takes; a file of a stranger may be of any size.
_MAX_OWNER_BYTES: Final = 1000


class WriterLock:
    """The right to write into a folder, held until `release` or the end of the process.

    The operating system lets go of the lock when its process ends, however it ends; the file's
    text only tells people who it is.

    Raises:
        StoreError: another writer holds it; the message names its machine and process, and since
            when. Or what is in the lock's place is not the plain file of a lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        make_folder(path.parent)
        with explaining(path):
            self._descriptor = self._acquire()
            try:
                self._sign()
            except BaseException:
                self.release()
                raise

    def _acquire(self) -> int:
        while True:
            self._check_place()
            # Without waiting: what a stranger put there since may be a pipe or a device.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(self.path, flags, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The holder before us may have removed the file between our open and our lock.
                if self._is_still(descriptor):
                    return descriptor
            except BlockingIOError as error:
                owner = _owner(os.pread(descriptor, _MAX_OWNER_BYTES, 0))
                os.close(descriptor)
                raise StoreError(
                    f"{self.path.parent} is being written by another process ({owner}). "
                    "Wait until it ends, or stop it, and run the same command again."
                ) from error
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _check_place(self) -> None:
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return
        # A second name would be that of a file elsewhere, which signing would overwrite.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise StoreError(
                f"{self.path} is not the plain file of a lock, so nothing is written beside it. "
                "Remove it and run the same command again."
            )

    def _is_still(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.lstat())
        except FileNotFoundError:
            return False

    def _sign(self) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": since}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(owner).encode(), 0)

    def release(self) -> None:
        """Give the right back; a second call does nothing."""
        if self._descriptor >= 0:
            # Somebody may have removed the file by hand; then another one's may lie there.
            if self._is_still(self._descriptor):
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def remove_dead_lock(path: Path) -> None:
    """Remove the file of a lock that nobody holds: its process was killed before it could."""
    if path.exists():
        with suppress(StoreError):
            WriterLock(path).release()


def _owner(signature: bytes) -> str:
    """Return who signed a lock, as text that cannot do anything to a terminal."""
    try:
        owner = json.loads(signature)
        host, pid, since = owner["host"], int(owner["pid"]), datetime.fromisoformat(owner["since"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "its lock does not say which"
    shown = str(host).encode("ascii", "replace").decode()[:100]
    return f"pid {pid} on host {shown!r}, since {since.isoformat()}"
