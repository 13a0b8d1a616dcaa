"""How much F1 is lost as the knowledge base fills with noise, with curation and without."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Final

from pipelines.bench.figures import Figure
from pipelines.building import build_recipe
from pipelines.comparing.compare import Grid, compare
from pipelines.comparing.places import one_place
from pipelines.comparing.systems import Block, System
from pipelines.comparing.unfiltered import unfiltered
from pipelines.config import Recipe, load_recipe
from pipelines.options import note
from pipelines.sample.world import WorldSize, generate_world
from retrieval.kb.knowledge_base import build_kb
from retrieval.settings import CurateSettings, LeakSettings

SHARES: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
_MOST_LOST: Final = 5.0
# Half of the usual world, for there are five of them.
_SIZE: Final = WorldSize(train=400, dev=80, test=200)
# Noise takes places in an answer; what is left must still hold what helps.
_HITS_PER_QUERY: Final = 30


def bench_robustness(
    seed: int, work: Path, shares: Sequence[float] = SHARES, runs: Sequence[int] = (1,)
) -> list[Figure]:
    """Train and test on worlds whose knowledge bases are to ``shares`` noise.

    Args:
        seed: of the worlds; equal posts in all of them.
        work: keeps worlds, stores and runs; what is finished there is not made again.
        shares: of noise pages among all pages; the first is what the loss is counted from.
        runs: seeds of training.
    """
    curves: dict[str, dict[float, float]] = {"with curation": {}, "without": {}}
    for share in shares:
        world = work / f"world-{share:g}"
        if not world.is_dir():
            generate_world(seed, world, replace(_SIZE, noise_share=share))
        for name, curve in curves.items():
            recipe = _recipe(name, world)
            folder = work / f"{name.split()[0]}-{share:g}"
            if name != "with curation":
                _take_over(work / f"with-{share:g}" / "store", folder / "store")
            curve[share] = _f1(recipe, folder, runs)
            note(f"  noise {share:.0%}, {name}: F1 {curve[share]:.2f}")
            (work / "curves.json").write_text(json.dumps(curves, indent=1) + "\n")
    return _figures(curves)


def _take_over(store: Path, copy: Path) -> None:
    """Copy a finished store, to be curated anew: nobody has to look at its posts again."""
    if not copy.exists():
        shutil.copytree(store, copy, ignore=shutil.ignore_patterns("local"))


def _figures(curves: Mapping[str, Mapping[float, float]]) -> list[Figure]:
    figures: list[Figure] = []
    for name, curve in curves.items():
        start = next(iter(curve.values()))
        figures += [
            Figure(f"F1 at {share:.0%} noise in the knowledge base, {name}", f1)
            for share, f1 in curve.items()
        ]
        lost = max(start - f1 for f1 in curve.values())
        bound = _MOST_LOST if name == "with curation" else None
        figures.append(Figure(f"most F1 lost to noise, {name}", lost, bound, "below"))
    return figures


def _recipe(name: str, world: Path) -> Recipe:
    recipe = load_recipe(
        "sample",
        [
            f"dataset.root={world / 'posts'}",
            f"ask.kb={world}-kb",
            f"ask.hits_per_query={_HITS_PER_QUERY}",
        ],
    )
    if name == "with curation":
        return recipe
    return recipe.model_copy(update={"curate": _uncurated(recipe.curate)})


def _uncurated(settings: CurateSettings) -> CurateSettings:
    """Return settings with all switches off; equal texts and images still count once."""
    leaks = LeakSettings(
        post_overlap=1.0, post_containment=1.0, annotations=False, denied_hosts=()
    )
    return unfiltered(settings).model_copy(update={"leaks": leaks})


def _f1(recipe: Recipe, folder: Path, runs: Sequence[int]) -> float:
    assert recipe.ask.kb is not None
    if not recipe.ask.kb.is_dir():
        build_kb(recipe.dataset.root.parent / "kb", recipe.ask.kb, recipe.observe, progress=True)
    build_recipe(recipe, folder / "store")
    place = one_place(recipe, folder / "store", folder / "runs", say=note)
    block = Block("", (System("synthesis"),))
    grid = Grid(recipe, (block,), (place,), tuple(runs), folder / "runs")
    score = mean(compare(grid, say=note).rows[0].f1)
    return score if math.isfinite(score) else 0.0
