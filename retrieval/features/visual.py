"""``grid`` and ``pyramid``: what an image tower makes of a photo and of its regions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from PIL import Image

from cache.feature_keys import Array
from cache.records import Media, StoredExample
from retrieval.sight.lots import in_lots
from retrieval.sight.photos import decode_image

if TYPE_CHECKING:
    from retrieval.sight.stages import Look

VISUAL_VERSION: Final = 1
# Photos and regions that are looked at together; fewer where they are large.
_MOST_VIEWS: Final = 256


class Tower(Protocol):
    """What shows the stages of an image tower; `retrieval.sight.observe.Observer` does."""

    def look(self, images: Sequence[Image.Image]) -> list[Look]:
        """Return what the stages make of each RGB image; nothing in it depends on the others."""
        ...


@dataclass(slots=True)
class Views:
    """Arrays of photos.

    Attributes:
        grids: of ``grid``, by key.
        pyramids: of ``pyramid``, by key.
        stages: channels of each stage; none where no photo was looked at.
    """

    grids: dict[str, Array] = field(default_factory=dict)
    pyramids: dict[str, Array] = field(default_factory=dict)
    stages: tuple[int, ...] = ()


def look_at_photos(
    tower: Tower,
    grids: Mapping[str, StoredExample],
    pyramids: Mapping[str, StoredExample],
    photo: Callable[[str], Media],
) -> Views:
    """Return the arrays of photos; each is decoded, and looked at as a whole, once.

    Args:
        tower: looks.
        grids: a post for each key that is wanted of ``grid``.
        pyramids: the same of ``pyramid``.
        photo: returns a photo by its key.
    """
    views = Views()
    wanted = _by_photo(grids, pyramids)
    every = sorted(wanted)
    images = (
        view
        for key in every
        for view in _views(decode_image(photo(key).data).pixels, wanted[key].pyramids)
    )
    looks = chain.from_iterable(map(tower.look, in_lots(images, lambda one: one, _MOST_VIEWS)))
    for key in every:
        _take(views, wanted[key], looks)
    return views


@dataclass(slots=True)
class _Wanted:
    """What is wanted of one photo: key of its grid, and posts of its pyramids by key."""

    grid: str | None = None
    pyramids: dict[str, StoredExample] = field(default_factory=dict)


def _by_photo(
    grids: Mapping[str, StoredExample], pyramids: Mapping[str, StoredExample]
) -> dict[str, _Wanted]:
    wanted: dict[str, _Wanted] = {}
    for key, post in grids.items():
        wanted.setdefault(_photo_key(post), _Wanted()).grid = key
    for key, post in pyramids.items():
        wanted.setdefault(_photo_key(post), _Wanted()).pyramids[key] = post
    return wanted


def _photo_key(post: StoredExample) -> str:
    key = post.observation.photo_key
    # A post without a photo has no key in these sets.
    assert key is not None
    return key


def _views(photo: Image.Image, pyramids: Mapping[str, StoredExample]) -> Iterator[Image.Image]:
    """Yield the photo, then the regions of each post in order."""
    yield photo
    for post in pyramids.values():
        for region in post.observation.regions:
            left, top, right, bottom = map(int, region.box)
            yield photo.crop((left, top, right, bottom))


def _take(views: Views, wanted: _Wanted, looks: Iterator[Look]) -> None:
    whole = next(looks)
    views.stages = whole.channels
    if wanted.grid is not None:
        views.grids[wanted.grid] = whole.last
    for key, post in wanted.pyramids.items():
        crops = [next(looks).pooled for _ in post.observation.regions]
        views.pyramids[key] = np.stack([whole.pooled, *crops])
