"""A store that is only taken from: read shard by shard, every row checked."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cache.closing import Closing
from cache.errors import StoreDamaged
from cache.keys import content_key, is_content_key
from cache.manifest import read_manifest
from cache.operations.post_rows import (
    LABELS,
    SEEN,
    Rows,
    check_rows,
    hashes_by_post,
    row_hashes,
    unified,
)
from cache.reading.shard_cache import ShardCache
from cache.reading.texts import TextFinder
from cache.recording.asked_at import believable, latest_now
from cache.records import Media
from cache.schema import ROW_TABLES, TABLES, SharedTable, Table
from cache.tables.decode import decode_media
from cache.tables.shards import check_size

# Row groups kept of each store, of which there may be many.
_KEPT_BYTES: Final = 32 << 20
# A shard is read as a whole; where it is from a stranger, it may claim to be anything.
_MOST_BYTES: Final = 2 << 30
_DIGEST: Final = np.dtype("S32")
# What rows of hits say themselves, and lack where texts are withheld; texts are named by key.
_SAID: Final = frozenset(("title", "reason"))


class Claim(NamedTuple):
    """What a store says of a post, short enough to be held for all posts of several stores.

    Attributes:
        post_sha256: of the inputs.
        split: ``train``, ``dev`` or ``test``.
        photo_key: of the photo; None without a usable one.
        labels: hash of annotations and photo name; None where the post is withheld.
        found: hashes of what was seen in it, of its kept hits, and of its dropped ones.
        latest: when the last of its hits was found; empty where no hit tells.
    """

    post_sha256: str
    split: str
    photo_key: str | None
    labels: bytes | None
    found: tuple[bytes, bytes, bytes]
    latest: str


class Source(Closing):
    """A store to take from.

    Every byte is compared with the manifest, and every row is checked as it is read.

    Attributes:
        path: its folder.
        manifest: what it promises.
        fingerprint: of the manifest.
        damaged: makes an error of a reason.

    Raises:
        StoreDamaged: there is no store, or files of it are missing or of another size.
        StoreMismatch: it follows another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.manifest: Final = read_manifest(path)
        self.fingerprint: Final = self.manifest.fingerprint
        for shard in self.manifest.shards:
            for table in TABLES:
                check_size(path, shard.files[table])
        self._cache = ShardCache(path, self.manifest, _KEPT_BYTES)
        self.damaged: Final[Callable[[str], StoreDamaged]] = self._cache.damaged
        self._texts = TextFinder(
            self._cache, self.damaged, withheld="texts" in self.manifest.withheld
        )
        # What the rows of a shard were when they were checked; a plan reads them, then the writer.
        self._checked: dict[int, bytes] = {}
        self._image_keys: dict[int, list[str]] = {}
        self._homes: dict[SharedTable, dict[bytes, int]] = {}

    def close(self) -> None:
        """Let the files go."""
        self._cache.close()

    def names(self, index: int) -> list[str]:
        """Return the ids of the posts of a shard."""
        return self._cache.column("examples", index, "example_id")

    def rows(self, index: int) -> Rows:
        """Return the rows of a shard."""
        rows = Rows(*(self._whole(table, index) for table in ROW_TABLES))
        digest = rows.digest()
        if self._checked.get(index) == digest:
            return rows
        try:
            check_rows(rows, self.manifest.shards[index].embedding_dim)
        except StoreDamaged as error:
            raise self.damaged(f"shard {index}: {error}") from error
        self._checked[index] = digest
        return rows

    def claims(
        self, index: int, names: Collection[str] | None = None, *, said: bool = True
    ) -> dict[str, Claim]:
        """Return what a shard says of some posts, or of all of its posts.

        Args:
            index: of the shard.
            names: ids of the posts; None means all of them.
            said: hash titles and reasons, too, which a store may withhold.
        """
        rows = self.rows(index)
        if names is not None:
            rows = rows.only(names)
        kept, dropped = (
            hashes_by_post(table, [n for n in table.column_names if said or n not in _SAID])
            for table in (rows.evidence, rows.dropped)
        )
        found = [
            (seen, kept.get(name, b""), dropped.get(name, b""))
            for name, seen in zip(rows.names(), row_hashes(rows.examples, SEEN), strict=True)
        ]
        labels: list[bytes | None] = [*row_hashes(rows.examples, LABELS)]
        if "posts" in self.manifest.withheld:
            tokens = rows.examples["tokens"].to_pylist()
            labels = [label if some else None for label, some in zip(labels, tokens, strict=True)]
        sha256s, splits, photo_keys = (
            rows.examples[name].to_pylist() for name in ("post_sha256", "split", "photo_key")
        )
        found_at = _latest(rows)
        latest = [found_at.get(name, "") for name in rows.names()]
        claims = map(Claim, sha256s, splits, photo_keys, labels, found, latest)
        return dict(zip(rows.names(), claims, strict=True))

    def texts(self, index: int, keys: Iterable[str]) -> dict[str, str]:
        """Return the texts that rows of a shard name; a withheld one is empty."""
        return self._texts.find(index, keys)

    def image_keys(self, index: int) -> list[str]:
        """Return the keys of the images that a shard lists."""
        keys = self._image_keys.get(index)
        if keys is None:
            keys = self._image_keys[index] = self._cache.column("media", index, "key")
        return keys

    def listed_image(self, index: int, key: str) -> Media:
        """Return an image as a shard lists it, without bytes where they are elsewhere."""
        return self._image(index, key)[0]

    def image(self, index: int, key: str) -> Media:
        """Return an image that a shard lists; a withheld one has no bytes."""
        item, stored_in = self._image(index, key)
        if stored_in != index:
            item, there = self._image(stored_in, key)
            if there != stored_in:
                raise self.damaged(f"shard {stored_in} has no image {key}")
        if item.data and content_key(item.data) != key:
            raise self.damaged(f"the image {key} has other bytes")
        if not item.data and "images" not in self.manifest.withheld:
            raise self.damaged(f"the image {key} is missing")
        return item

    def any_text(self, key: str) -> str:
        """Return a text of any shard; empty where the store has it not, or withholds it."""
        index = self._home("texts", key)
        return "" if index is None else self.texts(index, [key])[key]

    def any_image(self, key: str) -> Media | None:
        """Return an image of any shard; None where the store has it not, or withholds it."""
        index = self._home("media", key)
        item = None if index is None else self.image(index, key)
        return item if item is not None and item.data else None

    def content_digests(self, table: SharedTable) -> NDArray[np.bytes_]:
        """Return the keys of all contents of the store, as bytes, sorted, each once."""
        found = [np.zeros(0, _DIGEST)]
        for shard in self.manifest.shards:
            keys = self._cache.column(table, shard.index, "key")
            if not all(map(is_content_key, keys)):
                raise self.damaged(f"shard {shard.index} of {table} has a key that is none")
            found.append(np.array([bytes.fromhex(key) for key in keys], _DIGEST))
        return np.unique(np.concatenate(found))

    def _home(self, table: SharedTable, key: str) -> int | None:
        """Return the shard that holds a content; looked for once, when first asked."""
        homes = self._homes.get(table)
        if homes is None:
            homes = self._homes[table] = {}
            for shard in self.manifest.shards:
                keys = self._cache.column(table, shard.index, "key")
                places = self._cache.column(table, shard.index, "stored_in")
                for one, stored_in in zip(keys, places, strict=True):
                    if stored_in == shard.index:
                        homes[one.encode()] = shard.index
        return homes.get(key.encode())

    def _image(self, index: int, key: str) -> tuple[Media, int]:
        if 0 <= index < len(self.manifest.shards):
            keys = self.image_keys(index)
            row = bisect_left(keys, key)
            if row < len(keys) and keys[row] == key:
                starts = self._cache.group_starts("media", index)
                group = bisect_right(starts, row) - 1
                part = self._cache.group("media", index, group).slice(row - starts[group], 1)
                return decode_media(part)[0]
        raise self.damaged(f"the image {key} is not among those of shard {index}")

    def _whole(self, table: Table, index: int) -> pa.Table:
        groups = len(self._cache.group_starts(table, index)) - 1
        parts: list[pa.Table] = []
        for group in range(groups):
            parts.append(self._cache.group(table, index, group))
            if sum(part.nbytes for part in parts) > _MOST_BYTES:
                raise self.damaged(f"shard {index} has more {table} than memory should hold")
        return unified(table, parts)


def _latest(rows: Rows) -> dict[str, str]:
    """Return when the last hit of each post was found; a time that cannot be is none."""
    now = latest_now()
    latest: dict[str, str] = {}
    for table in (rows.evidence, rows.dropped):
        columns = (table.column(name).to_pylist() for name in ("example_id", "retrieved_at"))
        for name, retrieved_at in zip(*columns, strict=True):
            if retrieved_at > latest.get(name, ""):
                latest[name] = max(latest.get(name, ""), believable(retrieved_at, now))
    return latest
