"""The copy that is kept of an image from the web: bounded, upright, and nothing but pixels."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image

from cache.keys import content_key
from cache.records import Media
from retrieval.sight.photos import decode_image

_QUALITY: Final = 90


def kept_copy(data: bytes, max_side: int) -> Media:
    """Return the image in ``data`` as a JPEG of at most ``max_side`` pixels in each direction.

    It is encoded anew even where it is small: whatever came along (EXIF with the place where it
    was taken, comments, colour profiles, bytes after the end) stays behind.

    Raises:
        PhotoProblem: ``data`` is no usable image.
    """
    pixels = decode_image(data).pixels
    pixels.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    pixels.info = {}  # Pillow would write the comment that it found
    buffer = BytesIO()
    pixels.save(buffer, "JPEG", quality=_QUALITY)
    copy = buffer.getvalue()
    return Media(content_key(copy), copy, "JPEG", pixels.width, pixels.height)
