"""``ramie discover``: relations without labels, or with few, with evidence and without."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import (
    add_device,
    add_recipe,
    note,
    numbers,
    print_result,
    read_recipe,
    words,
)

HELP = "find relations without labels or with few: SelfORE, HiURE, MetaSRE; resumes"
EXAMPLE = "ramie discover sample-relations --method selfore,hiure --evidence on,off --seeds 3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_recipe(parser)
    parser.add_argument(
        "--method",
        default="selfore,hiure,metasre",
        metavar="A,B",
        help="selfore and hiure (no labels), metasre (few labels); their baselines are added "
        "(default: all three)",
    )
    parser.add_argument(
        "--evidence",
        default="off,on",
        metavar="on|off",
        help="read the store's evidence, the text alone, or both in turn (default: off,on)",
    )
    parser.add_argument(
        "--labels",
        default="5,10,30",
        metavar="PERCENT",
        help="shares of the training split that metasre is told labels of (default: 5,10,30)",
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 1 to N (3)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of results (default: runs/discover/NAME)"
    )
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Discover, and print the table and where it lies."""
    from pipelines.discovery import discover
    from pipelines.discovery_cells import cells_of
    from pipelines.discovery_table import table

    recipe, store = read_recipe(options)
    out = options.out or Path("runs/discover") / recipe.name
    cells = cells_of(
        words(options.method),
        words(options.evidence),
        [percent / 100 for percent in numbers("--labels", options.labels, float)],
        range(1, options.seeds + 1),
    )
    results = discover(recipe, store, out, cells, say=note, device=options.device, progress=True)
    text = f"{table(results)}\n\n{out / 'discover.json'}"
    print_result({"out": str(out), "cells": results}, text, options.json)
    return 0
