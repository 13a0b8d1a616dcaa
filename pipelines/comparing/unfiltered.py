"""A copy of a store that was curated without filters, for the ablation that takes them away."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import ValidationError

from cache.errors import InputError
from cache.manifest import read_manifest
from pipelines.building import build_recipe
from pipelines.comparing.places import Say
from pipelines.config import Recipe
from retrieval.asking.manner import AskingOptions
from retrieval.building.report import BuildReport
from retrieval.settings import CurateSettings, NoiseSettings


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
    refuse_unfinished(report, copy, f"Remove {copy}: it is made anew from {store}.")
    return copy


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


def refuse_unfinished(report: BuildReport, store: Path, way_out: str) -> None:
    """Refuse a store that lacks posts: its rows would learn from less than the others."""
    if report.unfinished:
        raise InputError(
            f"{len(report.unfinished)} posts of {store} are unfinished, the first: "
            f"{report.unfinished[0].reason}. {way_out}"
        )
