"""Raw answers of providers, kept before anything reads them: ask once, share, replay.

Answers and images are appended as whole Parquet segments that are named by their content and never
changed. A segment appears only when complete, so an interruption loses the segment being written.
Who asks live writes one segment for each answer; small segments are merged into larger ones when
there are many, and when the recordings are closed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from cache.closing import Closing
from cache.errors import InputError, StoreDamaged
from cache.keys import content_key
from cache.recording.asked_at import Clock, latest_now
from cache.recording.segment_index import SegmentIndex
from cache.recording.segments import FORGET, SEGMENT_TABLES
from cache.records import Media
from cache.schema import SCHEMAS
from cache.tables.contents import media_table
from cache.tables.decode import decode_media

# More segments that are worth merging than this are merged before the recordings are closed.
_MOST_SMALL: Final = 64


@dataclass(frozen=True, slots=True)
class Recording:
    """A provider's answer as it came.

    Attributes:
        key: fingerprint of provider and query.
        provider: who answered.
        query_json: the query, as JSON, for people and for tools.
        asked_at: ISO 8601 time (UTC); empty where answers do not change with time.
        body: the raw answer.
    """

    key: str
    provider: str
    query_json: str
    asked_at: str
    body: bytes = field(repr=False)


class Asked(NamedTuple):
    """That an answer is recorded: its key, who gave it, and when (see `Recording`)."""

    key: str
    provider: str
    asked_at: str


class Recordings(Closing):
    """The answers below a folder, by key; safe to use from several threads.

    Only keys are kept in memory; a segment's content is compared with its name when an answer is
    first taken from it. Where two segments hold one key, the answer that was asked for last
    counts; of two asked for at the same time (folders that were copied together) the one with the
    greater body, so that every reader sees the same, however segments are merged. A time that
    cannot be (`cache.recording.asked_at`) counts as the earliest, and is given as an empty text.

    Other processes may read the folder meanwhile: what a merge moved is looked for again.

    Args:
        path: the folder; need not exist.
        clock: tells the time after which no answer can have been asked for.

    Raises:
        StoreDamaged: a segment is not a complete file of this schema.
    """

    def __init__(self, path: Path | str, clock: Clock = latest_now) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._index = SegmentIndex(self.path, clock)
        self._wrote = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._index.answers)

    def __contains__(self, key: object) -> bool:
        # Locked, too: while the index is learned anew, it is incomplete.
        with self._lock:
            return key in self._index.answers

    def get(self, key: str) -> Recording | None:
        """Return the recorded answer; None if the query was never answered."""
        with self._lock:
            return self._index.current(lambda: self._answer(key))

    def asked(self, provider: str | None = None) -> Iterator[Asked]:
        """Yield what is recorded now, of one provider or of all, by key; no file is read."""
        with self._lock:
            known = sorted(self._index.answers.items())
        for key, place in known:
            if provider in (None, place.provider):
                yield Asked(key, place.provider, place.asked_at)

    def media(self, key: str) -> Media:
        """Return a recorded image, its bytes compared with its key.

        Raises:
            InputError: it was not recorded.
            StoreDamaged: its bytes are others.
        """
        with self._lock:
            return self._index.current(lambda: self._image(key))

    def has_media(self, key: str) -> bool:
        """Return whether the image ``key`` was recorded."""
        with self._lock:
            return key in self._index.images

    def put_segment(self, answers: Sequence[Recording], media: Iterable[Media] = ()) -> None:
        """Record answers and images for good; both survive a crash once this returns.

        Images are written first, so that no answer names an image that is not there. What is
        recorded already is left out, unless the new answer was asked for later: then it counts
        from now on. Nothing new means nothing is written.

        Raises:
            InputError: a record that cannot be stored.
            StoreError: the folder cannot be written; nothing of the segment is then seen.
        """
        images = {item.key: item for item in media}
        with self._lock:
            self._wrote = True
            known = self._index.images
            fresh_images = [item for key, item in images.items() if key not in known]
            if fresh_images:
                places = dict.fromkeys(images, 0)
                self._index.write("media", media_table(fresh_images, places, 0))
            if fresh := self._fresh(answers):
                self._index.write("recordings", answers_table(fresh))
            for table in SEGMENT_TABLES:
                if self._index.num_small(table) > _MOST_SMALL:
                    self._index.merge_small(table)

    def close(self) -> None:
        """Merge small segments, if anything was put, and let files go.

        The recordings stay usable: the next call opens what it needs.
        """
        with self._lock:
            if self._wrote:
                for table in SEGMENT_TABLES:
                    self._index.merge_small(table)
            self._wrote = False
            self._index.close()

    def _fresh(self, answers: Sequence[Recording]) -> list[Recording]:
        fresh: dict[str, Recording] = {}
        for item in answers:
            known = fresh.get(item.key) or self._index.answers.get(item.key)
            counted = self._index.counted
            if known is None or counted(item.asked_at) > counted(known.asked_at):
                fresh[item.key] = item
        return [item for _, item in sorted(fresh.items())]

    def _answer(self, key: str) -> Recording | None:
        place = self._index.answers.get(key)
        if place is None:
            return None
        row = self._index.row("recordings", place)
        # The columns have the order of the record; the schema of the file was compared.
        found = Recording(*(column[0].as_py() for column in row.columns))
        return replace(found, asked_at=place.asked_at)

    def _image(self, key: str) -> Media:
        place = self._index.images.get(key)
        if place is None:
            raise InputError(f"{self.path} holds no image {key!r}; ask its provider again")
        item = decode_media(self._index.row("media", place))[0][0]
        if content_key(item.data) != key:
            raise StoreDamaged(f"{place.path}: image {key} has other bytes. {FORGET}")
        return item


def answers_table(answers: Sequence[Recording]) -> pa.Table:
    """Return the table ``recordings`` of answers that are already in order.

    Raises:
        InputError: a record that cannot be stored.
    """
    rows = [
        {
            "key": item.key,
            "provider": item.provider,
            "query_json": item.query_json,
            "asked_at": item.asked_at,
            "body": item.body,
        }
        for item in answers
    ]
    try:
        table = pa.Table.from_pylist(rows, schema=SCHEMAS["recordings"])
        table.validate(full=True)
    except (pa.ArrowException, TypeError, UnicodeError) as error:
        raise InputError(f"an answer cannot be recorded: {error}") from error
    return table
