"""Images that were read not long ago: on disk, one is decoded together with its neighbours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from cache.records import Media

_MOST_BYTES: Final = 256 << 20


class RecentMedia:
    """Reads images by key, and keeps the last ones in memory."""

    def __init__(self, read: Callable[[str], Media], most_bytes: int = _MOST_BYTES) -> None:
        """Read with ``read`` what is not among the last ``most_bytes`` of images."""
        self._read = read
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Media] = OrderedDict()
        self._size_bytes = 0

    def __call__(self, key: str) -> Media:
        """Return the image with that key."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        media = self._kept[key] = self._read(key)
        self._size_bytes += len(media.data)
        while self._size_bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._size_bytes -= len(oldest.data)
        return media
