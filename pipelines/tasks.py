"""The two tasks: by the names of the field in recipes, by what is to be found in models."""

from __future__ import annotations

from typing import Final

from model.data import Task
from pipelines.config import Recipe

_MODEL_TASK: Final[dict[str, Task]] = {"mner": "entities", "mre": "relations"}


def model_task(recipe: Recipe) -> Task:
    """Return what a model has to find under ``recipe``."""
    return _MODEL_TASK[recipe.dataset.task]
