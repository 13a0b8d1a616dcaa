"""From a recipe to a store: the data set, the observer and the providers that it names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from cache.errors import InputError
from cache.manifest import read_manifest
from pipelines.config import Recipe
from pipelines.options import note
from pipelines.sources import fetch_client, make_providers
from retrieval.asking.manner import AskingOptions
from retrieval.building.builder import build_store
from retrieval.building.job import Engine, LocalEngine
from retrieval.building.report import BuildReport
from retrieval.datasets import read_dataset
from retrieval.datasets.legacy_objects import LegacyObjects, read_legacy_objects
from retrieval.datasets.protocol import CONTAMINATED, LEGACY
from retrieval.engines.ray_engine import RayEngine, RayOptions
from retrieval.features.maker import FeatureMaker
from retrieval.settings import CurateSettings, ObserveSettings
from retrieval.sight.legacy import LegacyObserver
from retrieval.sight.look import PostObserver
from retrieval.sight.observe import Observer


def build_recipe(
    recipe: Recipe,
    store: Path,
    *,
    asking: AskingOptions | None = None,
    ray: RayOptions | None = None,
    say: Callable[[str], None] = note,
) -> BuildReport:
    """Build the store of ``recipe``, with a bar where the output is a terminal.

    Args:
        recipe: what decides the store.
        store: its folder.
        asking: who is asked; None asks everybody that the recipe names.
        ray: which cluster looks at the posts; None looks here.
        say: told what is odd about the data set, and how much will be asked.

    Raises:
        RamieError: as `retrieval.building.builder.build_store` and the readers raise them.
    """
    settings = recipe.build_settings()
    dataset = read_dataset(settings.dataset)
    for problem in dataset.problems:
        say(f"  data set: {problem}")
    objects = None
    if settings.dataset.protocol == LEGACY:
        place, limit = settings.dataset.legacy_objects, settings.dataset.limit
        objects = read_legacy_objects(place, dataset.examples, limit)
        say(f"  CONTAMINATED: {CONTAMINATED}")
    observer = Observer(settings.observe)
    return build_store(
        settings,
        store,
        dataset=dataset,
        observer=_shown(observer, objects),
        providers=make_providers(settings.ask, observer),
        features=FeatureMaker(settings.observe, observer),
        fetch_client=fetch_client(settings.ask),
        asking=asking or AskingOptions(),
        rights=recipe.rights.stated(),
        engine=_engine(ray, partial(make_observer, settings.observe, objects)),
        progress=True,
        say=say,
    )


def make_observer(settings: ObserveSettings, objects: LegacyObjects | None) -> PostObserver:
    """Return what sees posts; ``objects`` are shown in place of regions, where there are any."""
    return _shown(Observer(settings), objects)


def _shown(observer: Observer, objects: LegacyObjects | None) -> PostObserver:
    return observer if objects is None else LegacyObserver(observer, objects)


def _engine(ray: RayOptions | None, make: Callable[[], PostObserver]) -> Engine:
    return LocalEngine() if ray is None else RayEngine(ray, make)


def curation_of(store: Path) -> CurateSettings:
    """Return how ``store`` was curated: a recipe may have been changed since.

    Raises:
        InputError: it does not say.
    """
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
    """Refuse a store that lacks posts: its rows would learn from less than the others.

    Raises:
        InputError: it does.
    """
    if report.unfinished:
        raise InputError(
            f"{len(report.unfinished)} posts of {store} are unfinished, the first: "
            f"{report.unfinished[0].reason.rstrip('.')}. {way_out}"
        )
