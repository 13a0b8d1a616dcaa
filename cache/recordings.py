"""Raw answers of providers, kept before anything reads them: ask once, share, replay.

Answers and images are appended as whole Parquet segments that are named by their content and never
changed. A segment appears only when complete, so an interruption loses the segment being written.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from cache.decode import decode_media
from cache.encode import media_table
from cache.errors import InputError, StoreDamaged
from cache.files import check_regular, sha256_of_file, write_atomically
from cache.keys import content_key
from cache.records import Media
from cache.schema import SCHEMAS
from cache.shards import ParquetFile, parquet_bytes

_GROUPS_KEPT: Final = 16
_NAME_DIGITS: Final = 32
_SEGMENT: Final = re.compile(rf"(answers|media)-[0-9a-f]{{{_NAME_DIGITS}}}\.parquet")
FORGET: Final = "Remove it, and what it held is asked again."


@dataclass(frozen=True, slots=True)
class Recording:
    """A provider's answer as it came.

    Attributes:
        key: fingerprint of provider and query.
        provider: who answered.
        query_json: the query, as JSON, for people and for tools.
        asked_at: ISO 8601 time (UTC).
        body: the raw answer.
    """

    key: str
    provider: str
    query_json: str
    asked_at: str
    body: bytes = field(repr=False)


def segments(folder: Path) -> list[tuple[Path, str]]:
    """Return the segments in ``folder`` with the table of each, sorted by name."""
    found = []
    for path in sorted(folder.glob("*.parquet")):
        if match := _SEGMENT.fullmatch(path.name):
            found.append((path, "media" if match[1] == "media" else "recordings"))
    return found


class Recordings:
    """The answers below a folder, by key.

    Only keys are kept in memory; a segment's content is compared with its name when an answer is
    first taken from it. Where two segments hold one key (folders that were copied
    together), the segment whose name sorts first wins, so that every reader sees the same.

    Raises:
        StoreDamaged: a segment is not a complete file of this schema.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._files: dict[Path, ParquetFile] = {}
        self._groups: OrderedDict[tuple[Path, int], list[Any]] = OrderedDict()
        self._answers: dict[str, tuple[Path, int]] = {}
        self._media: dict[str, tuple[Path, int]] = {}
        self._compared: set[Path] = set()
        for segment, table in segments(self.path):
            self._index(segment, table, self._media if table == "media" else self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def __contains__(self, key: object) -> bool:
        return key in self._answers

    def get(self, key: str) -> Recording | None:
        """Return the recorded answer; None if the query was never answered."""
        if key not in self._answers:
            return None
        recording: Recording = self._row(*self._answers[key], "recordings")
        return recording

    def media(self, key: str) -> Media:
        """Return a recorded image, its bytes compared with its key.

        Raises:
            InputError: it was not recorded.
            StoreDamaged: its bytes are others.
        """
        if key not in self._media:
            raise InputError(f"{self.path} holds no image {key!r}; ask its provider again")
        item: Media = self._row(*self._media[key], "media")[0]
        if content_key(item.data) != key:
            path = self._media[key][0]
            raise StoreDamaged(f"{path}: image {key} has other bytes. {FORGET}")
        return item

    def has_media(self, key: str) -> bool:
        """Return whether the image ``key`` was recorded."""
        return key in self._media

    def put_segment(self, answers: Sequence[Recording], media: Iterable[Media] = ()) -> None:
        """Record answers and images for good; both survive a crash once this returns.

        Images are written first, so that no answer names an image that is not there. What is
        recorded already is left out; nothing new means nothing is written.

        Raises:
            InputError: a record that cannot be stored.
            StoreError: the folder cannot be written; nothing of the segment is then seen.
        """
        images = {item.key: item for item in media if item.key not in self._media}
        fresh = {item.key: item for item in answers if item.key not in self._answers}
        if images:
            table = media_table(images.values(), dict.fromkeys(images, 0), 0)
            self._write("media", "media", table, self._media)
        if fresh:
            rows = [_values(item) for _, item in sorted(fresh.items())]
            try:
                table = pa.Table.from_pylist(rows, schema=SCHEMAS["recordings"])
                table.validate(full=True)
            except (pa.ArrowException, TypeError, UnicodeError) as error:
                raise InputError(f"an answer cannot be recorded: {error}") from error
            self._write("answers", "recordings", table, self._answers)

    def close(self) -> None:
        """Let files go; the next `get` opens them again."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._groups.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(
        self, prefix: str, name: str, table: pa.Table, index: dict[str, tuple[Path, int]]
    ) -> None:
        data = parquet_bytes(table, name)
        path = self.path / f"{prefix}-{hashlib.sha256(data).hexdigest()[:_NAME_DIGITS]}.parquet"
        write_atomically(path, data)
        self._compared.add(path)
        for row, key in enumerate(table.column("key").to_pylist()):
            index.setdefault(key, (path, row))

    def _index(self, path: Path, name: str, index: dict[str, tuple[Path, int]]) -> None:
        check_regular(path, self.path)
        for row, key in enumerate(self._open(path, name).column("key")):
            if isinstance(key, str):
                index.setdefault(key, (path, row))

    def _open(self, path: Path, name: str) -> ParquetFile:
        if path not in self._files:
            self._files[path] = ParquetFile(path, name, way_out=FORGET)
        return self._files[path]

    def _row(self, path: Path, row: int, name: str) -> Any:
        if path not in self._compared:
            check_segment(path)
            self._compared.add(path)
        file = self._open(path, name)
        starts = file.group_starts
        group = bisect_right(starts, row) - 1
        key = (path, group)
        if key in self._groups:
            self._groups.move_to_end(key)
        else:
            part = file.group(group)
            rows = decode_media(part) if name == "media" else _recordings(part)
            self._groups[key] = rows
            if len(self._groups) > _GROUPS_KEPT:
                self._groups.popitem(last=False)
        return self._groups[key][row - starts[group]]


def _values(item: Recording) -> dict[str, object]:
    return {
        "key": item.key,
        "provider": item.provider,
        "query_json": item.query_json,
        "asked_at": item.asked_at,
        "body": item.body,
    }


def _recordings(table: pa.Table) -> list[Recording]:
    return [Recording(**row) for row in table.to_pylist()]


def check_segment(path: Path) -> None:
    """Compare a segment with its name, which is the hash of its content.

    Raises:
        StoreDamaged: they do not fit.
    """
    if sha256_of_file(path)[:_NAME_DIGITS] != path.stem.partition("-")[2]:
        raise StoreDamaged(f"{path} does not have the content that its name promises. {FORGET}")
