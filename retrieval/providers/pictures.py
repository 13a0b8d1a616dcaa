"""Pictures that are sent to a provider: a photo, a region of it, or one that everybody knows."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image

from cache.errors import ProviderUnavailable
from cache.records import Query
from retrieval.sight.photos import PhotoProblem, decode_image

# Web detection needs no more (640 x 480 is advised), and less is sent of what is private.
_MAX_SIDE: Final = 1024
_JPEG_QUALITY: Final = 90


def jpeg_of(query: Query) -> bytes:
    """Return the photo of ``query``, or its region, as a JPEG without metadata.

    Equal photos and boxes give equal bytes.

    Raises:
        ProviderUnavailable: the photo is not at hand, cannot be read, or has no such region.
    """
    if query.photo is None:
        raise ProviderUnavailable(
            f"the photo {query.image_key[:12]} is not at hand, and provider 'vision' has to see "
            "it. Check that the data set's photos are where the recipe says."
        )
    try:
        pixels = decode_image(query.photo.data).pixels
        pixels = pixels.crop(_box(query, pixels.size))
    except (PhotoProblem, ValueError, OverflowError) as problem:
        raise ProviderUnavailable(
            f"photo {query.image_key[:12]} cannot be sent to provider 'vision': {problem}"
        ) from problem
    pixels.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    pixels.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0, optimize=False)
    return buffer.getvalue()


def _box(query: Query, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the pixels that are asked about; all of the photo where the key has no box."""
    _, _, sides = query.image_key.partition("#")
    if not sides:
        return 0, 0, *size
    left, top, right, bottom = (round(float(side)) for side in sides.split(","))
    box = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
    if box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(f"a photo of {size} has no region {sides}. Observe it again.")
    return box


def flag(query: Query) -> Query:
    """Return the French flag, as photo or as a region of itself: no picture is better known."""
    colours = Image.new("RGB", (180, 120), "white")
    colours.paste((0, 38, 84), (0, 0, 60, 120))
    colours.paste((206, 17, 38), (120, 0, 180, 120))
    buffer = BytesIO()
    colours.save(buffer, "PNG")
    photo = decode_image(buffer.getvalue()).media
    is_region = query.level == "object"
    return Query(
        query.level,
        query.modality,
        image_key=f"{photo.key}#0,0,180,120" if is_region else photo.key,
        region_index=0 if is_region else -1,
        photo=photo,
    )
