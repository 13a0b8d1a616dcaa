"""Which shard holds the bytes of an image: the lowest that needs it, in any order of building."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cache.decode import decode_media
from cache.errors import StoreDamaged
from cache.keys import content_key
from cache.manifest import ShardEntry
from cache.records import Media
from cache.shards import ParquetFile, open_shard


class MediaLedger:
    """The images every finished shard needs, and where each shard's file says the bytes are.

    An image is stored once per store. While shards are written the best guess is the lowest shard
    known so far; `unsettled` names the files in which later shards proved that guess wrong.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stored_in: dict[int, dict[str, int]] = {}

    def load(self, shard: ShardEntry) -> None:
        """Read from disk what a shard of an earlier run needs."""
        file = open_shard(self._root, shard.files["media"], "media")
        keys, places = file.column("key"), file.column("stored_in")
        file.close()
        self._stored_in[shard.index] = {
            key: place for key, place in zip(keys, places, strict=True)
        }

    def place(self, index: int, keys: Iterable[str]) -> Mapping[str, int]:
        """Note that shard ``index`` needs ``keys``; return the shard that holds each of them."""
        lower = [self._stored_in[other] for other in sorted(self._stored_in) if other < index]
        places = {}
        for key in keys:
            places[key] = next((needs[key] for needs in lower if key in needs), index)
        self._stored_in[index] = places
        return places

    def unsettled(self) -> dict[int, dict[str, int]]:
        """Return the right places for every shard whose file says something else."""
        owner: dict[str, int] = {}
        wrong: dict[int, dict[str, int]] = {}
        for index in sorted(self._stored_in):
            right = {key: owner.setdefault(key, index) for key in self._stored_in[index]}
            if right != self._stored_in[index]:
                wrong[index] = right
        return wrong

    def needs(self, index: int) -> dict[str, int] | None:
        """Return what is known of shard ``index``, for `restore`."""
        return self._stored_in.get(index)

    def restore(self, index: int, places: dict[str, int] | None) -> None:
        """Note what the file of shard ``index`` says; None where there is no such file."""
        if places is None:
            self._stored_in.pop(index, None)
        else:
            self._stored_in[index] = places


def media_of(root: Path, shard: ShardEntry, places: Mapping[str, int]) -> list[Media]:
    """Return a shard's images, with the bytes of those that it must hold itself.

    Files of media that the build has replaced are still there until it ends, so bytes that one
    shard gave up are found for the shard that needs them now.
    """
    file = open_shard(root, shard.files["media"], "media")
    items = {m.key: m for i in range(file.num_groups) for m, _ in decode_media(file.group(i))}
    file.close()
    missing = {
        key
        for key, item in items.items()
        if places[key] == shard.index and content_key(item.data) != key
    }
    for path in sorted((root / "media").glob("part-*.parquet")):
        if not missing:
            break
        found = _bytes_in(path, missing)
        missing -= set(found)
        items.update(found)
    if missing:
        raise StoreDamaged(
            f"the bytes of image {min(missing)} are in no file of {root / 'media'}. "
            f"Remove {root / 'build.journal'} and run the build again."
        )
    return list(items.values())


def _bytes_in(path: Path, keys: set[str]) -> dict[str, Media]:
    file = ParquetFile(path, "media")
    found: dict[str, Media] = {}
    for index in range(file.num_groups):
        for item, _ in decode_media(file.group(index)):
            if item.key in keys and content_key(item.data) == item.key:
                found[item.key] = item
    file.close()
    return found
