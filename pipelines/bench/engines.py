"""Building with a Ray cluster: two workers against one, on one machine, in one run.

Models of full size with random weights and photos of the size of social media (`ramie bench
build`), so that workers have what they have in earnest. It needs two free processors: the clock
of a worker that shares its processor tells nothing.
"""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

from pipelines.bench.build import full_size_recipe
from pipelines.bench.figures import Figure
from pipelines.building import make_observer
from pipelines.config import Recipe
from pipelines.options import note
from pipelines.sources import make_providers
from retrieval.building.builder import build_store
from retrieval.building.job import Engine, LocalEngine
from retrieval.datasets import read_dataset
from retrieval.engines.ray_engine import RayEngine, RayOptions, join_cluster, leave_cluster
from retrieval.sight.observe import Observer

_ASKED: Final = 1.7
# Small shards, and few posts of reference: a batch is of one shard, and workers are to get many.
_SHARD_SIZE: Final = 16


def bench_engines(posts: int = 240, seed: int = 0) -> list[Figure]:
    """Build one store by one worker, by two, and without a cluster.

    Args:
        posts: how many.
        seed: of the world.

    Returns:
        Posts a second of each, once its models are loaded; two workers against one; whether the
        three stores are equal, byte for byte (1 or 0); and the load of the machine before.

    Raises:
        InputError: ray is not installed.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        load = os.getloadavg()[0]
        recipe = full_size_recipe(folder, posts, seed)
        curate = recipe.curate.model_copy(update={"reference_posts": _SHARD_SIZE})
        recipe = recipe.model_copy(update={"shard_size": _SHARD_SIZE, "curate": curate})
        # One for all, for to start it and to end it takes seconds.
        join_cluster(None, 2)
        try:
            rates = {name: _rate(recipe, folder / name, name) for name in ("local", "1", "2")}
        finally:
            leave_cluster()
        stores = [_bytes_of(folder / name) for name in rates]
    return [
        Figure("posts a second, no cluster", rates["local"]),
        Figure("posts a second, one worker with one processor", rates["1"]),
        Figure("posts a second, two workers with one processor each", rates["2"]),
        Figure("two workers against one", rates["2"] / rates["1"], _ASKED),
        Figure("stores are equal, byte for byte", float(stores[0] == stores[1] == stores[2]), 1),
        Figure("  processes that wanted to run before (load of the machine)", load),
    ]


def _rate(recipe: Recipe, store: Path, workers: str) -> float:
    """Return posts a second from the first look at one to the finished store."""
    note(f"  building with {workers} worker(s) ...")
    settings = recipe.build_settings()
    dataset = read_dataset(settings.dataset)
    observer = Observer(settings.observe)
    engine: Engine = LocalEngine()
    if workers == "local":
        # Models are loaded before the clock starts, as they are on a cluster.
        observer.observe([dataset.examples[0].post], [None], ["none"])
    else:
        options = RayOptions(workers=int(workers))
        engine = RayEngine(options, partial(make_observer, settings.observe, None))
    began = time.time()
    build_store(
        settings,
        store,
        dataset=dataset,
        observer=observer,
        providers=make_providers(settings.ask, observer),
        engine=engine,
        progress=True,
    )
    ended = time.time()
    if isinstance(engine, RayEngine):
        began = engine.began_at or began
    return len(dataset.examples) / (ended - began)


def _bytes_of(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }
