"""How close a build comes to its limit: wall time over the time inside detector and encoder.

The models have the published sizes (YOLOv8n, CLIP ViT-B-32) and random weights, so nothing is
downloaded and every multiplication is done; the photos have the size that social media keep.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from cache.errors import InputError
from cache.records import Post
from pipelines.config import Recipe, load_recipe
from pipelines.sample.world import WorldSize, generate_world
from pipelines.sources import make_providers
from retrieval.building.builder import build_store
from retrieval.datasets import read_dataset
from retrieval.kb.knowledge_base import build_kb
from retrieval.sight.detect_yolo import quiet_ultralytics
from retrieval.sight.observe import Observer
from retrieval.sight.photos import decode_image

_PHOTO_SIZE = (1200, 900)


def bench_build(posts: int = 60, seed: int = 0, recipe: Recipe | None = None) -> dict[str, float]:
    """Build a store with full-size models and compare wall time with bare forward passes.

    The models are loaded before the clock starts: that takes seconds whatever the number of posts.

    Args:
        posts: how many, all with a photo or most of them, as in the sample world.
        seed: of the world.
        recipe: measure this recipe's data and models instead of the sample world's.

    Returns:
        ``posts``, ``wall_s``, ``forward_s``, ``ratio`` and ``posts_per_s``; seconds by stage.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        recipe = recipe or _full_size_recipe(folder, posts, seed)
        settings = recipe.build_settings()
        dataset = read_dataset(settings.dataset)
        observer = Observer(settings.observe)
        providers = make_providers(settings.ask, observer)
        _warm_up(observer)
        started = time.perf_counter()
        report = build_store(
            settings,
            folder / "store",
            dataset=dataset,
            observer=observer,
            providers=providers,
            progress=True,
        )
        wall = time.perf_counter() - started
    if not report.forward_seconds:
        raise InputError("this recipe has neither detector nor encoder: nothing to compare with.")
    return {
        "posts": len(dataset.examples),
        "photos": report.num_observed,
        "wall_s": wall,
        "forward_s": report.forward_seconds,
        "ratio": wall / report.forward_seconds,
        "posts_per_s": len(dataset.examples) / wall,
        **{f"stage {name} s": seconds for name, seconds in report.seconds.items()},
    }


def _full_size_recipe(folder: Path, posts: int, seed: int) -> Recipe:
    world = folder / "world"
    third = max(posts // 3, 8)
    generate_world(seed, world, WorldSize(train=third, dev=third, test=third, noise=4))
    for path in tqdm(sorted((world / "posts" / "photos").iterdir()), "enlarge", disable=None):
        _enlarge(path)
    detector, encoder = folder / "detector.pt", folder / "encoder"
    _random_detector(detector)
    _random_encoder(encoder)
    recipe = load_recipe(
        "sample",
        [
            f"dataset.root={world / 'posts'}",
            f"observe.detector_weights={detector}",
            # Random weights are sure of nothing; this makes them find regions all the same.
            "observe.detector_confidence=1e-6",
            f"observe.encoder=local-dir:{encoder}",
            "observe.batch_size=8",
            f"ask.kb={folder / 'kb'}",
        ],
    )
    build_kb(world / "kb", folder / "kb", recipe.observe, progress=True)
    return recipe


def _enlarge(path: Path) -> None:
    with Image.open(path) as image:
        large = image.convert("RGB").resize(_PHOTO_SIZE)
    data = io.BytesIO()
    large.save(data, "JPEG", quality=85)
    path.write_bytes(data.getvalue())


def _random_detector(path: Path) -> None:
    with quiet_ultralytics():
        from ultralytics import YOLO

        YOLO("yolov8n.yaml", verbose=False).save(path)


def _random_encoder(folder: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    model = open_clip.create_model("ViT-B-32")
    folder.mkdir()
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def _warm_up(observer: Observer) -> None:
    data = io.BytesIO()
    Image.new("RGB", (640, 480)).save(data, "JPEG")
    photo = decode_image(data.getvalue())
    observer.observe([Post("warm-up", ("warm", "up"))], [photo], ["ok"])
