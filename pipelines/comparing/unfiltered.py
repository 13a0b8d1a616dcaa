"""A copy of a store that was curated without filters, for the ablation that takes them away."""

from __future__ import annotations

import shutil
from pathlib import Path

from cache.errors import InputError
from cache.manifest import read_manifest
from pipelines.building import build_recipe, curation_of, refuse_unfinished
from pipelines.comparing.places import Say, alone
from pipelines.config import Recipe
from retrieval.asking.manner import AskingOptions
from retrieval.settings import CurateSettings, NoiseSettings


def without_filters(recipe: Recipe, store: Path, say: Say) -> Path:
    """Return a copy of ``store`` that was curated without filters, beside it; nobody is asked.

    A copy that is unfinished, or of what the store was before, is made anew: it may lack answers.

    Raises:
        InputError: the recordings of the store lack answers, or what is in the copy's place is
            none.
    """
    copy = store.with_name(f"{store.name}-unfiltered")
    # Says of which store a finished copy is; empty until then.
    origin = store.with_name(f".{copy.name}.origin")
    with alone(store.with_name(f".{copy.name}.lock")):
        of = read_manifest(store).fingerprint
        if copy.exists() and not origin.is_file():
            raise InputError(
                f"{copy} stands where a copy of {store} without filters belongs, and was not made "
                "as one. Move it away, or remove it."
            )
        if not copy.exists() or origin.read_text() != of:
            say(f"{copy}: curated without filters, from the recordings of {store.name}")
            origin.write_text("")
            _copied(store, copy)
        bare = recipe.model_copy(update={"curate": unfiltered(curation_of(store))})
        report = build_recipe(bare, copy, asking=AskingOptions(offline=True), say=say)
        refuse_unfinished(
            report, copy, f"The recordings of {store} lack answers: pull them, or build it anew."
        )
        origin.write_text(of)
    return copy


def _copied(store: Path, copy: Path) -> None:
    unfinished = copy.with_name(f".{copy.name}.unfinished")
    for old in (unfinished, copy):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(store, unfinished, ignore=shutil.ignore_patterns("local"))
    unfinished.rename(copy)


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
