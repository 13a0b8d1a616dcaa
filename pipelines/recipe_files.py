"""Which recipes ship with the package; known without reading one, for help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cache.errors import InputError

PACKAGE: Final = Path(__file__).resolve().parent
RECIPES: Final = PACKAGE / "recipes"


class RecipeError(InputError):
    """The call names a recipe or a setting that there is not."""


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))
