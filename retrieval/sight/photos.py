"""Hostile bytes in, an upright RGB image out, or the reason why not.

Pillow's format classes are called directly. `PIL.Image.open` is avoided on purpose: importing
ultralytics replaces it by a function that, for bytes it cannot identify, installs a package and
tries again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cache.errors import InputError
from cache.keys import content_key
from cache.records import Media

MAX_PIXELS: Final = 50_000_000
MAX_BYTES: Final = 64 * 2**20

_Opener = Callable[[BytesIO], ImageFile.ImageFile]
_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE: Final = frozenset({5, 6, 7, 8})
# What a JPEG decoder can leave out: all but one in so many pixels of each row and column.
_JPEG_SCALES: Final = (8, 4, 2)
NO_MEMORY: Final = "no memory"
# Reasons that say nothing of the photo itself.
_PASSING: Final = frozenset({"missing", "unreadable", NO_MEMORY})
# Photos are scaled to what is needed where that is less than this part of their sides.
_WORTHWHILE: Final = 0.8


class Needs(NamedTuple):
    """Pixels that are looked at, at least: of the longer and of the shorter side of a photo."""

    long_side: int
    short_side: int


class _QuietPillow:
    """Silences Pillow's warnings while any thread is inside.

    Damaged EXIF makes Pillow warn without saying of which photo. `warnings.catch_warnings` alone
    is not for threads: the last one out could restore what another had installed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_inside = 0
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._num_inside == 0:
                self._restore.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._num_inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._num_inside -= 1
            if self._num_inside == 0:
                self._restore.close()


_quiet_pillow = _QuietPillow()


class PhotoProblem(InputError):
    """A photo cannot be used.

    Attributes:
        reason: one of ``missing``, ``empty``, ``not a file``, ``unreadable``, ``too many bytes``,
            ``no memory``, ``not an image``, ``too many pixels``, ``damaged``; for counting.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def passing(self) -> bool:
        """Whether nothing is known of the photo itself: another time it may be of use."""
        return self.reason in _PASSING


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes:
        media: the bytes as found; width and height are of the upright image.
        pixels: mode RGB, upright, transparency laid on white; the first frame of an animation.
            Fewer than ``media`` says, where the photo was decoded for `Needs`.
    """

    media: Media
    pixels: Image.Image = field(repr=False)


def load_photo(path: Path, needs: Needs | None = None) -> Photo:
    """Return the photo in a file; scaled to what ``needs`` say, where that saves much.

    Raises:
        PhotoProblem: with the reason.
    """
    return _decode(read_photo(path), str(path), needs)


def decode_image(data: bytes, needs: Needs | None = None) -> Photo:
    """Return the photo in ``data``; scaled to what ``needs`` say, where that saves much.

    Raises:
        PhotoProblem: with the reason.
    """
    return _decode(data, "image", needs)


def read_photo(path: Path) -> bytes:
    """Return the bytes of a photo's file, not yet looked at.

    Raises:
        PhotoProblem: with the reason.
    """
    try:
        # Non-blocking, so that a named pipe called photo.jpg cannot hang the builder.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise PhotoProblem("missing", f"{path} is not there. Restore the file.") from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PhotoProblem("not a file", f"{path} is no ordinary file. Replace it by one.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except MemoryError as error:
        raise _no_memory(str(path)) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise PhotoProblem(
            "too many bytes", f"{path} is larger than {MAX_BYTES:,} bytes. Replace it."
        )
    return data


def _unreadable(path: Path, error: Exception) -> PhotoProblem:
    return PhotoProblem(
        "unreadable", f"cannot read {path}: {error}. Check the file and its permissions."
    )


def _no_memory(name: str) -> PhotoProblem:
    return PhotoProblem(
        NO_MEMORY, f"there was no memory for {name}. Free some, or let fewer processes run."
    )


