"""Decoded images are held so many pixels at a time: what is looked at together ends there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from PIL import Image

# More decoded pixels at a time would only take memory: these are 192 MB.
PIXELS_TOGETHER: Final = 64_000_000

_Item = TypeVar("_Item")


def in_lots(
    items: Iterable[_Item], image_of: Callable[[_Item], Image.Image | None], most: int
) -> Iterator[list[_Item]]:
    """Yield ``items`` in order, in lots that end with ``most`` items or `PIXELS_TOGETHER` pixels.

    Args:
        items: are taken one by one, and none before it is needed.
        image_of: returns the decoded image that an item holds, or None.
        most: items in a lot.
    """
    lot: list[_Item] = []
    pixels = 0
    for item in items:
        lot.append(item)
        pixels += num_pixels(image_of(item))
        if len(lot) == most or pixels >= PIXELS_TOGETHER:
            yield lot
            lot, pixels = [], 0
    if lot:
        yield lot


def num_pixels(image: Image.Image | None) -> int:
    """Return how many pixels an image has; none is 0."""
    return 0 if image is None else image.width * image.height
