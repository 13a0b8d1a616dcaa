"""The loop that observing is compared with sees what is observed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tiny_vision import picture, tiny_settings, write_clip, write_yolo

from cache.records import Post
from pipelines.bench.plain_loop import PlainLoop
from retrieval.sight.observe import Observer
from retrieval.sight.photos import load_photo


def test_the_plain_loop_gives_the_same_vectors_one_post_at_a_time(tmp_path: Path) -> None:
    settings = tiny_settings(write_clip(tmp_path / "clip"), write_yolo(tmp_path / "yolo.pt"))
    posts = [Post(str(number), ("a", "dog", str(number)), "x.jpg") for number in range(3)]
    photos = {post.example_id: tmp_path / f"{post.example_id}.jpg" for post in posts}
    for number, path in enumerate(photos.values()):
        picture(number, 200, 150).save(path, quality=95)
    loop = PlainLoop(settings, photos).observe(posts)
    loaded = [load_photo(path) for path in photos.values()]
    seen = Observer(settings, device="cpu").observe(posts, loaded, ["ok"] * len(posts))
    for vectors, one in zip(loop, seen, strict=True):
        assert len(vectors) == 1 + settings.max_regions + 1
        photo, sentence = (
            torch.nn.functional.normalize(vectors[index], dim=1)[0].numpy() for index in (0, -1)
        )
        assert one.photo_embedding is not None
        assert one.sentence_embedding is not None
        assert np.abs(one.photo_embedding - photo).max() < 1e-3
        assert np.abs(one.sentence_embedding - sentence).max() < 1e-3
