"""The detector seam: which regions of a photo are worth asking about."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Protocol

from PIL import Image

from cache.errors import InputError
from cache.records import Region
from retrieval.settings import ObserveSettings
from retrieval.sight.bounds import backend_identity, backend_library
from retrieval.sight.weights import file_digest, offline, weights_folder

Size = tuple[int, int]
# Goes up when photos are letterboxed by another rule.
TIGHT: Final = 1


class Detector(Protocol):
    """Finds objects in photos."""

    @property
    def side(self) -> int:
        """Pixels of the longer side of a photo that are looked at."""
        ...

    @property
    def forward_seconds(self) -> float:
        """Wall time spent inside forward passes so far."""
        ...

    def detect(
        self, images: Sequence[Image.Image], sizes: Sequence[Size] | None = None
    ) -> list[tuple[Region, ...]]:
        """Return the regions of each RGB image, best first, at most as many as the settings say.

        Boxes are whole pixels; equal confidences are ordered by box.

        Args:
            images: any number.
            sizes: of the photos that the images are scaled-down copies of, which boxes are told
                in; None where images are as they are.
        """
        ...


class NoDetector:
    """Sees no regions: posts get no object level."""

    side = 1
    forward_seconds = 0.0

    def detect(
        self, images: Sequence[Image.Image], sizes: Sequence[Size] | None = None
    ) -> list[tuple[Region, ...]]:
        """Return no region for each image."""
        return [() for _ in images]


def load_detector(settings: ObserveSettings, device: str | None = None) -> Detector:
    """Return the detector that ``settings`` name, on ``device`` (default: CUDA if there is one).

    Raises:
        InputError: its library is not installed, or its weights are not to be had.
    """
    if settings.detector == "none" or settings.max_regions == 0:
        return NoDetector()
    try:
        from retrieval.sight.detect_yolo import YoloDetector
    except ModuleNotFoundError as error:
        raise InputError(
            f"detector 'yolo' needs {error.name}, which is not installed. "
            "Install the extra [retrieval], or set observe.detector=none."
        ) from error
    return YoloDetector(detector_weights(settings), settings, device)


def detector_identity(settings: ObserveSettings) -> dict[str, object]:
    """Return what decides the regions, for the fingerprint; loads no model."""
    if settings.detector == "none" or settings.max_regions == 0:
        return {"detector": "none"}
    try:
        library = version("ultralytics")
    except PackageNotFoundError:
        library = ""
    tight = {} if settings.letterbox == "square" else {"letterbox": [settings.letterbox, TIGHT]}
    return {
        "detector": settings.detector,
        "weights": file_digest(detector_weights(settings)),
        "confidence": settings.detector_confidence,
        "max_regions": settings.max_regions,
        "dtype": settings.dtype,
        "batch_size": settings.batch_size,
        "library": library,
        **backend_identity(settings),
        **backend_library(settings),
        **tight,
    }


def detector_weights(settings: ObserveSettings) -> Path:
    """Return the weights file: a local path, or a published name, downloaded on first use.

    Raises:
        InputError: it is neither; the message names the file and where to put it.
    """
    name = settings.detector_weights
    local = Path(name).expanduser()
    if local.is_file():
        return local
    target = weights_folder() / local.name
    if local.name == name and target.is_file():
        return target
    reason = f"there is no file {local}"
    if local.name == name:
        reason = "downloads are switched off" if offline() else _download(name, target)
        if not reason:
            return target
    raise InputError(
        f"detector weights {name!r} are not to be had: {reason}. Put the file at {target} and "
        f"name it {local.name}, or give its path with --set observe.detector_weights=PATH, or "
        "build without regions with --set observe.detector=none."
    )


def _download(name: str, target: Path) -> str:
    """Fetch published weights; return why it failed, or nothing."""
    try:
        from retrieval.sight.detect_yolo import download_weights
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed (the extra [retrieval] has it)"
    return download_weights(name, target)


def tidy_regions(
    found: Iterable[tuple[tuple[float, float, float, float], str, float]],
    size: tuple[int, int],
    max_regions: int,
) -> tuple[Region, ...]:
    """Return the best ``max_regions`` boxes, as whole pixels inside an image of ``size``.

    Boxes grow to the next pixel, so that the crop holds all of the object; boxes without area
    are left out, and of equal boxes the most confident stays.
    """
    width, height = size
    best: dict[tuple[float, float, float, float], Region] = {}
    for (left, top, right, bottom), label, confidence in found:
        if not all(map(math.isfinite, (left, top, right, bottom, confidence))):
            continue
        box = (
            float(min(max(math.floor(left), 0), width)),
            float(min(max(math.floor(top), 0), height)),
            float(max(min(math.ceil(right), width), 0)),
            float(max(min(math.ceil(bottom), height), 0)),
        )
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        region = Region(box, label, round(confidence, 4))
        if box not in best or _order(region) < _order(best[box]):
            best[box] = region
    return tuple(sorted(best.values(), key=_order)[:max_regions])


def _order(region: Region) -> tuple[float, tuple[float, float, float, float], str]:
    return (-region.confidence, region.box, region.label)
