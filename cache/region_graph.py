"""How the regions of a photo lie to each other: the bits of the feature set ``region_graph``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

RegionRelation = Literal["overlaps", "contains", "inside", "left of", "right of", "above", "below"]
# In the order of their bits: the first is 1, the second 2, the third 4, ...
REGION_RELATIONS: Final[tuple[RegionRelation, ...]] = get_args(RegionRelation)
REGION_GRAPH_VERSION: Final = 1

Box = tuple[float, float, float, float]


def region_graph(boxes: Sequence[Box]) -> NDArray[np.uint8]:
    """Return how each region lies to each other one, ``[regions, regions]``.

    A bit of row ``a``, column ``b`` says that ``a`` overlaps ``b``, contains it, is inside of it,
    left of it, ... ; of what only touches, neither overlaps. Nothing is said of a region and
    itself. Pixels count from the left and from the top.
    """
    left, top, right, bottom = np.asarray(boxes, np.float64).reshape(-1, 4).T
    inside = (
        (left[:, None] >= left)
        & (top[:, None] >= top)
        & (right[:, None] <= right)
        & (bottom[:, None] <= bottom)
    )
    left_of = right[:, None] <= left
    above = bottom[:, None] <= top
    apart = left_of | left_of.T | above | above.T
    held = (~apart, inside.T, inside, left_of, left_of.T, above, above.T)
    graph = np.zeros((len(left), len(left)), np.uint8)
    for bit, pairs in enumerate(held):
        graph |= pairs.astype(np.uint8) << bit
    np.fill_diagonal(graph, 0)
    return graph


def relations_of(mask: int) -> tuple[RegionRelation, ...]:
    """Return the relations that one cell of the graph names."""
    return tuple(name for bit, name in enumerate(REGION_RELATIONS) if mask >> bit & 1)
