"""YOLO by ultralytics (AGPL-3.0): the only file that imports it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import batched_nms  # type: ignore[import-untyped, unused-ignore]

from cache.errors import InputError
from cache.records import Region
from retrieval.settings import ObserveSettings
from retrieval.sight.backends import Calling, Forward, num_streams, translate
from retrieval.sight.detect import Size, tidy_regions
from retrieval.sight.deviation import check_boxes, pictures
from retrieval.sight.forward import (
    ForwardClock,
    forwarded,
    pick_device,
    pick_dtype,
    rows_of_batch,
)
from retrieval.sight.letterbox import Canvas, Placed, canvas_of, letterboxed, placed

# Read by ultralytics when it is imported: no look-ups in the network, no package installed on the
# fly, and checkpoints (pickles) restricted to the classes of known models.
_QUIET = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
}
_MADE_UP = 8  # pictures, at least, on which a translated model is compared
_NMS_IOU = 0.7  # ultralytics' own default
_MOST_CANDIDATES = 3000  # best boxes that enter suppression: bounds the time of a hostile photo


class YoloDetector:
    """Finds the objects of the classes that the weights know.

    Attributes:
        side: that the longer side of a photo is scaled to, in pixels.
    """

    def __init__(self, weights: Path, settings: ObserveSettings, device: str | None) -> None:
        self._settings = settings
        self._device = pick_device(device, settings.backend)
        self._streams = num_streams(settings)
        self._clock = ForwardClock(self._device, self._streams)
        dtype = pick_dtype(settings, self._device)
        is_torch = settings.backend == "torch"
        self._half = dtype if is_torch and dtype != torch.float32 else None
        # In this order of the numbers, torch convolves about twice as fast on a CPU.
        self._order = torch.channels_last if is_torch else torch.contiguous_format
        model, self._names, self.side, self._stride = _load(weights)
        self._model: torch.nn.Module = model.to(self._device).to(memory_format=self._order)
        self._translated: dict[Canvas, Forward] = {}
        square = Canvas(self.side, self.side)
        self._batch_size = rows_of_batch(settings, self._device, partial(self._try, square))
        if settings.letterbox == "tight" and self._device.type == "cpu":
            # A batch has one canvas. One by one, photos take no longer, and none is padding.
            self._batch_size = 1
        # Refused, if it is, before any photo is looked at: all sizes of input are tried.
        for size in ((1, 1), (4, 3), (3, 4), (16, 9), (9, 16)):
            self._model_for(self._canvas(size))

    @property
    def forward_seconds(self) -> float:
        """Wall time spent inside forward passes so far."""
        return self._clock.seconds

    def detect(
        self, images: Sequence[Image.Image], sizes: Sequence[Size] | None = None
    ) -> list[tuple[Region, ...]]:
        """Return the regions of each RGB image, best first; see `Detector`."""
        sizes = [image.size for image in images] if sizes is None else sizes
        photos = list(zip(images, sizes, strict=True))
        found: list[tuple[Region, ...]] = [()] * len(photos)
        canvases = [self._canvas(size) for size in sizes]
        for canvas in sorted(set(canvases)):
            mine = [index for index, one in enumerate(canvases) if one == canvas]
            raw = self._detect([photos[index] for index in mine], canvas)
            for index, row in zip(mine, raw, strict=True):
                found[index] = self._regions(row, placed(sizes[index], canvas), sizes[index])
        return found

    def _canvas(self, size: Size) -> Canvas:
        return canvas_of(size, self.side, self._stride, self._settings.letterbox)

    def _detect(
        self, photos: Sequence[tuple[Image.Image, Size]], canvas: Canvas
    ) -> Iterator[Tensor]:
        """Yield what the model says of each photo."""
        prepare = partial(self._prepare, canvas=canvas)
        forward = partial(self._forward, self._model_for(canvas))
        for rows in forwarded(
            photos, prepare, forward, self._batch_size, self._device, self._streams
        ):
            yield from rows

    def _prepare(self, photos: Sequence[tuple[Image.Image, Size]], canvas: Canvas) -> Tensor:
        return letterboxed(photos, canvas).contiguous(memory_format=self._order)

    def _forward(self, model: Forward, batch: Tensor) -> Tensor:
        half: AbstractContextManager[object] = nullcontext()
        if self._half is not None:
            half = torch.autocast(self._device.type, dtype=self._half)
        # A batch that was filled up has lost the order.
        batch = batch.contiguous(memory_format=self._order)
        with self._clock.forward(), half:
            return _raw(model(batch)).float().cpu()

    def _model_for(self, canvas: Canvas) -> Forward:
        """Return the model for inputs of one size; it is translated when it is first needed."""
        if self._settings.backend == "torch":
            return self._model
        if canvas not in self._translated:
            self._translated[canvas] = self._translate(canvas)
        return self._translated[canvas]

    def _translate(self, canvas: Canvas) -> Forward:
        """Return the model for the settings' backend, compared with torch on made-up pictures."""
        model, rows = self._model, self._batch_size
        made_up = pictures(rows * -(-_MADE_UP // rows))
        if canvas.width != canvas.height:
            made_up = [picture.resize(canvas) for picture in made_up]
        batch = self._prepare([(picture, picture.size) for picture in made_up], canvas)
        with torch.no_grad():
            # Before it is translated, for the head then has its anchors, and they are numbers.
            reference = _raw(model(batch))
        parts = torch.split(batch, rows)
        calling = Calling(model, lambda rows: _raw(model(rows)))
        forward = translate(self._settings, calling, parts[0], self._streams)
        check_boxes(self._settings, torch.cat([forward(part) for part in parts]), reference)
        return forward

    def _try(self, canvas: Canvas, rows: int) -> None:
        batch = torch.zeros((rows, 3, canvas.height, canvas.width), device=self._device)
        self._forward(self._model, batch)

    def _regions(self, raw: Tensor, place: Placed, size: Size) -> tuple[Region, ...]:
        boxes, scores, classes = _candidates(raw, len(self._names))
        keep = scores >= self._settings.detector_confidence
        boxes, scores, classes = boxes[keep], scores[keep], classes[keep]
        order = torch.argsort(scores, descending=True, stable=True)[:_MOST_CANDIDATES]
        boxes, scores, classes = boxes[order], scores[order], classes[order]
        kept = batched_nms(boxes, scores, classes, _NMS_IOU)
        shift = torch.tensor([place.left, place.top] * 2)
        scale = torch.tensor([place.scale_x, place.scale_y] * 2)
        boxes = (boxes[kept] - shift) / scale
        labels = [self._names[index] for index in classes[kept].tolist()]
        confidences = scores[kept].tolist()
        found = zip(map(tuple, boxes.tolist()), labels, confidences, strict=True)
        return tidy_regions(found, size, self._settings.max_regions)


def _raw(output: Any) -> Tensor:
    """Return what a model says of a batch, without what it gives beside it for training."""
    raw: Tensor = output[0] if isinstance(output, tuple | list) else output
    return raw


def _candidates(raw: Tensor, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes (left, top, right, bottom), scores and class indices of one photo.

    Models with suppression built in give rows of (box, score, class); the others give columns of
    (centre, size, one score per class).
    """
    if raw.shape[-1] == 6 and raw.shape[0] != 4 + num_classes:
        return raw[:, :4], raw[:, 4], raw[:, 5].long()
    scores, classes = raw[4 : 4 + num_classes].max(dim=0)
    centre, half = raw[:2].T, raw[2:4].T / 2
    return torch.cat([centre - half, centre + half], dim=1), scores, classes


def _load(weights: Path) -> tuple[torch.nn.Module, dict[int, str], int, int]:
    """Return the model (in evaluation mode, layers fused), class names, input side and stride."""
    if weights.suffix != ".pt":
        # Another suffix makes ultralytics read a model description, parts of which it evaluates.
        raise InputError(
            f"{weights} is no .pt file. Give a detection checkpoint, e.g. yolov8n.pt."
        )
    with quiet_ultralytics():
        from ultralytics import YOLO
        from ultralytics.nn import tasks

        if not getattr(tasks, "SAFE_LOAD", False):
            raise InputError(
                "ultralytics cannot restrict what a checkpoint may run: it is too old, or was "
                "imported before with ULTRALYTICS_SAFE_LOAD off. Update it "
                "(pip install -U ultralytics), or set observe.detector=none."
            )
        try:
            yolo = YOLO(str(weights), task="detect", verbose=False)
            model: torch.nn.Module = yolo.model.float().eval()
            names = {int(index): str(name) for index, name in yolo.names.items()}
            side = yolo.overrides.get("imgsz", 640)
        except Exception as error:  # ultralytics raises anything, also its own pickling errors
            raise InputError(
                f"{weights} is not a YOLO checkpoint that ultralytics can load: {error}. "
                "Give detection weights (such as yolov8n.pt) in observe.detector_weights."
            ) from error
    if yolo.task != "detect":
        raise InputError(
            f"{weights} is a model for {yolo.task!r}, not for detection. Give detection weights "
            "(such as yolov8n.pt) in observe.detector_weights."
        )
    yolo.model.fuse(verbose=False)
    stride = max(32, int(model.stride.max()))  # type: ignore[operator]
    side = int(side if isinstance(side, int) else max(side))
    return model, names, max(stride, side // stride * stride), stride


def download_weights(name: str, target: Path) -> str:
    """Fetch published weights to ``target``; return why it failed, or nothing."""
    with quiet_ultralytics():
        from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

        if name not in GITHUB_ASSETS_NAMES:
            return f"there is no file {name}, and ultralytics publishes no weights of that name"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                partial = Path(folder) / name
                attempt_download_asset(str(partial))
                partial.replace(target)
        except Exception as error:  # whatever the network did, the caller names the way out
            return f"the download failed ({error})"
    return ""


@contextmanager
def quiet_ultralytics() -> Iterator[None]:
    """Let ultralytics be imported without network, and without writing to the user's home."""
    with tempfile.TemporaryDirectory(prefix="ramie-yolo-") as folder:
        wanted = {**_QUIET, "YOLO_CONFIG_DIR": folder}
        # It also wants one thread, for the whole process and all that it starts.
        before = {name: os.environ.get(name) for name in (*wanted, "OMP_NUM_THREADS")}
        # What is safe is not left to the environment.
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
