"""What a run folder keeps beside the model's own files: the recipe and the store it came from."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from cache.errors import InputError, StoreMismatch
from cache.manifest import read_manifest
from model.data import Task
from model.run import Run, read_run, write_atomically
from pipelines.config import Recipe

RECIPE_FILE: Final = "recipe.json"
_MOST_BYTES: Final = 16 << 20
_GIT_SECONDS: Final = 10
_SHOWN: Final = 12
_COMMITS: Final = re.compile(r"[0-9a-f]{7,40}\+?(, [0-9a-f]{7,40}\+?){0,20}")


def write_recipe(run: Path, recipe: Recipe, store: Path, commits: Sequence[str]) -> None:
    """Write the recipe and the store's place, so that evaluate and predict need neither named.

    Args:
        run: its folder.
        recipe: it was trained by.
        store: it was trained on.
        commits: `code_commit` of each sitting; none keeps what the folder says already.
    """
    commit = ", ".join(commits) or commit_of_run(run)
    content = {"recipe": recipe.model_dump(mode="json"), "store": str(store), "commit": commit}
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
        with path.open("rb") as file:
            content = json.loads(file.read(_MOST_BYTES))
        if list(content) == ["commit"]:
            raise InputError(
                f"{run} was kept by `ramie compare --keep`, without weights, recipe and store. "
                "Train the run again to use it."
            )
        recipe, store = Recipe.model_validate(content["recipe"]), Path(content["store"])
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise InputError(f"{path} is damaged ({error}). Train the run again.") from error
    _refuse_own_weights(run, recipe)
    return recipe, store


def store_of_run(run: Path, task: Task | None = None) -> Path:
    """Return the store that ``run`` was trained on for ``task``; None is the task it is named by.

    Raises:
        InputError: the folder is no run, or its recipe cannot be read.
        StoreError: there is no store where it was.
        StoreMismatch: another one is there now.
    """
    recipe, store = recipe_of_run(run)
    there = read_run(run)
    store, trained_on = place_of_task(recipe, store, there, task or there.task)
    found = read_manifest(store).fingerprint
    if trained_on and found != trained_on:
        raise StoreMismatch(
            f"{run} was trained on a store with the fingerprint {trained_on[:_SHOWN]}, but "
            f"{store} has {found[:_SHOWN]} now. Name that store as it was with --store, or this "
            "one, to use it all the same."
        )
    return store


def place_of_task(recipe: Recipe, store: Path, there: Run, task: Task) -> tuple[Path, str]:
    """Return where the store of ``task`` lies, and the fingerprint that a run was trained on."""
    if task == there.task or there.second is None:
        # A run of one task has no second store; whoever reads the run then says so.
        return store, there.store
    return recipe.second_store() or store, there.second.store


def commit_of_run(run: Path) -> str:
    """Return the commit that a finished run was trained by, ", " between those of its sittings.

    It is empty where it is not known.
    """
    try:
        with (run / RECIPE_FILE).open("rb") as file:
            commit = json.loads(file.read(_MOST_BYTES))["commit"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    # A run may come from a stranger, and this is printed in tables.
    return commit if isinstance(commit, str) and _COMMITS.fullmatch(commit) else ""


def code_commit() -> str:
    """Return the commit of this checkout, with ``+`` if files differ; empty outside of one."""
    here = Path(__file__)
    try:
        found = [
            subprocess.run(
                ["git", "-C", str(here.parent), *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=_GIT_SECONDS,
            ).stdout.strip()
            for command in (
                # An installed copy may lie in the folder of somebody's other project.
                ["ls-files", "--error-unmatch", here.name],
                ["rev-parse", "--short=10", "HEAD"],
                ["status", "--porcelain", "--untracked-files=no"],
            )
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return found[1] + ("+" if found[2] else "")


def _refuse_own_weights(run: Path, recipe: Recipe) -> None:
    """Refuse a run that brings a detector or an image encoder: a stranger's could be hostile."""
    observe = recipe.observe
    named = (
        observe.detector_weights,
        observe.encoder_weights,
        observe.encoder.removeprefix("local-dir:"),
    )
    for name in named:
        if name and Path(name).resolve().is_relative_to(run.resolve()):
            raise InputError(
                f"{run / RECIPE_FILE} names weights inside the run folder ({name}), which no run "
                "of ours does. Use weights of your own and correct the file."
            )
