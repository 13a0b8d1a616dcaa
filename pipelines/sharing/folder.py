"""A folder as the other side: a disk that is shared, or one that is carried around."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cache.files import TEMPORARY, check_regular, explaining, sync_folder, write_atomically
from cache.writing.lock import LOCK_NAME, WriterLock
from pipelines.sharing.files import FOLDERS, StoreFile
from pipelines.sharing.local import check_target, is_whole, own_folder, pieces
from pipelines.sharing.remote import Missing, Moved, TransferFailed, WrongBytes

_HALF: Final = f"{TEMPORARY}push-"
_PIECE_BYTES: Final = 1 << 20


class FolderRemote:
    """The files of a store in a folder, of which links are not followed.

    Args:
        root: the folder.
        writing: take the writer's lock: neither a build nor another push writes there meanwhile.

    Raises:
        InputError: it is to be written, and holds something else than a store.
        StoreError: another process is writing there, or a build was interrupted there.
    """

    def __init__(self, root: Path, *, writing: bool) -> None:
        self._root = root
        self._lock: WriterLock | None = None
        if writing:
            check_target(root)
            self._lock = WriterLock(root / LOCK_NAME)
            self._remove_half_sent()

    @property
    def url(self) -> str:
        """The folder."""
        return str(self._root)

    def get(self, name: str, most: int) -> bytes | None:
        """Return a small file whole; None where there is none."""
        if not os.path.lexists(self._root / name):
            return None
        size = check_regular(self._root / name, self._root).st_size
        return b"".join(self.read(name, 0, min(size, most + 1)))

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from ``start`` to ``end``."""
        path = self._root / name
        if not os.path.lexists(path):
            raise Missing(f"{path} does not exist. Was a newer store pushed? Run this again.")
        check_regular(path, self._root)
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                file.seek(start)
                while start < end and (piece := file.read(min(_PIECE_BYTES, end - start))):
                    start += len(piece)
                    yield piece
        except OSError as error:
            raise TransferFailed(f"{path} cannot be read: {error}. Check the disk.") from error

    def sizes(self) -> dict[str, int]:
        """Return the size of every file in the folders of a store; links are passed over."""
        return {
            f"{folder}/{path.name}": path.lstat().st_size
            for folder in FOLDERS
            if not (self._root / folder).is_symlink()
            for path in (self._root / folder).glob("*.parquet")
            if path.is_file() and not path.is_symlink()
        }

    def send(self, file: StoreFile, path: Path, moved: Moved) -> int:
        """Copy a file under a temporary name, read it back, and give it its name."""
        folder = own_folder(self._root, file.name)
        final = self._root / file.name
        with explaining(final):
            # Nobody else writes here while the lock is held.
            temporary = folder / f"{_HALF}{final.name}"
            try:
                with temporary.open("xb") as target:
                    for piece in pieces(path, file):
                        target.write(piece)
                        moved(len(piece))
                    target.flush()
                    os.fsync(target.fileno())
                if not is_whole(temporary, file):
                    raise WrongBytes(f"{final} was written wrongly. Check the disk.")
                temporary.replace(final)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(folder)
        return file.size_bytes

    def holds(self, file: StoreFile, moved: Moved) -> bool:
        """Read a file and return whether it has the right content."""
        return is_whole(self._root / file.name, file)

    def put(self, name: str, data: bytes) -> None:
        """Write a small file atomically."""
        write_atomically(self._root / name, data)

    def remove(self, name: str) -> None:
        """Remove a file that no manifest names."""
        with explaining(self._root / name):
            (self._root / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Do nothing: that was done when the lock was taken."""

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.release()

    def _remove_half_sent(self) -> None:
        # Whoever wrote it held the lock that we hold now, so it is dead.
        with explaining(self._root):
            left = list(self._root.glob(f"{TEMPORARY}*"))
            for folder in FOLDERS:
                left += (self._root / folder).glob(f"{_HALF}*")
            for path in left:
                if not path.is_dir():
                    path.unlink()
