"""How far what a backend computes is from torch in float32, and a refusal where that is too far.

It is measured each time a model is translated, on a few made-up pictures and sentences.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from cache.errors import InputError
from retrieval.settings import ObserveSettings
from retrieval.sight.bounds import bound_of

SENTENCES: Final = (
    "A dog.",
    "Two red buses pass the Houses of Parliament in London on a rainy day",
    "RT @user: #WorldCup final tonight!! 3 goals by #10 http://t.co/abc",
    "東京 タワー",
    "word " * 90,
    "Barack Obama speaks at the White House, with Joe Biden and Angela Merkel beside him, about "
    "the agreement that the ministers of twelve countries signed in Geneva on Thursday morning.",
    "",
    "café, naïve, œuvre",
)
"""What a text tower is compared on: short and long, plain and odd."""

_PICTURE: Final = (400, 300)
# Only boxes that might become regions are compared: of the others nobody ever sees anything.
_BOXES: Final = 100
_SHARE: Final = 0.9


def pictures(number: int) -> list[Image.Image]:
    """Return ``number`` made-up pictures, the same on every machine: blots, boxes and discs."""
    return [_picture(np.random.default_rng(seed)) for seed in range(number)]


def _picture(rng: np.random.Generator) -> Image.Image:
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    picture = small.resize(_PICTURE, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for shape in (draw.ellipse, draw.rectangle) * 2:
        left, top, width, height = (int(one) for one in rng.integers(20, 180, 4))
        colour = tuple(int(one) for one in rng.integers(0, 256, 3))
        shape((left, top, left + width, top + height), fill=colour)
    return picture


def vector_deviation(found: Tensor, reference: Tensor) -> tuple[float, float]:
    """Return the largest difference of a number, and the least cosine, of ``[n, dim]`` vectors."""
    ours, theirs = (
        torch.nn.functional.normalize(one.double(), dim=1) for one in (found, reference)
    )
    number = (ours - theirs).abs().max().item()
    return number, (ours * theirs).sum(dim=1).min().item()


def box_deviation(found: Tensor, reference: Tensor) -> tuple[float, float]:
    """Return how much nine in ten boxes differ at most, and their scores.

    Of each photo the boxes with the best scores are compared.

    Args:
        found: what a detector gives for a batch, ``[batch, 4 + classes, boxes]`` or, from one that
            suppresses by itself, ``[batch, boxes, 6]``.
        reference: the same of torch in float32.
    """
    if reference.shape[-1] == 6:
        found, reference = found.transpose(1, 2)[:, :5], reference.transpose(1, 2)[:, :5]
    best = reference[:, 4:].amax(dim=1).topk(min(_BOXES, reference.shape[2])).indices
    chosen = best[:, None].expand(-1, reference.shape[1], -1)
    differences = (found.gather(2, chosen) - reference.gather(2, chosen)).abs().double()
    # NaN is worse than any number, and `quantile` makes everything NaN of it.
    boxes, scores = (
        part.amax(dim=1).flatten().quantile(_SHARE).item()
        for part in (differences[:, :4], differences[:, 4:])
    )
    return boxes, scores


def check_vectors(settings: ObserveSettings, what: str, found: Tensor, reference: Tensor) -> None:
    """Refuse vectors of ``what`` that are too far from their ``reference``.

    Raises:
        InputError: with the measured deviation and its bound.
    """
    bound = bound_of(settings)
    number, cosine = vector_deviation(found, reference)
    # Written so that NaN is refused.
    if not (number <= bound.number and cosine >= bound.cosine):
        raise _too_far(
            settings,
            f"vectors of {what} deviate by {number:.2g} (at most {bound.number:g} is taken) with "
            f"cosines down to {cosine:.6f} (at least {bound.cosine:g})",
        )


def check_boxes(settings: ObserveSettings, found: Tensor, reference: Tensor) -> None:
    """Refuse boxes that are too far from their ``reference``; see `box_deviation`.

    Raises:
        InputError: with the measured deviation and its bound.
    """
    bound = bound_of(settings)
    box, score = box_deviation(found, reference)
    if not (box <= bound.box_px and score <= bound.score):
        raise _too_far(
            settings,
            f"nine in ten boxes deviate by up to {box:.2g} px (at most {bound.box_px:g} is "
            f"taken), and their scores by up to {score:.2g} (at most {bound.score:g})",
        )


def _too_far(settings: ObserveSettings, how: str) -> InputError:
    return InputError(
        f"backend {settings.backend} in {settings.dtype} is too far from torch in float32 on this "
        f"machine: {how}. Set observe.dtype=float32, or observe.backend=torch."
    )