def _decode(data: bytes, name: str, needs: Needs | None) -> Photo:
    if not data:
        raise PhotoProblem("empty", f"{name} has no bytes. Download it again.")
    image_format, opener = identify(data, name)
    try:
        with _quiet_pillow:
            # The header is enough to refuse: no pixel is allocated before these checks.
            if image_format == "WEBP":
                refuse_too_many(webp_canvas(data), name)
            image = opener(BytesIO(data))
            size = image.size
            refuse_too_many(size, name)
            if needs is not None:
                _shrink(image, needs)
            image.load()
            orientation = _orientation(image)
            upright = _upright(image, orientation)
            pixels = _fitted(upright, needs)
    except PhotoProblem:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoProblem("too many pixels", f"{name}: {error}. Scale it down.") from error
    except MemoryError as error:
        raise _no_memory(name) from error
    # Decoders of hostile bytes fail in many ways (OSError, struct.error, IndexError, zlib.error
    # ...); all of them mean the same to the caller, and none is swallowed.
    except Exception as error:
        raise PhotoProblem(
            "damaged",
            f"{name} is a damaged or truncated {image_format} ({type(error).__name__}: {error}). "
            "Download it again.",
        ) from error
    if image_format != "JPEG":
        size = upright.size
    elif orientation in _ON_ITS_SIDE:
        size = size[::-1]
    return Photo(Media(content_key(data), data, image_format, *size), pixels)


def _shrink(image: ImageFile.ImageFile, needs: Needs) -> None:
    """Let a JPEG be decoded at the smallest scale that leaves what ``needs`` says.

    Every byte is read all the same: what is damaged or cut off is found as in full size.
    """
    long_side, short_side = max(image.size), min(image.size)
    for scale in _JPEG_SCALES:
        if long_side >= scale * needs.long_side and short_side >= scale * needs.short_side:
            # Other formats have no scales, and do nothing.
            image.draft(None, (image.width // scale, image.height // scale))
            return


def _fitted(pixels: Image.Image, needs: Needs | None) -> Image.Image:
    """Return a photo as small as ``needs`` allow: it is scaled here once, not by each model.

    The filter is the one by which photos are letterboxed, so that a detector whose side decides
    sees what it would see without this.
    """
    if needs is None:
        return pixels
    scale = max(needs.long_side / max(pixels.size), needs.short_side / min(pixels.size))
    if scale >= _WORTHWHILE:
        return pixels
    width, height = (max(round(side * scale), 1) for side in pixels.size)
    return pixels.resize((width, height), Image.Resampling.BILINEAR)


def identify(data: bytes, name: str) -> tuple[str, _Opener]:
    """Return format and decoder by the first bytes; the file's name says nothing.

    Raises:
        PhotoProblem: it is none of the formats that are read.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG", JpegImageFile
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", PngImageFile
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP", WebPImageFile
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF", GifImageFile
    if data.startswith(b"BM"):
        return "BMP", BmpImageFile
    raise PhotoProblem(
        "not an image",
        f"{name} starts with {data[:8]!r}, not as JPEG, PNG, WEBP, GIF or BMP. Convert it.",
    )


def refuse_too_many(size: tuple[int, int], name: str) -> None:
    """Refuse to decode what would take more memory than a photo may.

    Raises:
        PhotoProblem: there are more than `MAX_PIXELS`.
    """
    width, height = size
    if width * height > MAX_PIXELS:
        raise PhotoProblem(
            "too many pixels",
            f"{name} has {width} x {height} pixels, more than {MAX_PIXELS:,}. Scale it down.",
        )


def webp_canvas(data: bytes) -> tuple[int, int]:
    """Return width and height from a WebP header, (0, 0) where there is none.

    Pillow's class makes its decoder, and that allocates the canvas, before it tells the size.
    Layout: RFC 9649, sections 2.5 to 2.7.
    """
    chunk, body = data[12:16], data[20:30]
    if chunk == b"VP8X":
        return _little(body[4:7]) + 1, _little(body[7:10]) + 1
    if chunk == b"VP8L":
        bits = _little(body[1:5])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return _little(body[6:8]) & 0x3FFF, _little(body[8:10]) & 0x3FFF
    return 0, 0


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none or the EXIF is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    # The pixels are sound, so a photo is not given up for the sake of a damaged EXIF block.
    except (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError):
        return 1
    return value if isinstance(value, int) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    pixels = _rgb(image)
    return pixels.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else pixels


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grey; `convert` would clip everything above 255 to white.
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")
