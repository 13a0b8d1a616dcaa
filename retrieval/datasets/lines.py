"""Lines of a hostile text file: UTF-8, numbered, bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from cache.errors import InputError

# A sentence of 10,000 tokens needs about 100 kB as a literal; 16 MiB is a file without newlines.
MAX_LINE_BYTES: Final = 16 * 2**20


class Line(NamedTuple):
    """One line without its end; ``place`` is ``file:number``, for messages."""

    place: str
    text: str


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a file.

    Raises:
        InputError: the file cannot be opened, is not UTF-8, or has a line past `MAX_LINE_BYTES`.
    """
    try:
        with path.open("rb") as file:
            yield from decode_lines(file, str(path))
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}. Check the path and its permissions."
        ) from error


def decode_lines(file: IO[bytes], name: str) -> Iterator[Line]:
    r"""Yield the lines of an open file, split at ``\n`` only.

    Posts hold characters such as U+2028 and U+0085, at which `str.splitlines` would cut a word.
    """
    for number, raw in enumerate(_bounded(file, name), start=1):
        place = f"{name}:{number}"
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{place}: byte {error.start} (0x{raw[error.start]:02x}) is not UTF-8. "
                "Convert the file, for example with `iconv -f LATIN1 -t UTF-8`."
            ) from error
        yield Line(place, text.rstrip("\r\n"))


def _bounded(file: IO[bytes], name: str) -> Iterable[bytes]:
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise InputError(
                f"{name}:{number}: the line is longer than {MAX_LINE_BYTES:,} bytes. "
                "Is this a text file with one post or one token per line?"
            )
        yield raw


def shown(value: object, limit: int = 80) -> str:
    """Return ``value`` as a message may show it: escaped, and cut at ``limit`` characters."""
    text = ascii(value) if not isinstance(value, str) else ascii(value[: limit + 1])
    return text if len(text) <= limit else text[:limit] + "..."
