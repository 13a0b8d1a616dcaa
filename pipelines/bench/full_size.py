"""Models of the published sizes with random weights, and photos as large as networks keep them.

Nothing is downloaded, and every multiplication is done.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.sight.detect_yolo import quiet_ultralytics

PHOTO_SIZE = (1200, 900)


def random_detector(path: Path) -> None:
    """Write a YOLOv8n checkpoint."""
    with quiet_ultralytics():
        from ultralytics import YOLO

        YOLO("yolov8n.yaml", verbose=False).save(path)


def random_encoder(folder: Path) -> None:
    """Write a CLIP ViT-B-32 as a ``local-dir``."""
    import open_clip
    from safetensors.torch import save_file

    model = open_clip.create_model("ViT-B-32")
    folder.mkdir()
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def grainy_photo(rng: np.random.Generator, size: tuple[int, int] = PHOTO_SIZE) -> Image.Image:
    """Return blots with the grain of a photo, so that its JPEG is as large as that of one."""
    small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-12, 13, smooth.shape, dtype=np.int16)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))
