"""Tiny random weights in the libraries' own formats, and photos, made on the fly."""

from __future__ import annotations

import json
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cache.records import Media
from retrieval.settings import ObserveSettings
from retrieval.sight.detect_yolo import quiet_ultralytics
from retrieval.sight.photos import Photo, decode_image

CLIP_CONFIG = {
    "model_cfg": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    },
    "preprocess_cfg": {},
}


def write_clip(folder: Path, seed: int = 0) -> Path:
    """Write a random open_clip model as a ``local-dir``."""
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CLIP_CONFIG))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def write_yolo(path: Path, seed: int = 0, side: int = 64) -> Path:
    """Write a random YOLO checkpoint that sees something in every photo."""
    config = path.with_suffix(".yaml")
    with quiet_ultralytics(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ultralytics
        from ultralytics import YOLO

        source = Path(ultralytics.__file__).parent / "cfg" / "models" / "v8" / "yolov8.yaml"
        text = source.read_text().replace("nc: 80", "nc: 3")
        text = text.replace("n: [0.33, 0.25, 1024]", "n: [0.33, 0.0625, 64]")
        config.write_text(text)
        torch.manual_seed(seed)
        yolo = YOLO(str(config), task="detect", verbose=False)
        _make_sensitive(yolo.model)
        yolo.model.names = {0: "person", 1: "dog", 2: "cup"}
        yolo.model.args = {"imgsz": side, "task": "detect"}
        yolo.ckpt = {"train_args": {"imgsz": side, "task": "detect"}}
        yolo.save(path)
    return path


def _make_sensitive(model: torch.nn.Module) -> None:
    """Let random weights answer differently to different photos, and with confidence."""
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = 0.5
    with torch.no_grad():
        for _ in range(6):
            model.train()(torch.rand(8, 3, 64, 64))
    head = list(model.get_submodule("model").children())[-1]
    boxes, classes = list(getattr(head, "cv2")), list(getattr(head, "cv3"))  # noqa: B009
    for branch in (*boxes, *classes):
        torch.nn.init.normal_(branch[-1].weight, std=0.5)
        torch.nn.init.zeros_(branch[-1].bias)
    for branch in boxes:
        # Sides prefer to be near, for else every box would be the whole small photo.
        branch[-1].bias.data = -torch.arange(16.0).repeat(4)
    model.eval()


def tiny_settings(
    clip: Path | None, yolo: Path | None = None, dtype: str = "float32", batch_size: int = 4
) -> ObserveSettings:
    """Return settings that name the tiny weights."""
    return ObserveSettings.model_validate(
        {
            "detector": "none" if yolo is None else "yolo",
            "detector_weights": str(yolo or "yolov8n.pt"),
            "encoder": "none" if clip is None else f"local-dir:{clip}",
            "encoder_weights": "",
            "dtype": dtype,
            "batch_size": batch_size,
        }
    )


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Return a blotchy picture that differs for each seed."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(seed: int, width: int = 40, height: int = 30) -> bytes:
    """Return the PNG of a `picture`."""
    buffer = BytesIO()
    picture(seed, width, height).save(buffer, "PNG")
    return buffer.getvalue()


def photo(seed: int, width: int = 40, height: int = 30) -> Photo:
    """Return a decoded `picture`."""
    return decode_image(encoded(seed, width, height))


def media(seed: int) -> Media:
    """Return the bytes of a `picture`."""
    return photo(seed).media
