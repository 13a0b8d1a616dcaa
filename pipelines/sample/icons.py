"""Icons of the things that a sample photo shows, drawn with Pillow and nothing else.

Every icon fills a box, in one main colour, and varies in proportion and detail with the random
generator it is given, so that no two drawings of a thing are alike.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from pipelines.sample.palette import COLOURS, Colour

Point = tuple[float, float]
_SKIN: Final[tuple[Colour, ...]] = ((245, 205, 170), (198, 140, 98), (120, 78, 52))
_DARK: Final[Colour] = (40, 42, 48)


@dataclass(frozen=True, slots=True)
class Badge:
    """The emblem of an entity: an outline with a border and a mark inside.

    Attributes:
        shape: one of `SHAPES`.
        field: name of the main colour.
        charge: name of the colour of border and mark.
        mark: one of `MARKS`.
    """

    shape: str
    field: str
    charge: str
    mark: str


class Pen:
    """Draws in coordinates from 0 to 1 inside a square or oblong picture."""

    def __init__(self, width: int, height: int) -> None:
        """Start with a clear picture of ``width`` x ``height`` pixels."""
        self.picture = Image.new("RGBA", (width, height), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.picture)
        self._width, self._height = width, height

    def polygon(self, points: list[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([(x * self._width, y * self._height) for x, y in points], fill=colour)

    def ellipse(self, left: float, top: float, right: float, bottom: float, c: Colour) -> None:
        """Fill an ellipse."""
        self._draw.ellipse(self._box(left, top, right, bottom), fill=c)

    def rectangle(self, left: float, top: float, right: float, bottom: float, c: Colour) -> None:
        """Fill a rectangle."""
        self._draw.rectangle(self._box(left, top, right, bottom), fill=c)

    def rounded(self, left: float, top: float, right: float, bottom: float, c: Colour) -> None:
        """Fill a rectangle with round corners."""
        radius = 0.12 * min(self._width, self._height)
        self._draw.rounded_rectangle(self._box(left, top, right, bottom), radius, fill=c)

    def line(self, start: Point, end: Point, thickness: float, colour: Colour) -> None:
        """Draw a straight line; ``thickness`` is a share of the width."""
        ends = [(x * self._width, y * self._height) for x, y in (start, end)]
        self._draw.line(ends, fill=colour, width=max(1, round(thickness * self._width)))

    def _box(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        w, h = self._width, self._height
        return left * w, top * h, right * w, bottom * h


def draw_object(kind: str, colour: str, size: int, rng: random.Random) -> Image.Image:
    """Return an icon of ``kind`` on clear ground, about ``size`` pixels high, cropped to ink."""
    width, height = _PROPORTIONS[kind]
    pen = Pen(round(size * width * rng.uniform(0.9, 1.1)), round(size * height))
    _DRAWERS[kind](pen, COLOURS[colour], rng)
    return _finish(pen.picture, rng, tilt=6)


def draw_badge(badge: Badge, size: int, rng: random.Random) -> Image.Image:
    """Return the badge on clear ground, about ``size`` pixels across, cropped to ink."""
    pen = Pen(size, size)
    field, charge = COLOURS[badge.field], COLOURS[badge.charge]
    pen.polygon(_outline(badge.shape, 0.5), charge)
    pen.polygon(_outline(badge.shape, 0.42), field)
    _draw_mark(pen, badge.mark, charge)
    return _finish(pen.picture, rng, tilt=14)


def _finish(picture: Image.Image, rng: random.Random, tilt: float) -> Image.Image:
    turned = picture.rotate(rng.uniform(-tilt, tilt), Image.Resampling.BILINEAR, expand=True)
    # Ink is what is more than faintly there: the soft edge of a rotation is not part of the box.
    box = turned.getchannel("A").point(lambda alpha: 255 * (alpha > 64)).getbbox()
    return turned.crop(box) if box else turned


def _regular(corners: int, radius: float, turn: float) -> list[Point]:
    angles = [turn + 2 * math.pi * corner / corners for corner in range(corners)]
    return [(0.5 + radius * math.sin(a), 0.5 - radius * math.cos(a)) for a in angles]


def _rays(rays: int, radius: float, inner: float, steps: int) -> list[Point]:
    """Return an outline whose radius swings ``rays`` times between ``inner`` and 1 x radius."""
    points = []
    for step in range(steps):
        angle = 2 * math.pi * step / steps
        swing = (1 + math.cos(rays * angle)) / 2
        length = radius * (inner + (1 - inner) * swing)
        points.append((0.5 + length * math.sin(angle), 0.5 - length * math.cos(angle)))
    return points


def _outline(shape: str, r: float) -> list[Point]:
    if shape == "disc":
        return _regular(36, r, 0)
    if shape == "star":
        return _rays(5, r, 0.52, 10)
    if shape == "diamond":
        return _regular(4, r, 0)
    if shape == "hexagon":
        return _regular(6, r, 0)
    if shape == "banner":
        return [(0.5 - r, 0.5 - r * 0.7), (0.5 + r, 0.5 - r * 0.7), (0.5 + r, 0.5 + r * 0.7),
                (0.5 - r, 0.5 + r * 0.7)]  # fmt: skip
    if shape == "pennant":
        return [(0.5 - r, 0.5 - r * 0.9), (0.5 + r, 0.5 - r * 0.9), (0.5, 0.5 + r)]
    if shape == "flower":
        return _rays(6, r, 0.68, 48)
    curve = [
        (0.5 + r * math.cos(a) * 0.86, 0.5 + r * math.sin(a))
        for a in (math.pi * i / 12 for i in range(13))
    ]
    return [*curve, (0.5 - r * 0.86, 0.5 - r * 0.9), (0.5 + r * 0.86, 0.5 - r * 0.9)]


def _draw_mark(pen: Pen, mark: str, c: Colour) -> None:
    if mark in {"cross", "bar"}:
        pen.rectangle(0.26, 0.43, 0.74, 0.57, c)
    if mark in {"cross", "pole"}:
        pen.rectangle(0.43, 0.26, 0.57, 0.74, c)
    if mark == "dot":
        pen.ellipse(0.35, 0.35, 0.65, 0.65, c)
    if mark == "chevron":
        pen.polygon([(0.28, 0.6), (0.5, 0.34), (0.72, 0.6), (0.62, 0.68), (0.5, 0.54),
                     (0.38, 0.68)], c)  # fmt: skip
    if mark == "saltire":
        pen.line((0.32, 0.32), (0.68, 0.68), 0.11, c)
        pen.line((0.68, 0.32), (0.32, 0.68), 0.11, c)
    if mark == "checks":
        pen.rectangle(0.32, 0.32, 0.5, 0.5, c)
        pen.rectangle(0.5, 0.5, 0.68, 0.68, c)
    if mark == "ring":
        for index in range(8):
            angle = math.pi * index / 4
            x, y = 0.5 + 0.2 * math.cos(angle), 0.5 + 0.2 * math.sin(angle)
            pen.ellipse(x - 0.055, y - 0.055, x + 0.055, y + 0.055, c)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (max(0, min(255, round(channel * factor))) for channel in colour)
    return red, green, blue


def _person(pen: Pen, colour: Colour, rng: random.Random) -> None:
    skin, legs = rng.choice(_SKIN), rng.choice((_DARK, (70, 80, 120), (110, 96, 80)))
    stance = rng.uniform(0.04, 0.14)
    for side in (-1, 1):
        pen.line((0.5 + side * 0.09, 0.62), (0.5 + side * (0.1 + stance), 1.0), 0.17, legs)
        arm = rng.uniform(0.3, 0.66)
        pen.line((0.5 + side * 0.2, 0.36), (0.5 + side * 0.43, arm), 0.12, colour)
    pen.rounded(0.24, 0.28, 0.76, 0.68, colour)
    pen.ellipse(0.3, 0.0, 0.7, 0.26, skin)
    pen.polygon([(0.3, 0.12), (0.34, 0.02), (0.5, 0.0), (0.66, 0.02), (0.7, 0.12)], _DARK)


def _building(pen: Pen, colour: Colour, rng: random.Random) -> None:
    roof = rng.choice(("flat", "gable", "step"))
    top = {"flat": 0.02, "gable": 0.2, "step": 0.16}[roof]
    pen.rectangle(0.08, top, 0.92, 1.0, colour)
    if roof == "gable":
        pen.polygon([(0.0, 0.22), (0.5, 0.0), (1.0, 0.22)], _shade(colour, 0.6))
    if roof == "step":
        pen.rectangle(0.3, 0.0, 0.7, 0.18, _shade(colour, 0.75))
    columns, rows = rng.randint(2, 4), rng.randint(3, 5)
    glass = rng.choice(((250, 240, 170), (60, 80, 110), (190, 220, 235)))
    for column in range(columns):
        for row in range(rows):
            x = 0.16 + 0.7 * column / columns
            y = top + 0.08 + (0.78 - top) * row / rows
            pen.rectangle(x, y, x + 0.42 / columns, y + 0.4 / rows, glass)
    pen.rectangle(0.43, 0.86, 0.57, 1.0, _DARK)


def _car(pen: Pen, colour: Colour, rng: random.Random) -> None:
    nose, back = rng.uniform(0.2, 0.34), rng.uniform(0.66, 0.9)
    pen.polygon([(nose - 0.1, 0.45), (nose + 0.08, 0.05), (back - 0.1, 0.05), (back, 0.45)],
                _shade(colour, 0.85))  # fmt: skip
    pen.polygon([(nose, 0.42), (nose + 0.11, 0.13), (back - 0.13, 0.13), (back - 0.06, 0.42)],
                (190, 220, 235))  # fmt: skip
    pen.rounded(0.0, 0.38, 1.0, 0.82, colour)
    for x in (0.22, 0.78):
        pen.ellipse(x - 0.13, 0.6, x + 0.13, 1.0, _DARK)
        pen.ellipse(x - 0.06, 0.71, x + 0.06, 0.89, (190, 190, 196))


def _phone(pen: Pen, colour: Colour, rng: random.Random) -> None:
    pen.rounded(0.0, 0.0, 1.0, 1.0, colour)
    screen = rng.choice(((24, 28, 40), (210, 230, 245), (60, 90, 130)))
    pen.rectangle(0.1, 0.1, 0.9, 0.84, screen)
    pen.ellipse(0.42, 0.87, 0.58, 0.96, _shade(colour, 0.5))
    for row in range(rng.randint(2, 4)):
        for column in range(3):
            x, y = 0.2 + 0.24 * column, 0.18 + 0.15 * row
            pen.rectangle(x, y, x + 0.14, y + 0.08, rng.choice(_ICON_COLOURS))


def _tree(pen: Pen, colour: Colour, rng: random.Random) -> None:
    pen.rectangle(0.43, 0.6, 0.57, 1.0, (104, 70, 40))
    if rng.random() < 0.5:
        for level in range(3):
            half = 0.26 + 0.1 * level
            y = 0.22 * level
            pen.polygon([(0.5, y), (0.5 - half, y + 0.3), (0.5 + half, y + 0.3)], colour)
    else:
        pen.ellipse(0.05, 0.15, 0.6, 0.65, colour)
        pen.ellipse(0.4, 0.15, 0.95, 0.65, _shade(colour, 0.9))
        pen.ellipse(0.2, 0.0, 0.8, 0.5, _shade(colour, 1.08))


def _dog(pen: Pen, colour: Colour, rng: random.Random) -> None:
    for x in (0.2, 0.34, 0.58, 0.7):
        pen.rectangle(x, 0.6, x + 0.08, 1.0, _shade(colour, 0.85))
    pen.rounded(0.16, 0.36, 0.78, 0.74, colour)
    pen.ellipse(0.64, 0.12, 1.0, 0.52, colour)
    pen.polygon([(0.68, 0.2), (0.72, 0.0), (0.82, 0.16)], _shade(colour, 0.6))
    pen.line((0.18, 0.42), (0.02, rng.uniform(0.08, 0.3)), 0.07, colour)
    pen.ellipse(0.83, 0.24, 0.88, 0.3, _DARK)
    pen.ellipse(0.94, 0.32, 1.0, 0.4, _DARK)


def _cup(pen: Pen, colour: Colour, rng: random.Random) -> None:
    pen.ellipse(0.6, 0.22, 1.0, 0.74, colour)
    pen.ellipse(0.69, 0.34, 0.91, 0.62, (236, 236, 230))
    taper = rng.uniform(0.02, 0.16)
    pen.polygon([(0.0, 0.08), (0.78, 0.08), (0.78 - taper, 1.0), (taper, 1.0)], colour)
    pen.ellipse(0.0, 0.0, 0.78, 0.18, _shade(colour, 0.6))
    pen.rectangle(taper / 2 + 0.03, 0.5, 0.76 - taper / 2, 0.62, _shade(colour, 1.35))


def _ball(pen: Pen, colour: Colour, rng: random.Random) -> None:
    pen.ellipse(0.0, 0.0, 1.0, 1.0, _shade(colour, 0.55))
    pen.ellipse(0.04, 0.04, 0.96, 0.96, colour)
    if rng.random() < 0.5:
        pen.line((0.06, 0.5), (0.94, 0.5), 0.07, (244, 244, 240))
        pen.line((0.5, 0.06), (0.5, 0.94), 0.07, (244, 244, 240))
    else:
        for x, y in ((0.5, 0.5), (0.25, 0.3), (0.75, 0.3), (0.32, 0.75), (0.68, 0.75)):
            pen.polygon([(x + p - 0.5, y + q - 0.5) for p, q in _regular(5, 0.09, 0)], _DARK)


_ICON_COLOURS: Final[tuple[Colour, ...]] = ((220, 80, 60), (80, 180, 90), (240, 200, 60))
_DRAWERS: Final[dict[str, Callable[[Pen, Colour, random.Random], None]]] = {
    "person": _person,
    "building": _building,
    "car": _car,
    "phone": _phone,
    "tree": _tree,
    "dog": _dog,
    "cup": _cup,
    "ball": _ball,
}
# Width and height of each thing relative to the size it is asked in.
_PROPORTIONS: Final[dict[str, tuple[float, float]]] = {
    "person": (0.5, 1.15),
    "building": (0.75, 1.15),
    "car": (1.15, 0.6),
    "phone": (0.5, 0.9),
    "tree": (0.75, 1.1),
    "dog": (1.0, 0.75),
    "cup": (0.75, 0.72),
    "ball": (0.7, 0.7),
}
