"""This side: files that are read with care, and files that appear only when they are whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cache import MANIFEST_NAME, InputError, StoreDamaged, StoreError
from cache.files import TEMPORARY, check_regular, explaining, sync_folder
from cache.writing.complete import CARD_NAME
from cache.writing.journal import JOURNAL_NAME
from cache.writing.lock import LOCK_NAME
from pipelines.sharing.files import FOLDERS, LISTING_NAME, StoreFile
from pipelines.sharing.remote import Moved, Remote, TransferFailed, WrongBytes

_PIECE_BYTES: Final = 1 << 20
# What an interrupted pull or push may have left where no manifest is yet.
_OURS: Final = frozenset({*FOLDERS, "local", LOCK_NAME, LISTING_NAME, CARD_NAME})
_WAY_OUT: Final = (
    "If the store was built anew meanwhile, run the same command again; else `ramie verify` says "
    "what is damaged."
)


def pieces(path: Path, file: StoreFile) -> Iterator[bytes]:
    """Yield the bytes of a local file that is about to travel; its hash is compared at the end.

    Raises:
        StoreDamaged: it is not there, no file of its own, or not what ``file`` says.
    """
    # Every file that travels is in a folder of the store.
    check_regular(path, path.parent.parent)
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as source:
            while piece := source.read(_PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
                yield piece
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read ({error.strerror}). {_WAY_OUT}") from error
    if size != file.size_bytes or not digest.hexdigest().startswith(file.sha256):
        raise StoreDamaged(f"{path} is not what its name and the manifest promise. {_WAY_OUT}")


def is_whole(path: Path, file: StoreFile) -> bool:
    """Return whether ``path`` is a file of its own with the content of ``file``."""
    try:
        for _ in pieces(path, file):
            pass
    except StoreDamaged:
        return False
    return True


def own_folder(root: Path, name: str) -> Path:
    """Return the folder that the file ``name`` of the store ``root`` is in, made where missing.

    Raises:
        StoreDamaged: it is a link, which may lead anywhere.
    """
    folder = (root / name).parent
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if folder != root and folder.is_symlink():
        raise StoreDamaged(f"{folder} is a symbolic link. Replace it with a folder.")
    return folder


def check_target(root: Path) -> None:
    """Refuse to put a store into a folder that holds something else.

    Raises:
        InputError: it holds files that no store has.
        StoreError: a build was interrupted there.
    """
    if not os.path.lexists(root):
        return
    if not root.is_dir():
        raise InputError(f"{root} is no folder. Choose another place.")
    if (root / JOURNAL_NAME).exists():
        raise StoreError(
            f"{root} holds an interrupted build. Finish it with its recipe, choose another "
            f"folder, or give it up by removing {root / JOURNAL_NAME}."
        )
    if (root / MANIFEST_NAME).exists():
        return
    for path in root.iterdir():
        if path.name not in _OURS and not path.name.startswith(TEMPORARY):
            raise InputError(
                f"{root} is no store, and not empty: it holds {path.name!r}. Choose another "
                "folder."
            )


def arrived_before(root: Path, file: StoreFile) -> int:
    """Return how many bytes of a file an interrupted pull left."""
    try:
        return min(_part(root, file).lstat().st_size, file.size_bytes)
    except OSError:
        return 0


def receive(remote: Remote, file: StoreFile, root: Path, moved: Moved) -> int:
    """Fetch a file into the store ``root``, on from where an interrupted pull stopped.

    Returns:
        How many bytes travelled.

    Raises:
        TransferFailed: it broke off; what arrived is kept.
        WrongBytes: it is whole and another; nothing is kept.
    """
    path = _part(root, file)
    with explaining(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "r+b") as part:
            digest = hashlib.sha256()
            while piece := part.read(_PIECE_BYTES):
                digest.update(piece)
            start = have = part.tell()
            # A web server that is asked for what is beyond the end answers with an error.
            if start < file.size_bytes:
                for piece in remote.read(file.name, start, file.size_bytes):
                    part.write(piece)
                    digest.update(piece)
                    have += len(piece)
                    moved(len(piece))
            part.flush()
            os.fsync(part.fileno())
        if have < file.size_bytes:
            raise TransferFailed(
                f"{remote.url}/{file.name} ended after {have} of {file.size_bytes} bytes. Run the "
                "same command again; if it stays so, ask whoever pushed it to push again."
            )
        if have > file.size_bytes or not digest.hexdigest().startswith(file.sha256):
            path.unlink()
            raise WrongBytes(
                f"{remote.url}/{file.name} does not have the content that the manifest promises. "
                "Ask whoever pushed it to run `ramie push --check`."
            )
        path.replace(root / file.name)
        sync_folder(path.parent)
    return have - start


def _part(root: Path, file: StoreFile) -> Path:
    path = root / file.name
    return path.with_name(f"{TEMPORARY}pull-{path.name}")
