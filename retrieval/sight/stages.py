"""What the stages of an image tower make of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.feature_keys import PYRAMID_SIDE

Half = NDArray[np.float16]
# As many as a ResNet has; what a visual prefix is made of.
_MOST_STAGES: Final = 4


class Look(NamedTuple):
    """What the stages of an image tower make of one image.

    Attributes:
        last: of the last stage, ``[positions, channels]``, row by row.
        pooled: of all stages side by side, averaged to 2 x 2 positions, ``[4, channels]``.
        channels: of each stage.
    """

    last: Half
    pooled: Half
    channels: tuple[int, ...]


def stages_of(maps: Sequence[Tensor]) -> list[Tensor]:
    """Return up to four of the maps ``[batch, channels, height, width]`` of a tower, in order.

    Where maps shrink on their way, the last of each size, of the four smallest sizes: the stages
    of a ResNet. Where all are of one size, as in a transformer, four that are evenly spaced, the
    last one among them.
    """
    last_of_size = {tuple(one.shape[2:]): index for index, one in enumerate(maps)}
    if len(last_of_size) > 1:
        return [maps[index] for index in sorted(last_of_size.values())[-_MOST_STAGES:]]
    number = min(_MOST_STAGES, len(maps))
    return [maps[(place + 1) * len(maps) // number - 1] for place in range(number)]


def pooled(one: Tensor) -> Tensor:
    """Return a map averaged to 2 x 2 positions, ``[batch, 4, channels]``, row by row."""
    square = torch.nn.functional.adaptive_avg_pool2d(one.float(), PYRAMID_SIDE)
    return square.flatten(2).transpose(1, 2)
