"""How photos lie in the input of a detector: scaled as a whole, grey where they do not reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from retrieval.settings import Letterbox
from retrieval.sight.detect import Size

_GREY: Final = 114 / 255  # what YOLO models were trained to see around a letterboxed photo
# Shorter sides of tight inputs, over the longer one: for 16:9, then for 3:2 and 4:3. Few, for a
# translated model is made for one size of input. Another rule needs another `TIGHT` (`detect.py`).
_SHORTER: Final = (0.6, 0.75)


class Canvas(NamedTuple):
    """Size of the input, in pixels."""

    width: int
    height: int


class Placed(NamedTuple):
    """How a photo lies in its canvas: pixels times ``scale``, moved by the margins."""

    scale_x: float
    scale_y: float
    left: int
    top: int


def canvas_of(size: Size, side: int, stride: int, letterbox: Letterbox) -> Canvas:
    """Return the canvas for a photo of that size.

    Args:
        size: width and height.
        side: of the largest canvas; the longer side of photos is scaled to it.
        stride: of the detector: both sides are multiples of it.
        letterbox: ``square``, or ``tight``: the smallest that the photo fits in of three, whose
            sides are as 5:3, as 4:3 (rounded up to what detectors take) and equal.
    """
    width, height = resized(size, side)
    shorter = side
    if letterbox == "tight":
        sides = (-(-round(part * side) // stride) * stride for part in _SHORTER)
        shorter = next((one for one in sides if min(width, height) <= one <= side), side)
    return Canvas(side, shorter) if width >= height else Canvas(shorter, side)


def letterboxed(photos: Sequence[tuple[Image.Image, Size]], canvas: Canvas) -> Tensor:
    """Return RGB photos of given sizes in a canvas, ``[batch, 3, height, width]`` in [0, 1]."""
    batch = torch.full((len(photos), 3, canvas.height, canvas.width), _GREY)
    for index, (image, full_size) in enumerate(photos):
        left, top = placed(full_size, canvas)[2:]
        size = resized(full_size, max(canvas))
        small = np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
        pixels = torch.from_numpy(small).permute(2, 0, 1) / 255
        batch[index, :, top : top + size[1], left : left + size[0]] = pixels
    return batch


def placed(size: Size, canvas: Canvas) -> Placed:
    """Return where a photo of that size lies in ``canvas``."""
    width, height = resized(size, max(canvas))
    return Placed(
        width / size[0],
        height / size[1],
        (canvas.width - width) // 2,
        (canvas.height - height) // 2,
    )


def resized(size: Size, side: int) -> Size:
    """Return the size at which the longer side has ``side`` pixels."""
    scale = side / max(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)
