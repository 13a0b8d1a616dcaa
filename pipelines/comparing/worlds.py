"""Made-up worlds with their knowledge bases and stores, made where they are missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from cache.errors import InputError
from cache.files import make_folder
from pipelines.building import build_recipe, refuse_unfinished
from pipelines.comparing.places import Place, Say, alone, place_of
from pipelines.comparing.unfiltered import without_filters
from pipelines.config import Recipe, load_recipe
from pipelines.sample.world import WorldSize, generate_world
from retrieval.kb.format import MANIFEST as KB_MANIFEST
from retrieval.kb.knowledge_base import build_kb

WORLDS: Final = Path("data/worlds")
_POSTS: Final = {"sample": "posts", "sample-relations": "relations"}
_LOCK: Final = "world.lock"


def world_places(
    recipe: Recipe,
    seeds: Sequence[int],
    runs: Path,
    *,
    folder: Path = WORLDS,
    size: WorldSize | None = None,
    unfiltered: bool = False,
    partner: bool = False,
    say: Say,
) -> list[Place]:
    """Return a place in each of several worlds; what is missing of them is made.

    Args:
        recipe: one of the sample recipes.
        seeds: of the worlds.
        runs: a folder in it holds the runs in each.
        folder: holds worlds, knowledge bases and stores, in a folder for each seed.
        size: of the worlds.
        unfiltered: also curate stores without filters.
        partner: also build the stores of the other task, for a system that does both.
        say: told what happens.

    Raises:
        InputError: another recipe, a seed twice, or a world of that seed and another size.
    """
    if recipe.name not in _POSTS:
        raise InputError(
            f"recipe {recipe.name!r} is not of the made-up world; --worlds goes with "
            f"{' and '.join(_POSTS)}."
        )
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError("name each world once, and at least one.")
    places: list[Place] = []
    for seed in seeds:
        home = folder / str(seed)
        make_folder(home)
        with alone(home / _LOCK):
            _make_world(seed, home / "sample", size or WorldSize(), say)
            _make_kb(recipe, seed, home, say)
            if partner:
                _build(_placed(load_recipe(_partner(recipe)), home), seed, home, say)
            places.append(_world_place(recipe, seed, home, runs, unfiltered, say))
    return places


def _world_place(
    recipe: Recipe, seed: int, home: Path, runs: Path, filters_off: bool, say: Say
) -> Place:
    """Return the place in the world at ``home``, with its stores made."""
    placed = _placed(recipe, home)
    store = _build(placed, seed, home, say)
    without = without_filters(placed, store, say) if filters_off else None
    return place_of(f"world {seed}", placed, store, runs / f"world-{seed}", without)


def _make_kb(recipe: Recipe, seed: int, home: Path, say: Say) -> None:
    knowledge = home / "kb"
    if not (knowledge / KB_MANIFEST).exists():
        say(f"world {seed}: knowledge base -> {knowledge}")
        build_kb(home / "sample" / "kb", knowledge, recipe.observe, progress=True)


def _build(placed: Recipe, seed: int, home: Path, say: Say) -> Path:
    store = home / "stores" / placed.name
    report = build_recipe(placed, store, say=say)
    refuse_unfinished(report, store, "Run the same command again to ask what is missing.")
    say(f"world {seed}: store {report.action} -> {store}")
    return store


def _make_world(seed: int, out: Path, size: WorldSize, say: Say) -> None:
    marker = out / "truth" / "world.json"
    wanted = {"seed": seed, "size": asdict(size)}
    if not marker.is_file():
        say(f"world {seed} -> {out}")
        generate_world(seed, out, size)
    elif (there := json.loads(marker.read_bytes())) != wanted:
        raise InputError(
            f"{out} holds a world of {there}, not of {wanted}. Remove {out.parent}, or choose "
            "another folder for the worlds."
        )


def _placed(recipe: Recipe, home: Path) -> Recipe:
    """Return the recipe with data and knowledge base of the world at ``home``."""
    root = home / "sample" / _POSTS[recipe.name]
    return recipe.model_copy(
        update={
            "dataset": recipe.dataset.model_copy(update={"root": root}),
            "ask": recipe.ask.model_copy(update={"kb": home / "kb"}),
            "partner_store": home / "stores" / _partner(recipe),
        }
    )


def _partner(recipe: Recipe) -> str:
    """Return the name of the sample recipe of the other task."""
    (partner,) = _POSTS.keys() - {recipe.name}
    return partner
