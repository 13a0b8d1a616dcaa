"""The loop that observing is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from cache.records import Post
from retrieval.settings import ObserveSettings
from retrieval.sight.detect_yolo import quiet_ultralytics


class PlainLoop:
    """What a user would write: one post at a time, float32, photos decoded in full."""

    def __init__(self, settings: ObserveSettings, photos: Mapping[str, Path]) -> None:
        """Load the models that ``settings`` name, for ``photos`` by example id."""
        import open_clip

        with quiet_ultralytics():
            from ultralytics import YOLO

            self._yolo = YOLO(settings.detector_weights, verbose=False)
        self._clip, _, self._preprocess = open_clip.create_model_and_transforms(settings.encoder)
        self._clip.eval()
        self._tokenize = open_clip.get_tokenizer(settings.encoder)
        self._settings, self._photos = settings, photos

    @torch.inference_mode()
    def observe(self, posts: Sequence[Post]) -> list[list[Tensor]]:
        """Return vectors of each post: photo, crops, sentence."""
        return [self._observe(post) for post in posts]

    def _observe(self, post: Post) -> list[Tensor]:
        with Image.open(self._photos[post.example_id]) as file:
            image = file.convert("RGB")
        found = self._yolo.predict(
            image, conf=self._settings.detector_confidence, imgsz=640, device="cpu", verbose=False
        )[0]
        boxes = found.boxes.xyxy.tolist()[: self._settings.max_regions]
        crops = [image.crop((left, top, right, bottom)) for left, top, right, bottom in boxes]
        return [
            *(self._clip.encode_image(self._preprocess(view)[None]) for view in [image, *crops]),
            self._clip.encode_text(self._tokenize([" ".join(post.tokens)])),
        ]
