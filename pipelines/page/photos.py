"""Images of a store as small pictures inside a page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Final, NamedTuple

from PIL import Image

from cache import InputError, Media, StoreWithheld
from pipelines.page.markup import Markup, element
from retrieval.sight.photos import PhotoProblem, decode_image

# A store keeps images as they were found; these are their sides on the page, in pixels.
PHOTO_SIDE: Final = 720
THUMBNAIL_SIDE: Final = 176
_NOT_THERE: Final = (InputError, StoreWithheld)


class _Thumbnail(NamedTuple):
    """A style class with its picture, or the reason why there is none."""

    name: str = ""
    source: str = ""
    problem: str = ""


class Pictures:
    """Decodes, shrinks and encodes each image once, whatever the number of its uses.

    Evidence repeats itself: many posts retrieve the same image. Thumbnails are therefore rules of
    the page's style sheet, which elements name.

    Args:
        media: returns an image by key, or raises `InputError` where there is none, and
            `StoreWithheld` where its bytes were left out.
    """

    def __init__(self, media: Callable[[str], Media]) -> None:
        self._media = media
        self._thumbnails: dict[str, _Thumbnail] = {}

    def photo(self, key: str) -> tuple[Markup, tuple[int, int]] | str:
        """Return an ``img`` and the full size in pixels, or the reason why there is none."""
        try:
            source, size = self._encode(key, PHOTO_SIDE, quality=82)
        except _NOT_THERE as error:
            return _reason(error)
        width, height = size
        return element("img", src=source, alt="the post's photo", width=width, height=height), size

    def thumbnail(self, key: str, description: str) -> Markup:
        """Return a box that shows the image, or says why it cannot."""
        found = self._thumbnails.get(key)
        if found is None:
            found = self._thumbnails[key] = self._shrink(key, len(self._thumbnails))
        if found.problem:
            return element("span", "no picture", class_="thumb none", title=found.problem)
        label = description or "image"
        return element("span", class_=f"thumb {found.name}", role="img", aria_label=label)

    def rules(self) -> str:
        """Return the style rules of every thumbnail that was asked for."""
        return "\n".join(
            f'.{found.name}{{background-image:url("{found.source}")}}'
            for found in self._thumbnails.values()
            if not found.problem
        )

    def _shrink(self, key: str, index: int) -> _Thumbnail:
        try:
            source, _ = self._encode(key, THUMBNAIL_SIDE, quality=72)
        except _NOT_THERE as error:
            return _Thumbnail(problem=_reason(error))
        return _Thumbnail(name=f"m{index}", source=source)

    def _encode(self, key: str, side: int, quality: int) -> tuple[str, tuple[int, int]]:
        pixels = decode_image(self._media(key).data).pixels
        small = pixels.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = BytesIO()
        small.save(buffer, "JPEG", quality=quality, optimize=True)
        encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
        return f"data:image/jpeg;base64,{encoded}", pixels.size


def _reason(error: InputError | StoreWithheld) -> str:
    """Return why there is no picture; the full message names paths of this machine."""
    if isinstance(error, StoreWithheld):
        return "left out by the store's owner"
    return error.reason if isinstance(error, PhotoProblem) else "not kept in the store"
