"""``ramie build``: observe, ask, curate, write; goes on where an earlier run stopped."""

from __future__ import annotations

import argparse

from pipelines.options import add_recipe, note, print_result, read_recipe

HELP = "build the store of a recipe: observe, ask, curate, write; resumes"
EXAMPLE = "ramie build sample --set curate.keep_per_stream=3"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_recipe(parser)


def run(options: argparse.Namespace) -> int:
    """Build, and print what was done; 1 where posts are left unfinished."""
    from pipelines.sources import make_providers
    from retrieval.build_report import BuildReport
    from retrieval.builder import build_store
    from retrieval.datasets import Dataset, read_dataset
    from retrieval.observe import Observer

    recipe, store = read_recipe(options)
    settings = recipe.build_settings()
    dataset: Dataset = read_dataset(settings.dataset)
    for problem in dataset.problems:
        note(f"  data set: {problem}")
    observer = Observer(settings.observe)
    report: BuildReport = build_store(
        settings,
        store,
        dataset=dataset,
        observer=observer,
        providers=make_providers(settings.ask, observer),
        progress=True,
    )
    print_result(
        {"store": str(store), **report.as_json()}, _text(str(store), report), options.json
    )
    return 1 if report.unfinished else 0


def _text(store: str, report: object) -> str:
    from retrieval.build_report import BuildReport

    assert isinstance(report, BuildReport)
    lines = [
        f"{store}: {report.action} in {report.wall_seconds:.1f} s",
        f"  questions asked {report.asked}, answered from recordings "
        f"{report.answered_from_recordings}, unavailable {report.unavailable}",
        *(f"  {name:<28} {count}" for name, count in report.counters.items()),
        *(f"  photo {reason}: {count}" for reason, count in report.photo_problems.items()),
    ]
    if report.seconds:
        shares = ", ".join(f"{name} {value:.1f}" for name, value in report.seconds.items())
        lines.append(f"  seconds: {shares}; in forward passes {report.forward_seconds:.1f}")
    for post in report.unfinished[:_SHOWN]:
        lines.append(f"  UNFINISHED {post.example_id}: {post.reason}")
    if report.unfinished:
        lines.append(
            f"{len(report.unfinished)} posts are unfinished: run the same command again to ask "
            "only what is missing."
        )
    return "\n".join(lines)
