"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipelines.recipe_files import RecipeError, recipe_names

# A help text needs no settings.
if TYPE_CHECKING:
    from pipelines.config import Recipe

T = TypeVar("T")


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add RECIPE, ``--set``, ``--store`` and ``--json``."""
    parser.add_argument(
        "recipe", metavar="RECIPE", help=f"{', '.join(recipe_names())}, or the path of a .toml"
    )
    add_overrides(parser)
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="the store (default: data/stores/NAME)"
    )


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add ``--set`` and ``--json``."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting of the recipe, e.g. --set curate.keep_per_stream=3; repeatable",
    )
    add_json(parser)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add RUN, ``--device`` and ``--json``."""
    # Not called "run": that attribute is the verb's function.
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder of the run")
    add_device(parser)
    add_json(parser)


def add_task(parser: argparse.ArgumentParser) -> None:
    """Add ``--task``."""
    parser.add_argument(
        "--task",
        choices=("entities", "relations"),
        help="of a run that does both (default: the task that it was named by)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda"),
        help="auto: a CUDA device where there is one (default)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def words(text: str | None) -> list[str]:
    """Return the words of a list with commas."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def numbers(name: str, text: str, kind: Callable[[str], T]) -> list[T]:
    """Return the numbers of a list with commas.

    Args:
        name: of the option.
        text: what was given.
        kind: ``int`` or ``float``.

    Raises:
        RecipeError: one is none.
    """
    try:
        return [kind(word) for word in words(text)]
    except ValueError as error:
        raise RecipeError(f"{name} {text!r} is no list of numbers; write e.g. 5,10,30.") from error


def read_recipe(options: argparse.Namespace) -> tuple[Recipe, Path]:
    """Return the recipe with its overrides, and the store's folder."""
    from pipelines.config import load_recipe

    recipe = load_recipe(options.recipe, options.set)
    return recipe, options.store or recipe.store_path()


def printable(text: str) -> str:
    """Return ``text`` without control characters but line ends: data must not steer a terminal."""
    lines = text.split("\n")
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)


def print_result(result: Mapping[str, object], text: str, as_json: bool) -> None:
    """Print one result, for a machine or for a person."""
    print(
        json.dumps(result, indent=2, sort_keys=True, allow_nan=False)
        if as_json
        else printable(text)
    )


def note(text: str) -> None:
    """Say something to the person who waits, apart from the result on standard output."""
    print(printable(text), file=sys.stderr, flush=True)
