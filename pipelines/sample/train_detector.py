"""Train the tiny YOLO of the sample world on drawn photos, without a download."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import trange

from pipelines.sample.icons import Badge
from pipelines.sample.palette import BADGE, COLOURS, MARKS, OBJECTS, SHAPES
from pipelines.sample.photos import HEIGHT, WIDTH, draw_scene, random_thing
from retrieval.sight.detect_yolo import quiet_ultralytics

# yolov8.yaml with half the width of "n"; photos are 256 x 192, so 256 needs no scaling.
WIDTH_MULTIPLE: Final = 0.125
IMAGE_SIZE: Final = 256
_ARGUMENTS: Final = {"imgsz": IMAGE_SIZE, "task": "detect", "model": "yolov8n.yaml"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A photo with its boxes: class, then centre x, centre y, width, height as shares."""

    pixels: NDArray[np.uint8]
    classes: NDArray[np.float32]
    boxes: NDArray[np.float32]


def random_badge(rng: random.Random) -> Badge:
    """Return any badge; the border never has the colour of the field."""
    field, charge = rng.sample(tuple(COLOURS), 2)
    return Badge(rng.choice(SHAPES), field, charge, rng.choice(MARKS))


def draw_labelled(rng: random.Random) -> Labelled:
    """Return a photo with one or two badges (or none) and one to four things."""
    badges = [random_badge(rng) for _ in range(rng.choice((0, 1, 1, 2)))]
    things = [random_thing(rng) for _ in range(rng.randint(1, 4))]
    scene = draw_scene(badges, things, rng)
    rows = []
    for _, left, top, right, bottom in scene.boxes:
        rows.append(
            (
                (left + right) / 2 / WIDTH,
                (top + bottom) / 2 / HEIGHT,
                (right - left) / WIDTH,
                (bottom - top) / HEIGHT,
            )
        )
    classes = [BADGE if box.kind == "badge" else OBJECTS.index(box.kind) for box in scene.boxes]
    return Labelled(
        np.asarray(scene.picture), np.array(classes, np.float32), np.array(rows, np.float32)
    )


def train_detector(
    out: Path, seed: int, num_photos: int = 3200, epochs: int = 3, batch_size: int = 16
) -> None:
    """Train on ``num_photos`` drawn photos and write ``out`` in ultralytics' own format."""
    rng = random.Random(f"{seed}/detector")
    torch.manual_seed(seed)
    model = _new_model()
    photos = [draw_labelled(rng) for _ in trange(num_photos, desc="draw for the detector")]
    steps = epochs * (num_photos // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 50) * (0.51 + 0.49 * _cosine(step, steps))
    )
    model.train()
    progress = trange(steps, desc="train the detector", mininterval=5)
    for _ in progress:
        loss, parts = model(_collate(rng.sample(photos, batch_size), rng))
        optimizer.zero_grad()
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        box, kind, edge = (float(part) for part in parts.values())
        progress.set_postfix(box=f"{box:.2f}", cls=f"{kind:.2f}", dfl=f"{edge:.2f}")
    _save(model, out)


def _cosine(step: int, steps: int) -> float:
    return math.cos(math.pi * min(step, steps) / steps)


def _new_model() -> Any:
    with quiet_ultralytics():
        from ultralytics.cfg import get_cfg
        from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    plan = yaml_model_load("yolov8n.yaml")
    plan["scales"] = {"n": [0.33, WIDTH_MULTIPLE, 1024]}
    model = DetectionModel(plan, nc=len(OBJECTS), verbose=False)
    model.names = dict(enumerate(OBJECTS))
    model.args = get_cfg(overrides=_ARGUMENTS)
    return model


def _collate(batch: list[Labelled], rng: random.Random) -> dict[str, Tensor]:
    """Return ultralytics' training batch; half of the photos are mirrored."""
    pixels, boxes = [], []
    for photo in batch:
        image, rows = photo.pixels, photo.boxes
        if rng.random() < 0.5:
            image = image[:, ::-1]
            rows = rows * np.array([-1, 1, 1, 1], np.float32) + np.array([1, 0, 0, 0], np.float32)
        pixels.append(np.ascontiguousarray(image.transpose(2, 0, 1)))
        boxes.append(rows)
    owner = np.concatenate([np.full(len(rows), i, np.float32) for i, rows in enumerate(boxes)])
    return {
        "img": torch.from_numpy(np.stack(pixels)).float() / 255,
        "batch_idx": torch.from_numpy(owner),
        "cls": torch.from_numpy(np.concatenate([photo.classes for photo in batch])[:, None]),
        "bboxes": torch.from_numpy(np.concatenate(boxes)),
    }


def _save(model: Any, out: Path) -> None:
    """Write a checkpoint like ultralytics' own stripped ones: half precision, no optimizer."""
    import ultralytics

    model.eval()
    model.criterion = None
    model.args = _ARGUMENTS
    model.yaml_file = "yolov8n.yaml"
    for parameter in model.parameters():
        parameter.requires_grad = False
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "epoch": -1,
            "model": model.half(),
            "train_args": _ARGUMENTS,
            "version": ultralytics.__version__,
            "license": "AGPL-3.0 (https://ultralytics.com/license)",
        },
        out,
    )
