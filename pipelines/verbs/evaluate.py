"""``ramie evaluate``: score a trained run on a split."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import add_run, print_result

HELP = "score a trained run on a split of its store"
EXAMPLE = "ramie evaluate runs/sample --split test --evidence others"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_run(parser)
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="default: the store it was trained on"
    )
    parser.add_argument("--split", default="test", choices=("train", "dev", "test"))
    parser.add_argument(
        "--evidence",
        default="own",
        choices=("own", "others", "none"),
        help="whose evidence each post is shown: its own, another post's (a control), or none",
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate and print the scores with their tables."""
    from model.evaluation import evaluate
    from pipelines.runs import recipe_of_run

    store = options.store or recipe_of_run(options.run_folder)[1]
    evaluation = evaluate(
        options.run_folder,
        store,
        options.split,
        options.evidence,
        device=options.device,
        progress=True,
    )
    unseen = "".join(
        f"\nlabel {label!r} was never seen in training: {count} annotations count as missed"
        for label, count in evaluation.unseen_labels.items()
    )
    title = f"{options.run_folder}: {options.split}, evidence {options.evidence}"
    print_result(
        evaluation.to_json(), f"{title}\n{evaluation.scores.to_table()}{unseen}", options.json
    )
    return 0
