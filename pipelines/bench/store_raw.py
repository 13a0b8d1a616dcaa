"""Posts in one packed file behind a memory map: what reading cannot be much faster than."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgpack
import numpy as np

from cache.reader import Features
from cache.reading.packing import pack, unpack_features
from cache.records import Media, Vector
from pipelines.bench.store_posts import (
    DIM,
    IMAGE_FORM,
    IMAGES,
    VECTORS,
    PostMaker,
    WholePost,
    from_features,
    image_keys,
)


def vectors_of(data: Any) -> Vector:
    """Return float16 vectors as float32."""
    return np.frombuffer(data, np.float16).astype(np.float32).reshape(VECTORS, DIM)


class _Mapped:
    """A memory-mapped file of values, and where each begins and ends."""

    def __init__(self, folder: Path) -> None:
        self._ends: list[int] = np.load(folder / "ends.npy", allow_pickle=False).tolist()
        with (folder / "values").open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._view = memoryview(self._map)

    def close(self) -> None:
        self._view.release()
        self._map.close()

    @staticmethod
    def write(folder: Path, values: Iterator[bytes]) -> None:
        ends = [0]
        with (folder / "values").open("xb") as file:
            for value in values:
                ends.append(ends[-1] + file.write(value))
        np.save(folder / "ends.npy", np.array(ends), allow_pickle=False)


class RawRecords(_Mapped):
    """Our own packing of posts, the images behind each: decoded by the store's own code."""

    _PARTS: Final = 1 + IMAGES

    @classmethod
    def make(cls, maker: PostMaker, folder: Path) -> None:
        """Write the posts."""

        def values() -> Iterator[bytes]:
            for record, media in map(maker.record, range(maker.posts)):
                yield pack(record)[0]
                yield from (image.data for image in media)

        cls.write(folder, values())

    def whole(self, number: int) -> tuple[Features, list[Media]]:
        """Return all of a post, in the records that the store gives."""
        features = self.light(number)
        part = self._PARTS * number
        ends, view = self._ends, self._view
        images = [
            Media(key, bytes(view[ends[i] : ends[i + 1]]), *IMAGE_FORM)
            for i, key in enumerate(image_keys(features), part + 1)
        ]
        return features, images

    def light(self, number: int) -> Features:
        """Return a post without its images."""
        part = self._PARTS * number
        value: Any = self._view[self._ends[part] : self._ends[part + 1]]
        return unpack_features(value, str(number), DIM)

    def values(self, post: tuple[Features, list[Media]]) -> WholePost:
        """Return the values of a post."""
        features, images = post
        return from_features(features, [image.data for image in images])


class PlainValues:
    """Gives back the values as they are."""

    def values(self, post: WholePost) -> WholePost:
        """Return the values of a post."""
        return post


class RawObjects(PlainValues, _Mapped):
    """One msgpack value a post: its values and nothing else."""

    @classmethod
    def make(cls, maker: PostMaker, folder: Path) -> None:
        """Write the posts."""
        cls.write(folder, (msgpack.packb(plain(maker.whole(n))) for n in range(maker.posts)))

    def whole(self, number: int) -> WholePost:
        """Return all of a post."""
        value = self._view[self._ends[number] : self._ends[number + 1]]
        fields, texts, vectors, images = msgpack.unpackb(value)
        return WholePost(fields, texts, vectors_of(vectors), images)

    # All of the value is decoded either way.
    light = whole


def plain(whole: WholePost) -> tuple[list[Any], list[str], bytes, list[bytes]]:
    """Return a post's values as any format takes them, vectors as bytes."""
    vectors = np.asarray(whole.vectors, np.float16).tobytes()
    return list(whole.fields), list(whole.texts), vectors, list(whole.images)
