"""``ramie compare``: several systems on one store, with spread and significance."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import add_recipe, note, print_result, read_recipe

HELP = "train and compare systems on one store: mean, spread, paired bootstrap; resumes"
EXAMPLE = "ramie compare sample --fusion text_only,synthesis --seeds 3 --controls"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_recipe(parser)
    parser.add_argument(
        "--fusion",
        default="text_only,synthesis",
        metavar="A,B",
        help="systems; the first is the baseline (default: text_only,synthesis)",
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 1 to N (3)")
    parser.add_argument(
        "--controls",
        action="store_true",
        help="also give every system the evidence of other posts: in training and test, and in "
        "the test alone",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the runs (default: runs/compare/NAME)"
    )


def run(options: argparse.Namespace) -> int:
    """Compare, and print the table and where it lies."""
    from pipelines.comparison import compare, systems_of, table

    recipe, store = read_recipe(options)
    out = options.out or Path("runs/compare") / recipe.name
    seeds = list(range(1, options.seeds + 1))
    systems = systems_of(options.fusion.split(","), options.controls)
    rows = compare(recipe, store, out, systems=systems, seeds=seeds, say=note)
    result: dict[str, object] = {"out": str(out), "rows": [row.to_json() for row in rows]}
    print_result(result, f"{table(rows, seeds, 'test')}\n\n{out / 'compare.json'}", options.json)
    return 0
