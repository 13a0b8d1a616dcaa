"""Places that may hold the bytes of a file: other copies of a store, and what was set aside."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cache.errors import StoreError
from cache.files import explaining, sync_folder
from cache.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, read_manifest

BRINGING: Final = ".tmp-repair-"
_PIECE_BYTES: Final = 1 << 20
# A store has two levels; what lies deeper was never a file of one.
_LEVELS: Final = 2


class Wanted(NamedTuple):
    """A file to look for: where it belongs, its size if known, what its SHA-256 begins with."""

    name: str
    size_bytes: int | None
    sha256: str


class Copy(Protocol):
    """A place with files of a store; it need not be whole, nor hold the same store."""

    @property
    def url(self) -> str:
        """The address, for messages."""
        ...

    def sizes(self) -> dict[str, int] | None:
        """Return the size of every file that may be one of a store; None where nobody can list."""
        ...

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from ``start``, and never more than to ``end``."""
        ...


class FolderCopy:
    """A folder, whatever its files are called; nothing behind a link."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        """The folder."""
        return str(self._root)

    def sizes(self) -> dict[str, int]:
        """Return the size of every regular file, by path below the folder."""
        return dict(_regular_files(self._root, self._root, _LEVELS))

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from ``start``, and never more than to ``end``."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(self._root / name, flags), "rb") as file:
                file.seek(start)
                while start < end and (piece := file.read(min(_PIECE_BYTES, end - start))):
                    start += len(piece)
                    yield piece
        except OSError as error:
            raise StoreError(
                f"{self._root / name} cannot be read: {error.strerror or error}. Check the disk."
            ) from error


class ListedOnce:
    """A copy that nobody changes meanwhile: it is asked once what it holds, for that may be far.

    Raises:
        StoreError: it cannot be reached.
    """

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._sizes = copy.sizes()

    @property
    def url(self) -> str:
        """The address."""
        return self._copy.url

    def sizes(self) -> dict[str, int] | None:
        """Return what it held at first."""
        return self._sizes

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from ``start``, and never more than to ``end``."""
        return self._copy.read(name, start, end)


def _regular_files(root: Path, folder: Path, levels: int) -> Iterator[tuple[str, int]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            yield str(Path(entry.path).relative_to(root)), status.st_size
        elif stat.S_ISDIR(status.st_mode) and levels > 1:
            yield from _regular_files(root, Path(entry.path), levels - 1)


def bring(wanted: Wanted, root: Path, copies: Iterable[Copy]) -> tuple[Path, str] | None:
    """Fetch a file under a temporary name into the folder where it belongs, and compare it.

    Returns:
        The temporary file and where it is from; None where no copy holds the file.

    Raises:
        StoreError: the folder cannot be written.
    """
    target = root / wanted.name
    temporary = target.with_name(BRINGING + target.name)
    for copy in copies:
        for name, size in _candidates(wanted, copy):
            with explaining(temporary):
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary.unlink(missing_ok=True)
                if _fetch(copy, name, size, wanted, temporary):
                    sync_folder(target.parent)
                    return temporary, f"{copy.url}/{name}"
                temporary.unlink(missing_ok=True)
    return None


def manifests_in(copy: Copy) -> Iterator[Manifest]:
    """Yield the sound manifests of a copy; one that was renamed, too."""
    sizes = copy.sizes() or {}
    names = [name for name in sizes if "/" not in name and "manifest" in name.lower()]
    for name in dict.fromkeys([MANIFEST_NAME, *names]):
        with tempfile.TemporaryDirectory() as folder:
            try:
                data = b"".join(copy.read(name, 0, MAX_MANIFEST_BYTES))
                (Path(folder) / MANIFEST_NAME).write_bytes(data)
                yield read_manifest(Path(folder))
            except StoreError:
                continue


def _candidates(wanted: Wanted, copy: Copy) -> Iterator[tuple[str, int]]:
    """Yield the files of a copy that may be the one wanted, the one of its name first."""
    sizes = copy.sizes()
    if sizes is None:
        if wanted.size_bytes is not None:
            yield wanted.name, wanted.size_bytes
        return
    for name in sorted(sizes, key=lambda name: name != wanted.name):
        known = wanted.size_bytes is not None
        if sizes[name] == wanted.size_bytes or (not known and name == wanted.name):
            yield name, sizes[name]


def _fetch(copy: Copy, name: str, size: int, wanted: Wanted, to: Path) -> bool:
    """Return whether what was written to ``to`` is the file wanted; safe from a power cut then."""
    digest = hashlib.sha256()
    with to.open("xb") as file:
        try:
            for piece in copy.read(name, 0, size):
                digest.update(piece)
                file.write(piece)
        except StoreError:
            return False
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest().startswith(wanted.sha256)
