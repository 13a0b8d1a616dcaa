"""From raw files to the table: the same steps that a person would type, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cache import verify_store
from cache.errors import InputError, StoreDamaged
from cache.manifest import read_manifest
from model.fusion import SYSTEMS, needs_of
from pipelines.audit.store import audit_store
from pipelines.building import build_recipe, refuse_unfinished
from pipelines.comparing.compare import Compared, Grid, compare
from pipelines.comparing.places import one_place
from pipelines.comparing.plots import check_plots, write_plots
from pipelines.comparing.systems import BASELINE, blocks_of
from pipelines.comparing.workers import check_workers
from pipelines.config import Recipe
from retrieval.datasets.protocol import CONTAMINATED, LEGACY

Say = Callable[[str], None]
_LAST = "synthesis"
# It is trained on two stores, of entities and of relations.
_OF_TWO_TASKS = "joint"


def reproduce(
    recipe: Recipe,
    store: Path,
    out: Path,
    *,
    seeds: int,
    fusions: list[str] | None = None,
    workers: int = 1,
    device: str = "auto",
    say: Say,
) -> Compared:
    """Build, verify and audit the store of ``recipe``, and compare systems on it.

    What is finished is taken as it is, so that the same command goes on after an interruption.

    Args:
        recipe: of the store, the model and the training.
        store: its folder.
        out: folder of runs and table.
        seeds: runs of each system.
        fusions: systems, the baseline first; None means all that can read the store.
        workers: runs side by side.
        device: ``auto``, ``cpu`` or ``cuda``.
        say: told what happens.

    Raises:
        InputError: seeds, workers or systems make no comparison, the raw files are not there,
            posts are left unfinished, or the evidence gives labels away.
        StoreDamaged: the store is not what its manifest promises.
    """
    check_plots()
    check_workers(workers)
    if seeds < 1:
        raise InputError(f"--seeds {seeds} would train nothing; give 1 or more.")
    # Before hours of building: what cannot be compared is refused now.
    blocks_of(fusions or [BASELINE], recipe=recipe)
    say(f"1/4  build -> {store}")
    report = build_recipe(recipe, store, say=say)
    refuse_unfinished(report, store, "Run the same command again to ask what is missing.")
    say("2/4  verify")
    if problems := verify_store(store).problems:
        told = "; ".join(map(str, problems[:3]))
        raise StoreDamaged(f"{store}: {told}. Mend it with `ramie verify {store} --repair`.")
    say("3/4  audit")
    _audit(recipe, store, say)
    chosen = fusions or systems_for(store)
    say(f"4/4  compare {', '.join(chosen)} -> {out}")
    blocks = blocks_of(chosen, recipe=recipe)
    place = one_place(recipe, store, out, say=say)
    grid = Grid(recipe, tuple(blocks), (place,), tuple(range(1, seeds + 1)), out, device=device)
    done = compare(grid, workers=workers, say=say)
    write_plots(done, grid)
    return done


def systems_for(store: Path) -> list[str]:
    """Return every system that can read ``store``: the baseline first, `synthesis` last."""
    there = set(read_manifest(store).feature_sets)
    able = [name for name in SYSTEMS if there.issuperset(needs_of(name)) and name != _OF_TWO_TASKS]
    middle = [name for name in able if name not in (BASELINE, _LAST)]
    return [BASELINE, *middle, _LAST]


def _audit(recipe: Recipe, store: Path, say: Say) -> None:
    leaks = audit_store(store, progress=True).leaks
    if recipe.dataset.protocol == LEGACY:
        say(f"     CONTAMINATED, as the protocol is: {CONTAMINATED}")
    elif leaks:
        raise InputError(
            f"{leaks[0].field!r} gives labels away, so that figures on {store} would say nothing. "
            f"See `ramie audit {store}`."
        )
