"""How close a build comes to its limit: wall time over the time inside detector and encoder.

The models have the published sizes (YOLOv8n, CLIP ViT-B-32) and random weights, so nothing is
downloaded and every multiplication is done; the photos have the size that social media keep.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image
from tqdm import tqdm

from cache.errors import InputError
from cache.records import Post
from pipelines.bench.figures import Figure
from pipelines.bench.full_size import PHOTO_SIZE, random_detector, random_encoder
from pipelines.bench.real_data import real_photos
from pipelines.config import Recipe, load_recipe
from pipelines.sample.world import WorldSize, generate_world
from pipelines.sources import make_providers
from retrieval.building.builder import build_store
from retrieval.datasets import read_dataset
from retrieval.kb.knowledge_base import build_kb
from retrieval.sight.observe import Observer
from retrieval.sight.photos import decode_image

_RATIO: Final = 1.15


def bench_build(posts: int = 60, seed: int = 0, recipe: Recipe | None = None) -> list[Figure]:
    """Build a store with full-size models and compare wall time with bare forward passes.

    The models are loaded before the clock starts: that takes seconds whatever the number of posts.

    Args:
        posts: how many, all with a photo or most of them, as in the sample world.
        seed: of the world.
        recipe: measure this recipe's data and models instead of the sample world's.

    Returns:
        Wall time over that inside forward passes, posts a second, and shares of the wall time by
        stage; stages overlap, so that shares may be more than 1 together.

    Raises:
        InputError: the recipe has no models.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        recipe = recipe or full_size_recipe(folder, posts, seed)
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
    number = len(dataset.examples)
    photos = f"{min(len(dataset.photos), len(real_photos()))} of their photos real"
    return [
        Figure(f"building {number} posts, {photos}: posts a second", number / wall),
        Figure("  wall over bare forward passes", wall / report.forward_seconds, _RATIO, "below"),
        *(
            Figure(f"  {name}, share of the wall time", share)
            for name, share in report.shares.items()
        ),
    ]


def full_size_recipe(folder: Path, posts: int, seed: int) -> Recipe:
    """Return a recipe with models of full size and random weights; ``folder`` gets its data."""
    world = folder / "world"
    third = max(posts // 3, 8)
    generate_world(seed, world, WorldSize(train=third, dev=third, test=third, noise=4))
    _put_photos(sorted((world / "posts" / "photos").iterdir()))
    detector, encoder = folder / "detector.pt", folder / "encoder"
    random_detector(detector)
    random_encoder(encoder)
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


def _put_photos(paths: Sequence[Path]) -> None:
    """Put real photos in the place of drawn ones, as many as there are; enlarge the others."""
    real = real_photos()[: len(paths)]
    for path, photo in zip(paths, real, strict=False):
        shutil.copyfile(photo, path)
    for path in tqdm(paths[len(real) :], "enlarge", disable=None):
        _enlarge(path)


def _enlarge(path: Path) -> None:
    with Image.open(path) as image:
        large = image.convert("RGB").resize(PHOTO_SIZE)
    data = io.BytesIO()
    large.save(data, "JPEG", quality=85)
    path.write_bytes(data.getvalue())


def _warm_up(observer: Observer) -> None:
    data = io.BytesIO()
    Image.new("RGB", (640, 480)).save(data, "JPEG")
    photo = decode_image(data.getvalue())
    observer.observe([Post("warm-up", ("warm", "up"))], [photo], ["ok"])
