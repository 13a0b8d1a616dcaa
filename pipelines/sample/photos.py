"""Photos of the sample world: a varied background with several things and badges on it."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageEnhance

from pipelines.sample.icons import Badge, draw_badge, draw_object
from pipelines.sample.palette import COLOURS, OBJECTS, Colour

WIDTH: Final = 256
HEIGHT: Final = 192
# Drawn larger and scaled down, which smooths the edges.
_SCALE: Final = 2


class Thing(NamedTuple):
    """An object in a photo: its class (one of `OBJECTS` but the badge) and its colour's name."""

    kind: str
    colour: str


class Box(NamedTuple):
    """Where an object was drawn, in pixels of the photo."""

    kind: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A finished photo and what is where in it."""

    picture: Image.Image
    boxes: tuple[Box, ...]


def draw_scene(badges: list[Badge], things: list[Thing], rng: random.Random) -> Scene:
    """Return a photo that shows all badges (largest) and all things, hardly overlapping."""
    picture = _background(rng)
    items: list[Badge | Thing] = [*badges, *things]
    cells = _cells(len(items), rng)
    boxes = []
    for item, (cell_left, cell_top, cell_width, cell_height) in zip(items, cells, strict=True):
        icon = _icon(item, min(cell_width, cell_height), rng)
        slack_x, slack_y = cell_width - icon.width, cell_height - icon.height
        left = cell_left + round(rng.uniform(0.1, 0.9) * slack_x)
        top = cell_top + round(rng.uniform(0.1, 0.9) * slack_y)
        left = min(max(left, 0), picture.width - icon.width)
        top = min(max(top, 0), picture.height - icon.height)
        picture.paste(icon, (left, top), icon)
        kind = "badge" if isinstance(item, Badge) else item.kind
        sides = (left, top, left + icon.width, top + icon.height)
        boxes.append(Box(kind, *(side / _SCALE for side in sides)))
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return Scene(_develop(small, rng), tuple(boxes))


def random_thing(rng: random.Random) -> Thing:
    """Return any object in any colour."""
    return Thing(rng.choice(OBJECTS[:-1]), rng.choice(tuple(COLOURS)))


def encode_jpeg(picture: Image.Image) -> bytes:
    """Return the photo as JPEG bytes; the same picture gives the same bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _icon(item: Badge | Thing, room: int, rng: random.Random) -> Image.Image:
    if isinstance(item, Badge):
        icon = draw_badge(item, round(room * rng.uniform(0.86, 1.1)), rng)
    else:
        icon = draw_object(item.kind, item.colour, round(room * rng.uniform(0.66, 0.88)), rng)
    if isinstance(item, Thing) and rng.random() < 0.5:
        icon = icon.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    limit = min(WIDTH * _SCALE / icon.width, HEIGHT * _SCALE / icon.height)
    if limit < 1:
        icon = icon.resize((int(icon.width * limit), int(icon.height * limit)))
    return icon


def _cells(count: int, rng: random.Random) -> list[tuple[int, int, int, int]]:
    """Return one cell (left, top, width, height) for each of ``count`` items, in random order."""
    columns = 1 if count == 1 else 2 if count <= 4 else 3
    rows = -(-count // columns)
    width, height = WIDTH * _SCALE // columns, HEIGHT * _SCALE // rows
    grid = [(c * width, r * height, width, height) for r in range(rows) for c in range(columns)]
    rng.shuffle(grid)
    return grid[:count]


def _background(rng: random.Random) -> Image.Image:
    size = (WIDTH * _SCALE, HEIGHT * _SCALE)
    picture = _gradient(_pale(rng), _pale(rng), size, upright=rng.random() < 0.7)
    draw = ImageDraw.Draw(picture)
    style = rng.choice(("plain", "ground", "stripes", "spots", "hills"))
    ink = _pale(rng)
    if style == "ground":
        draw.rectangle((0, round(size[1] * rng.uniform(0.55, 0.8)), *size), fill=ink)
    elif style == "stripes":
        step = rng.randint(30, 80)
        lean = rng.randint(-60, 60)
        for x in range(-60, size[0] + 60, step):
            draw.line((x, 0, x + lean, size[1]), fill=ink, width=step // 3)
    elif style == "spots":
        for _ in range(rng.randint(12, 40)):
            centre = rng.uniform(0, size[0]), rng.uniform(0, size[1])
            _spot(draw, *centre, rng.uniform(4, 22), ink)
    elif style == "hills":
        for _ in range(4):
            middle, radius = rng.uniform(0, size[0]), rng.uniform(100, 260)
            _spot(draw, middle, size[1] + radius * rng.uniform(0.1, 0.5), radius, ink)
    return picture


def _spot(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, ink: Colour) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)


def _pale(rng: random.Random) -> Colour:
    """Return a colour less strong than those of the things, so that they stand out."""
    grey = rng.uniform(110, 225)
    red, green, blue = (
        max(0, min(255, round(grey + rng.uniform(-32, 32)))) for _channel in range(3)
    )
    return red, green, blue


def _gradient(first: Colour, second: Colour, size: tuple[int, int], upright: bool) -> Image.Image:
    ends = Image.new("RGB", (1, 2) if upright else (2, 1))
    ends.putdata([first, second])
    return ends.resize(size, Image.Resampling.BILINEAR)


def _develop(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Vary light, contrast and grain, as cameras do."""
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.82, 1.15))
    picture = ImageEnhance.Contrast(picture).enhance(rng.uniform(0.85, 1.15))
    grain = Image.frombytes("L", (WIDTH // 2, HEIGHT // 2), rng.randbytes(WIDTH * HEIGHT // 4))
    rough = grain.resize(picture.size, Image.Resampling.NEAREST).convert("RGB")
    return Image.blend(picture, rough, rng.uniform(0.0, 0.07))
