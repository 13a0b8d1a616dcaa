"""``ramie plan``: what a build will cost, before it is begun."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from pipelines.options import add_recipe, note, print_result, read_recipe
from pipelines.recipe_files import RecipeError

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from pipelines.planning.forecast import Forecast
    from pipelines.planning.rates import Rates
    from retrieval.asking.estimate import Questions

HELP = "what a build will cost: hours, questions, bytes, money; asks no live provider"
EXAMPLE = "ramie plan twitter2015 --posts 100000 --workers 4"
_SAMPLE: Final = 192
_MEGABYTE: Final = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_recipe(parser)
    parser.add_argument(
        "--posts",
        type=int,
        metavar="N",
        help="posts to build (default: those of the data set); more than it has are taken to be "
        "like them",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="W",
        help="machines that look at posts, each like this one (default: 1)",
    )
    parser.add_argument(
        "--sample",
        type=int,
        default=_SAMPLE,
        metavar="N",
        help=f"posts that are built to measure the rates (default: {_SAMPLE})",
    )


def run(options: argparse.Namespace) -> int:
    """Measure, foresee, and print."""
    for name in ("posts", "workers", "sample"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise RecipeError(f"--{name} {value} is too few; give 1 or more.")
    recipe, store = read_recipe(options)
    # After the recipe was found right: what follows loads models.
    from pipelines.planning.forecast import forecast
    from pipelines.planning.rates import measure

    measured = measure(recipe, options.sample, note)
    posts = options.posts or len(measured.dataset.examples)
    plan = forecast(recipe, measured, posts, options.workers, _recorded(store))
    result = {"plan": plan.as_json(), "rates": measured.rates.as_json()}
    print_result(result, _text(plan, measured.rates), options.json)
    return 0


def _recorded(store: Path) -> Container[str]:
    """Return the questions that an earlier build of the store recorded; nothing is written."""
    from cache.recording.recordings import Recordings
    from retrieval.building.builder import RECORDINGS

    if not (store / RECORDINGS).is_dir():
        return frozenset()
    with Recordings(store / RECORDINGS) as book:
        return frozenset(one.key for one in book.asked())


def _text(plan: Forecast, rates: Rates) -> str:
    parts = plan.parts
    machines = f"{plan.workers} machines" if plan.workers > 1 else "one machine"
    lines = [
        f"{plan.recipe}: {plan.posts} posts on {machines}: {_duration(plan.seconds)}",
        f"  starting {parts['starting']:.1f} s, reading {parts['reading']:.1f} s, before the "
        f"stages {parts['before']:.1f} s, stages together {_duration(parts['line'])}, after them "
        f"{parts['after']:.1f} s",
        "  each stage by itself: "
        + ", ".join(
            f"{name} {_duration(value)}"
            for name, value in parts.items()
            if name.partition(" ")[0] in ("look", "ask", "embed", "curate", "write")
        ),
        "  a post: "
        + ", ".join(f"{name} {1e3 * value:.2f} ms" for name, value in rates.stages.items()),
        *(f"  questions to {_asked(one)}" for one in plan.questions),
        f"  hits {plan.hits}, of them kept as evidence {plan.kept}",
        "  store "
        + ", ".join(f"{name} {size / _MEGABYTE:.2f} MB" for name, size in plan.size_bytes.items())
        + f"; together {sum(plan.size_bytes.values()) / _MEGABYTE:.2f} MB",
        *(
            f"  {name} costs {cost:,.2f} {plan.currency}".rstrip()
            for name, cost in plan.money.items()
        ),
        *(f"  assumed: {one}" for one in plan.assumptions),
    ]
    return "\n".join(lines)


def _asked(questions: Questions) -> str:
    about = "" if questions.exact else "about "
    told = f"{questions.provider}: {about}{questions.distinct}, {questions.recorded} recorded"
    if questions.live:
        told += f"; {questions.requests} requests, {_duration(questions.seconds)} at their pace"
    return told


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    hours = seconds / 3600
    if hours < 1:
        return f"{seconds / 60:.1f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days"
