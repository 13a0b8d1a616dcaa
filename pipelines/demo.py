"""The whole way on the sample world, by the same functions that the verbs call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cache import open_store, verify_store
from cache.errors import InputError, StoreDamaged
from pipelines.building import build_recipe
from pipelines.comparing.compare import Grid, compare
from pipelines.comparing.places import one_place
from pipelines.comparing.systems import blocks_of
from pipelines.config import Recipe, load_recipe
from pipelines.page.page import write_page
from pipelines.sample.world import generate_world
from pipelines.tasks import model_task
from retrieval.building.report import BuildReport
from retrieval.kb.knowledge_base import build_kb

Say = Callable[[str], None]
_SEEDS = (1,)


def run_demo(out: Path, seed: int, say: Say) -> str:
    """Make world, knowledge base, stores, models and pages under ``out``; return the result.

    Args:
        out: folder; what is finished there already is taken as it is.
        seed: of the world.
        say: told what happens.
    """
    world = out / "sample"
    say(f"1/4  sample world -> {world}")
    generate_world(seed, world)
    recipes = [_placed(name, out) for name in ("sample", "sample-relations")]
    knowledge = out / "kb" / "sample"
    say(f"2/4  knowledge base -> {knowledge}")
    report = build_kb(world / "kb", knowledge, recipes[0].observe, progress=True)
    say(f"     {report.documents} documents, {report.with_image} with an image")
    lines: list[str] = []
    for recipe in recipes:
        lines += _one_task(recipe, out, say)
    return "\n".join(lines)


def _placed(name: str, out: Path) -> Recipe:
    """Return a sample recipe with its folders under ``out``."""
    folder = {"sample": "posts", "sample-relations": "relations"}[name]
    return load_recipe(
        name,
        [f"dataset.root={out / 'sample' / folder}", f"ask.kb={out / 'kb' / 'sample'}"],
    )


def _one_task(recipe: Recipe, out: Path, say: Say) -> list[str]:
    store = out / "stores" / recipe.name
    say(f"3/4  {recipe.name}: observe, ask, curate, write -> {store}")
    first = build_recipe(recipe, store)
    say(f"     {_counted(first)}")
    again = build_recipe(recipe, store)
    say(f"     built again: {again.action}, asked {again.asked}, {again.wall_seconds:.1f} s")
    _verify(store)
    say("     verified: every file is what the manifest promises")
    page = out / "reports" / f"{recipe.name}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    with open_store(store, reader="parquet") as reader:
        write_page(reader, page, example_ids=None, limit=30, seed=0)
    say(f"4/4  {recipe.name}: train and test")
    runs = out / "runs" / recipe.name
    blocks = blocks_of(("text_only", "synthesis"), recipe=recipe)
    place = one_place(recipe, store, runs, say=say)
    grid = Grid(recipe, tuple(blocks), (place,), _SEEDS, runs)
    done = compare(grid, say=lambda said: say(f"     {said}"))
    if done.failures:
        raise InputError(f"{done.failures[0].name} failed: {done.failures[0]}")
    return [*_result(recipe, done.table(), (page, runs / "compare.json")), ""]


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


def _result(recipe: Recipe, rows: str, paths: Sequence[Path]) -> list[str]:
    task = model_task(recipe)
    return ["", f"## {task}", "", rows, "", *(f"  {path}" for path in paths)]
