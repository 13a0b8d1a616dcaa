"""The two forms of a derived file: what each offers, and how it is opened and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol

from cache.errors import StoreDamaged
from cache.reading.lmdb_file import LmdbFile, LmdbWriter
from cache.reading.packed_file import PackedFile, PackedWriter

Form = Literal["lmdb", "packed"]


class ValueFile(Protocol):
    """Values by number, from 0, each compared with its hash when it is read."""

    path: Path
    note: Any

    def value(self, number: int) -> bytes:
        """Return a value; raises StoreDamaged where it is another or missing."""
        ...

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Ask the operating system for values; it fetches them while the caller goes on."""
        ...

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        ...

    def damaged(self, why: object) -> StoreDamaged:
        """Return the error that says what is wrong with the file, and the way out."""
        ...


class ValueWriter(Protocol):
    """Writes a file of values; `finish` makes it complete."""

    def put(self, value: bytes) -> None:
        """Add the next value."""
        ...

    def finish(self, note: Any) -> None:
        """Write ``note`` (anything that msgpack takes) and sync the file."""
        ...

    def close(self) -> None:
        """Let the file go, finished or not."""
        ...


class _Form(NamedTuple):
    open: Callable[[Path], ValueFile]
    write: Callable[[Path], ValueWriter]


FORMS: Final[dict[Form, _Form]] = {
    "lmdb": _Form(LmdbFile, LmdbWriter),
    "packed": _Form(PackedFile, PackedWriter),
}
