"""From a recipe to a store: the data set, the observer and the providers that it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipelines.config import Recipe
from pipelines.options import note
from pipelines.sources import fetch_client, make_providers
from retrieval.asking.manner import AskingOptions
from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import read_dataset
from retrieval.datasets.legacy_objects import read_legacy_objects
from retrieval.datasets.protocol import CONTAMINATED, LEGACY
from retrieval.features.maker import FeatureMaker
from retrieval.sight.legacy import LegacyObserver
from retrieval.sight.observe import Observer
from retrieval.sight.sight import PostObserver


def build_recipe(
    recipe: Recipe,
    store: Path,
    *,
    asking: AskingOptions | None = None,
    say: Callable[[str], None] = note,
) -> BuildReport:
    """Build the store of ``recipe``, with a bar where the output is a terminal.

    Args:
        recipe: what decides the store.
        store: its folder.
        asking: who is asked; None asks everybody that the recipe names.
        say: told what is odd about the data set, and how much will be asked.

    Raises:
        RamieError: as `retrieval.building.builder.build_store` and the readers raise them.
    """
    settings = recipe.build_settings()
    dataset = read_dataset(settings.dataset)
    for problem in dataset.problems:
        say(f"  data set: {problem}")
    observer = Observer(settings.observe)
    seen: PostObserver = observer
    if settings.dataset.protocol == LEGACY:
        place, limit = settings.dataset.legacy_objects, settings.dataset.limit
        objects = read_legacy_objects(place, dataset.examples, limit)
        seen = LegacyObserver(observer, objects)
        say(f"  CONTAMINATED: {CONTAMINATED}")
    return build_store(
        settings,
        store,
        dataset=dataset,
        observer=seen,
        providers=make_providers(settings.ask, observer),
        features=FeatureMaker(settings.observe, observer),
        fetch_client=fetch_client(settings.ask),
        asking=asking or AskingOptions(),
        rights=recipe.rights.stated(),
        progress=True,
        say=say,
    )
