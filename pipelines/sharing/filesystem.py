"""Any place that fsspec knows: it is written through the few calls that all of them have."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cache.files import TEMPORARY
from pipelines.sharing.files import FOLDERS, StoreFile
from pipelines.sharing.local import pieces
from pipelines.sharing.remote import Missing, Moved, TransferFailed, WrongBytes, explained

_PIECE_BYTES: Final = 4 << 20
# Where a file that is being written is seen by nobody before it is whole.
_OBJECT_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "hf", "abfs", "abfss", "az", "oss"})


class FilesystemRemote:
    """The files of a store below a path of an fsspec file system.

    Args:
        fs: the file system.
        path: where the store is on it.
        url: the address, for messages.
    """

    def __init__(self, fs: Any, path: str, url: str) -> None:
        self._fs = fs
        self._path = path.rstrip("/")
        self._url = url

    @property
    def url(self) -> str:
        """The address."""
        return self._url

    def get(self, name: str, most: int) -> bytes | None:
        """Return a small file whole; None where there is none."""
        try:
            return b"".join(self.read(name, 0, most + 1))
        except Missing:
            return None

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from ``start`` to ``end``, asked for piece by piece."""
        while start < end:
            stop = min(start + _PIECE_BYTES, end)
            with explained(f"reading {self._url}/{name}"):
                piece = self._fs.cat_file(self._at(name), start=start, end=stop)
            yield piece[: stop - start]
            if len(piece) < stop - start:
                return
            start = stop

    def sizes(self) -> dict[str, int]:
        """Return the size of every file in the folders of a store."""
        sizes: dict[str, int] = {}
        # Few stores have all folders, and each that is asked for costs a request.
        there = {self._name(entry) for entry in self._listed("")}
        for folder in FOLDERS:
            for entry in self._listed(folder) if folder in there else ():
                if entry["type"] == "file":
                    sizes[f"{folder}/{self._name(entry)}"] = int(entry["size"])
        return sizes

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        """Return what is in a folder, or in the place itself; nothing where it is not there."""
        try:
            with explained(f"listing {self._url}/{folder}"):
                found: list[dict[str, Any]] = self._fs.ls(
                    self._at(folder) if folder else self._path, detail=True
                )
                return found
        except Missing:
            return []

    @staticmethod
    def _name(entry: dict[str, Any]) -> str:
        return str(entry["name"]).rstrip("/").rpartition("/")[2]

    def send(self, file: StoreFile, path: Path, moved: Moved) -> int:
        """Copy a file, and read it back: not every service tells what it received."""
        for _ in pieces(path, file):
            moved(0)
        with explained(f"writing {self._url}/{file.name}"):
            self._fs.makedirs(self._at(file.name).rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(path), self._at(file.name))
        if not self.holds(file, moved):
            self.remove(file.name)
            raise WrongBytes(f"{self._url}/{file.name} arrived with other bytes. Push again.")
        moved(file.size_bytes)
        return file.size_bytes

    def holds(self, file: StoreFile, moved: Moved) -> bool:
        """Read a file and return whether it has the right content."""
        digest = hashlib.sha256()
        for piece in self.read(file.name, 0, file.size_bytes + 1):
            digest.update(piece)
            moved(0)
        return digest.hexdigest().startswith(file.sha256)

    def put(self, name: str, data: bytes) -> None:
        """Write a small file, where needed under another name first."""
        with explained(f"writing {self._url}/{name}"):
            protocol = self._fs.protocol
            names = {protocol} if isinstance(protocol, str) else set(protocol)
            if names & _OBJECT_STORES:
                self._fs.pipe_file(self._at(name), data)
            else:
                self._fs.makedirs(self._path, exist_ok=True)
                temporary = self._at(f"{TEMPORARY}push-{uuid.uuid4().hex}")
                self._fs.pipe_file(temporary, data)
                self._fs.mv(temporary, self._at(name))
        if self.get(name, len(data)) != data:
            raise TransferFailed(f"{self._url}/{name} arrived with other bytes. Push again.")

    def remove(self, name: str) -> None:
        """Remove a file that no manifest names."""
        with explained(f"removing {self._url}/{name}"):
            self._fs.rm_file(self._at(name))

    def tidy(self) -> None:
        """Do nothing: what is half-sent is written again by the next push."""

    def close(self) -> None:
        """Do nothing: fsspec keeps no connection that has to be closed."""

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"
