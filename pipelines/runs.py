"""What a run folder keeps beside the model's own files: the recipe and the store it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from cache.errors import InputError
from model.run import write_atomically
from pipelines.config import Recipe

RECIPE_FILE: Final = "recipe.json"


def write_recipe(run: Path, recipe: Recipe, store: Path) -> None:
    """Write the recipe and the store's place, so that evaluate and predict need neither named."""
    content = {"recipe": recipe.model_dump(mode="json"), "store": str(store)}
    write_atomically(run / RECIPE_FILE, json.dumps(content, indent=2).encode())


def recipe_of_run(run: Path) -> tuple[Recipe, Path]:
    """Return the recipe that ``run`` was trained under, and the store it was trained on.

    Raises:
        InputError: the folder is no run, or its recipe cannot be read.
    """
    path = run / RECIPE_FILE
    if not path.is_file():
        raise InputError(
            f"{run} is not a finished run: it has no {RECIPE_FILE}. Train one with "
            f"`ramie train RECIPE --out {run}`."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Recipe.model_validate(content["recipe"]), Path(content["store"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise InputError(f"{path} is damaged ({error}). Train the run again.") from error
