"""The colours and shapes the sample world is drawn with, and the words that name them."""

from __future__ import annotations

from typing import Final

Colour = tuple[int, int, int]

COLOURS: Final[dict[str, Colour]] = {
    "red": (208, 32, 38),
    "orange": (242, 133, 0),
    "yellow": (250, 216, 40),
    "lime": (140, 204, 48),
    "green": (24, 122, 58),
    "teal": (0, 158, 160),
    "sky": (120, 190, 240),
    "blue": (34, 66, 180),
    "purple": (112, 44, 150),
    "pink": (240, 120, 176),
    "brown": (120, 72, 36),
    "white": (248, 248, 244),
    "black": (26, 26, 30),
}

# What the detector knows; the index in this tuple is the class number.
OBJECTS: Final[tuple[str, ...]] = (
    "person",
    "building",
    "car",
    "phone",
    "tree",
    "dog",
    "cup",
    "ball",
    "badge",
)
BADGE: Final = OBJECTS.index("badge")

# Outlines and inner marks of a badge, the visual signature of an entity.
SHAPES: Final[tuple[str, ...]] = (
    "disc",
    "shield",
    "star",
    "diamond",
    "hexagon",
    "banner",
    "pennant",
    "flower",
)
MARKS: Final[tuple[str, ...]] = (
    "cross",
    "bar",
    "pole",
    "dot",
    "chevron",
    "saltire",
    "checks",
    "ring",
)
