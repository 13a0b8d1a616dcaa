"""The whole way on the sample world, by the same functions that the verbs call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cache import open_store, verify_store
from cache.errors import InputError, RamieError, StoreDamaged
from pipelines.building import build_recipe
from pipelines.comparing.compare import Compared, Grid, compare
from pipelines.comparing.jobs import Job, result_of
from pipelines.comparing.places import one_place
from pipelines.comparing.rows import Row
from pipelines.comparing.systems import BASELINE, blocks_of
from pipelines.comparing.workers import Failure, do_jobs
from pipelines.config import Recipe, load_recipe
from pipelines.page.page import write_page
from pipelines.sample.world import generate_world
from pipelines.tasks import model_task
from retrieval.building.report import BuildReport
from retrieval.kb.knowledge_base import build_kb

Say = Callable[[str], None]
_SEEDS = (1,)
_WORKERS = min(2, os.cpu_count() or 1)
# Points of F1 that evidence must bring, in any world: it brought 32 to 51 in every one measured.
_LEAST_GAIN = 10.0


def run_demo(out: Path, seed: int, say: Say) -> Iterator[str]:
    """Make world, knowledge base, stores, models and pages under ``out``; yield both tables.

    Args:
        out: folder; what is finished there already is taken as it is.
        seed: of the world.
        say: told what happens.

    Raises:
        RamieError: a step failed; or, after the tables, evidence did not bring what it must.
    """
    world = out / "sample"
    say(f"1/4  sample world -> {world}")
    generate_world(seed, world)
    recipes = [_placed(name, out) for name in ("sample", "sample-relations")]
    knowledge = out / "kb" / "sample"
    say(f"2/4  knowledge base -> {knowledge}")
    report = build_kb(world / "kb", knowledge, recipes[0].observe, progress=True)
    say(f"     {report.documents} documents, {report.with_image} with an image")
    for recipe in recipes:
        _build(recipe, out, say)
    grids = [_grid(recipe, out, say) for recipe in recipes]
    _train(grids, say)
    found = [compare(grid, only_finished=True, say=lambda said: None) for grid in grids]
    for grid, done in zip(grids, found, strict=True):
        yield _told(grid, done, out)
    for done in found:
        check_gain(done.rows)


def check_gain(rows: Sequence[Row]) -> None:
    """Refuse a result in which reading evidence does not pay.

    Raises:
        RamieError: it does not; something is broken here that no other step has noticed.
    """
    f1 = {row.system.fusion: row.mean_f1 for row in rows}
    if not f1["synthesis"] >= f1[BASELINE] + _LEAST_GAIN:
        raise RamieError(
            f"synthesis reaches an F1 of {f1['synthesis']:.1f} and {BASELINE} {f1[BASELINE]:.1f}, "
            f"but in this world evidence is worth {_LEAST_GAIN:.0f} points and more. Delete the "
            "folder and run it again; if that does not help, report it with these figures and "
            "the output of `pip freeze`."
        )


def _placed(name: str, out: Path) -> Recipe:
    """Return a sample recipe with its folders under ``out``; no system here reads feature sets."""
    folder = {"sample": "posts", "sample-relations": "relations"}[name]
    return load_recipe(
        name,
        [
            f"dataset.root={out / 'sample' / folder}",
            f"ask.kb={out / 'kb' / 'sample'}",
            "observe.features=[]",
        ],
    )


def _store(recipe: Recipe, out: Path) -> Path:
    return out / "stores" / recipe.name


def _page(recipe: Recipe, out: Path) -> Path:
    return out / "reports" / f"{recipe.name}.html"


def _build(recipe: Recipe, out: Path, say: Say) -> None:
    store = _store(recipe, out)
    say(f"3/4  {recipe.name}: observe, ask, curate, write -> {store}")
    first = build_recipe(recipe, store)
    say(f"     {_counted(first)}")
    again = build_recipe(recipe, store)
    say(f"     built again: {again.action}, asked {again.asked}, {again.wall_seconds:.1f} s")
    _verify(store)
    say("     verified: every file is what the manifest promises")
    page = _page(recipe, out)
    page.parent.mkdir(parents=True, exist_ok=True)
    with open_store(store, reader="parquet") as reader:
        write_page(reader, page, example_ids=None, limit=30, seed=0)


def _grid(recipe: Recipe, out: Path, say: Say) -> Grid:
    runs = out / "runs" / recipe.name
    blocks = blocks_of(("text_only", "synthesis"), recipe=recipe)
    place = one_place(recipe, _store(recipe, out), runs, say=say)
    return Grid(recipe, tuple(blocks), (place,), _SEEDS, runs)


def _train(grids: Sequence[Grid], say: Say) -> None:
    """Train and test both tasks side by side, as far as there are cores."""
    jobs = [job for grid in grids for job in grid.jobs() if result_of(job, "own") is None]
    # What takes longest begins first.
    jobs.sort(key=lambda job: job.recipe.model.fusion == BASELINE)
    say(f"4/4  train and test: {len(jobs)} runs, {_WORKERS} side by side")
    failures: list[Failure] = []

    def done(job: Job, failure: Failure | None) -> None:
        say(f"     {job.recipe.name} {job.name}: {failure or 'done'}")
        failures.extend([failure] if failure is not None else [])

    do_jobs(jobs, _WORKERS, done)
    if failures:
        raise InputError(f"{failures[0].name} failed: {failures[0]}")


def _counted(report: BuildReport) -> str:
    counters = report.counters
    return (
        f"{report.action}: {counters['posts']} posts, kept {counters.get('evidence', 0)}, "
        f"dropped {counters.get('dropped', 0)}, asked {report.asked}; {report.wall_seconds:.1f} s "
        f"of which {report.forward_seconds:.1f} s in detector and encoder"
    )


def _verify(store: Path) -> None:
    problems = verify_store(store).problems
    if problems:
        raise StoreDamaged(f"{store}: {'; '.join(map(str, problems))}. Delete it and build again.")


def _told(grid: Grid, done: Compared, out: Path) -> str:
    paths = (_page(grid.recipe, out), grid.out / "compare.json")
    lines = ["", f"## {model_task(grid.recipe)}", "", done.table(), ""]
    return "\n".join([*lines, *(f"  {path}" for path in paths), ""])
