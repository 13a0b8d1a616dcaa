"""Where a grid is run: one store, or a store in each of several made-up worlds."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from cache import open_store
from cache.errors import InputError
from cache.files import make_folder
from cache.manifest import read_manifest
from pipelines.building import build_recipe
from pipelines.config import Recipe, load_recipe
from pipelines.sample.world import WorldSize, generate_world
from retrieval.asking.manner import AskingOptions
from retrieval.building.report import BuildReport
from retrieval.kb.format import MANIFEST as KB_MANIFEST
from retrieval.kb.knowledge_base import build_kb
from retrieval.settings import CurateSettings, NoiseSettings

WORLDS: Final = Path("data/worlds")
_POSTS: Final = {"sample": "posts", "sample-relations": "relations"}
_LOCK: Final = "world.lock"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """One store with the runs on it.

    Attributes:
        name: of the world; empty where there is but one store.
        recipe: of the store.
        store: what systems read.
        runs: folder of the runs.
        unfiltered: the store curated without filters; None where no row reads it.
    """

    name: str
    recipe: Recipe
    store: Path
    runs: Path
    unfiltered: Path | None = None


def one_place(
    recipe: Recipe, store: Path, runs: Path, *, unfiltered: bool = False, say: Say
) -> Place:
    """Return the place of a store that is there.

    Args:
        recipe: of the store.
        store: its folder.
        runs: folder of the runs.
        unfiltered: also curate a copy of it without filters.
        say: told what happens.

    Raises:
        StoreError: there is no store, or it cannot be used.
    """
    with open_store(store, reader="parquet"):
        pass
    without = without_filters(recipe, store, say) if unfiltered else None
    return Place("", recipe, store, runs, without)


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
        with _alone(home / _LOCK):
            _make_world(seed, home / "sample", size or WorldSize(), say)
            places.append(_world_place(recipe, seed, home, runs, unfiltered, say))
            if partner:
                _build(_placed(load_recipe(_partner(recipe)), home), seed, home, say)
    return places


def without_filters(recipe: Recipe, store: Path, say: Say) -> Path:
    """Return a copy of ``store`` that was curated without filters, beside it; nobody is asked.

    Raises:
        InputError: the recordings of a copy that was made earlier lack answers.
    """
    copy = store.with_name(f"{store.name}-unfiltered")
    if not copy.exists():
        say(f"{copy}: curated without filters, from the recordings of {store.name}")
        unfinished = copy.with_name(f".{copy.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(store, unfinished, ignore=shutil.ignore_patterns("local"))
        unfinished.rename(copy)
    bare = recipe.model_copy(update={"curate": unfiltered(_curated(store))})
    report = build_recipe(bare, copy, asking=AskingOptions(offline=True), say=say)
    _refuse_unfinished(report, copy, f"Remove {copy}: it is made anew from {store}.")
    return copy


def _curated(store: Path) -> CurateSettings:
    """Return how ``store`` was curated: a recipe may have been changed since."""
    settings: object = read_manifest(store).identity.get("settings")
    found = settings.get("curate") if isinstance(settings, dict) else None
    try:
        return CurateSettings.model_validate(found)
    except ValidationError as error:
        raise InputError(
            f"{store} does not say how it was curated ({error.errors()[0]['msg']}). Build it "
            "again with `ramie build`, from its recordings."
        ) from error


def unfiltered(settings: CurateSettings) -> CurateSettings:
    """Return settings that drop nothing for being noise, a near copy, or unrelated.

    Equal texts and images still count once. The guard against leaks stays: what it drops is not
    noise, it is the answer, and evidence with it would be no ablation but a fraud.
    """
    return settings.model_copy(
        update={
            "near_duplicate_text": 1.0,
            "contained_text": 1.0,
            "near_duplicate_image_bits": 0,
            "near_duplicate_image_cosine": 1.0,
            "noise": NoiseSettings(
                too_short=0,
                boilerplate=False,
                languages=(),
                keyword_list=False,
                adult=False,
                spam=False,
                unrendered=False,
            ),
            "max_false_keeps": 1.0,
            "min_relevance": -1.0,
        }
    )


def _world_place(
    recipe: Recipe, seed: int, home: Path, runs: Path, filters_off: bool, say: Say
) -> Place:
    """Return the place in the world at ``home``, with its knowledge base and stores made."""
    placed, knowledge = _placed(recipe, home), home / "kb"
    if not (knowledge / KB_MANIFEST).exists():
        say(f"world {seed}: knowledge base -> {knowledge}")
        build_kb(home / "sample" / "kb", knowledge, recipe.observe, progress=True)
    store = _build(placed, seed, home, say)
    without = without_filters(placed, store, say) if filters_off else None
    return Place(f"world {seed}", placed, store, runs / f"world-{seed}", without)


def _build(placed: Recipe, seed: int, home: Path, say: Say) -> Path:
    store = home / "stores" / placed.name
    report = build_recipe(placed, store, say=say)
    _refuse_unfinished(report, store, "Run the same command again to ask what is missing.")
    say(f"world {seed}: store {report.action} -> {store}")
    return store


def _refuse_unfinished(report: BuildReport, store: Path, way_out: str) -> None:
    """Refuse a store that lacks posts: its rows would learn from less than the others."""
    if report.unfinished:
        raise InputError(
            f"{len(report.unfinished)} posts of {store} are unfinished, the first: "
            f"{report.unfinished[0].reason}. {way_out}"
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until nobody else is at a world: entities and relations may be compared together."""
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
