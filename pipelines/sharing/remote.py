"""The other side: what a place must be able to do for a store to be handed on through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cache import RamieError, StoreError
from pipelines.sharing.files import StoreFile

# Called with the number of bytes that have travelled since the last call; it may raise `Stopped`.
Moved = Callable[[int], None]


class Remote(Protocol):
    """A place that holds the files of a store below one address.

    Every method raises `Missing`, `TransferFailed`, or another `StoreError` that trying again
    does not mend.
    """

    @property
    def url(self) -> str:
        """The address, for messages."""
        ...

    def get(self, name: str, most: int) -> bytes | None:
        """Return a small file whole; None where there is none; cut off beyond ``most``."""
        ...

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from ``start``, and never more than to ``end``."""
        ...

    def sizes(self) -> dict[str, int] | None:
        """Return the size of every shard and recording; None where nobody can list them."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


class Destination(Remote, Protocol):
    """A place that can be written, too."""

    def sizes(self) -> dict[str, int]:
        """Return the size of every shard and recording."""
        ...

    def send(self, file: StoreFile, path: Path, moved: Moved) -> int:
        """Copy the local file ``path`` and compare what arrived; return how many bytes travelled.

        Raises:
            StoreDamaged: the local file is not what ``file`` says; nothing of it stays there.
            WrongBytes: something else arrived; it does not stay there under the file's name.
        """
        ...

    def holds(self, file: StoreFile, moved: Moved) -> bool:
        """Read a file and return whether it has the right content."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write a small file so that others see the old one or the new one."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file that no manifest names."""
        ...

    def tidy(self) -> None:
        """Remove what interrupted pushes left half-sent."""
        ...


class Missing(StoreError):
    """The other side does not have the file. Trying again changes nothing."""


class TransferFailed(StoreError):
    """The connection broke, or the other side failed; trying again may work."""


class WrongBytes(TransferFailed):
    """What arrived is not what was sent."""


class Stopped(BaseException):
    """Another thread failed, or the user interrupted: give up.

    Not an `Exception`: no handler for failures of a library may take it for one.
    """


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what libraries raise while ``what`` was tried into errors that say the way out.

    Raises:
        Missing: there is no such file or bucket.
        TransferFailed: anything that trying again may mend.
        StoreError: the other side does not let us.
    """
    try:
        yield
    except RamieError:
        raise
    except FileNotFoundError as error:
        raise Missing(
            f"{what} failed: it does not exist there. Check the address; if another store was "
            "pushed there meanwhile, run the same command again."
        ) from error
    except Exception as error:
        # Each library behind fsspec has errors of its own; not all are OSError.
        kind = type(error).__name__
        if isinstance(error, PermissionError) or "Credentials" in kind:
            raise StoreError(
                f"{what} was refused ({kind}: {_short(error)}). Keys are taken from where the "
                "library of the service looks for them, e.g. AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY in the environment (FSSPEC_S3_ANON=true without any)."
            ) from error
        raise TransferFailed(
            f"{what} failed ({kind}: {_short(error)}). Run the same command again; what has "
            "arrived stays."
        ) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:300] + "..."
