"""Whether an image is what its row in a store claims, by its header: no pixel is decoded."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from cache.records import Media
from retrieval.sight.photos import PhotoProblem, identify, refuse_too_many, webp_canvas

Size = tuple[int, int]
# Start of frame, whatever the coding; the other codes in the range are tables.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})


def wrong_claim(image: Media) -> str | None:
    """Return what is wrong with what is said of an image, as the end of a sentence; or None.

    A size may be the header's turned on its side where EXIF may say which side is up.
    """
    try:
        found, opener = identify(image.data, "it")
        claimed = (image.width, image.height)
        size = _size(found, image.data)
        if size is None or (found, size) != (image.format, claimed):
            # Most headers are read here in a few microseconds; Pillow knows the odd ones.
            size = webp_canvas(image.data) if found == "WEBP" else opener(BytesIO(image.data)).size
        refuse_too_many(size, "it")
    except PhotoProblem as problem:
        return f"cannot be used: {str(problem).rstrip('.')}"
    # Decoders of hostile bytes fail in many ways; all mean that the header cannot be read.
    except Exception as error:
        return f"has a header that cannot be read ({type(error).__name__})"
    turned = size[::-1] == claimed and b"exif" in image.data.lower()
    if found == image.format and (size == claimed or turned):
        return None
    return (
        f"is a {found} of {size[0]} x {size[1]} pixels, but its row says {image.format[:20]} of "
        f"{image.width} x {image.height}"
    )


def _size(image_format: str, data: bytes) -> Size | None:
    if image_format == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return _jpeg_size(data) if image_format == "JPEG" else None


def _jpeg_size(data: bytes) -> Size | None:
    """Return width and height of the first frame; None where the markers are not plain."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        code = data[at + 1]
        if code in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        if code in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
