"""The images of a store in a derived file, for readers that look at pixels; training does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from cache.reader import Features
from cache.reading.derived_file import ValueFile, ValueWriter
from cache.reading.parquet_reader import ParquetReader
from cache.records import Media

_KEY_BYTES: Final = 32


class DerivedImages:
    """The images of a derived file by key, and by the number of the post that needs them."""

    def __init__(self, file: ValueFile) -> None:
        self.file = file
        keys, formats, widths, heights, ends, numbers = file.note
        self._about = list(zip(formats, widths, heights, strict=True))
        self._value = file.value
        starts = range(0, len(keys), _KEY_BYTES)
        self._numbers = {
            keys[start : start + _KEY_BYTES].hex(): number for number, start in enumerate(starts)
        }
        self._ends: list[int] = [0, *np.frombuffer(ends, "<u4").tolist()]
        self._of_posts: list[int] = np.frombuffer(numbers, "<u4").tolist()

    def get(self, key: str) -> Media | None:
        """Return an image, its bytes compared with their hash; None where it is not here."""
        number = self._numbers.get(key)
        if number is None:
            return None
        return Media(key, self._value(number), *self._about[number])

    def of_posts(self, posts: Iterable[int]) -> list[int]:
        """Return the numbers of the images that posts need, in order of the file, each once."""
        found: set[int] = set()
        for post in posts:
            found.update(self._of_posts[self._ends[post] : self._ends[post + 1]])
        return sorted(found)


def fill_images(
    writer: ValueWriter, shards: ParquetReader, posts: Iterable[Features], progress: bool
) -> Any:
    """Put the images of a store into a derived file; SHA-256 are compared once, here.

    Args:
        writer: of the file.
        shards: of the store.
        posts: all of them, in order of their numbers.
        progress: show a bar where the output is a terminal.
    """
    numbers: dict[str, int] = {}
    about: list[tuple[str, int, int]] = []
    bar = tqdm(
        range(len(shards.manifest.shards)),
        "preparing the images",
        unit="shard",
        disable=None if progress else True,
    )
    needed: list[list[int]] = []
    remaining = iter(posts)
    for index in bar:
        here = {image.key: image for image in shards.shard_media(index)}
        num_posts = shards.manifest.shards[index].files["examples"].rows
        wanted = [list(_keys_of(post)) for post in islice(remaining, num_posts)]
        # As posts need them, because what is read together should lie together.
        for key in dict.fromkeys((*chain.from_iterable(wanted), *here)):
            if (image := here.get(key)) is not None:
                numbers[key] = len(numbers)
                about.append((image.format, image.width, image.height))
                writer.put(image.data)
        needed += [[numbers[key] for key in keys if key in numbers] for keys in wanted]
    formats, widths, heights = zip(*about, strict=True) if about else ((), (), ())
    ends = np.cumsum([len(each) for each in needed]).astype("<u4").tobytes()
    flat = np.array([number for each in needed for number in each], "<u4").tobytes()
    return [b"".join(map(bytes.fromhex, numbers)), formats, widths, heights, ends, flat]


def _keys_of(post: Features) -> Iterator[str]:
    """Yield the keys of the images of a post; a key that several hits name comes as often."""
    for key in (post.photo_key, *(item.media_key for item in post.evidence)):
        if key is not None:
            yield key
