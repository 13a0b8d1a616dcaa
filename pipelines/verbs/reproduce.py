"""``ramie reproduce``: a published setting in one command, from raw files to the table."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import add_device, add_recipe, note, print_result, read_recipe, words

HELP = "from raw files to the table of systems: build, verify, audit, compare; resumes"
EXAMPLE = "ramie reproduce twitter2017 --seeds 5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_recipe(parser)
    parser.add_argument(
        "--size",
        default="full",
        choices=("full", "tiny"),
        help="tiny: made-up posts in the recipe's raw format and the repository's own weights, to "
        "see in minutes that the way is clear (default: full)",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="runs of each system (3; tiny: 1)")
    parser.add_argument(
        "--fusion", metavar="A,B", help="systems (default: all that can read the store)"
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="W", help="runs side by side (1)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the runs (default: runs/reproduce/NAME)"
    )
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Do all steps, and print the table and where it lies; 1 where runs failed."""
    from pipelines.reproducing.reproduce import reproduce
    from pipelines.reproducing.tiny import tiny_recipe

    recipe, store = read_recipe(options)
    tiny = options.size == "tiny"
    name = f"{recipe.name}-tiny" if tiny else recipe.name
    if tiny:
        recipe = tiny_recipe(recipe, Path("data/reproduce") / name)
        store = options.store or Path("data/stores") / name
    out = options.out or Path("runs/reproduce") / name
    done = reproduce(
        recipe,
        store,
        out,
        seeds=(1 if tiny else 3) if options.seeds is None else options.seeds,
        fusions=words(options.fusion) or None,
        workers=options.workers,
        device=options.device,
        say=note,
    )
    print_result({"out": str(out), **done.to_json()}, done.to_text(), options.json)
    return 1 if done.failures else 0
