"""One writer at a time: a lock file that says who holds it and that no crash leaves locked."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path

from cache.errors import StoreError
from cache.files import explaining


class WriterLock:
    """The right to write into a folder, held until `release` or the end of the process.

    The operating system lets go of the lock when its process ends, however it ends; the file's
    text only tells people who it is.

    Raises:
        StoreError: another writer holds it; the message names its process and machine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        with explaining(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._acquire()
            try:
                self._sign()
            except BaseException:
                self.release()
                raise

    def _acquire(self) -> int:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.path, flags, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The holder before us may have removed the file between our open and our lock.
                if self._is_still(descriptor):
                    return descriptor
            except BlockingIOError as error:
                owner = os.pread(descriptor, 500, 0).decode(errors="replace")
                os.close(descriptor)
                raise StoreError(
                    f"{self.path.parent} is being written by another process ({owner}). "
                    "Wait until it ends, or stop it, and run the same command again."
                ) from error
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _is_still(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.lstat())
        except FileNotFoundError:
            return False

    def _sign(self) -> None:
        owner = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, owner.encode(), 0)

    def release(self) -> None:
        """Give the right back; a second call does nothing."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1
