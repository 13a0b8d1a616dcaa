"""``ramie demo``: the whole way on the sample world, ending with a table and a report."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pipelines.options import note

HELP = "the whole way on a made-up world: knowledge base, stores, training, table, report"
EXAMPLE = "ramie demo --out /tmp/ramie-demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument(
        "--out", type=Path, default=Path("data"), metavar="DIR", help="folder (default: data)"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the sample world (default: 7)")


def run(options: argparse.Namespace) -> int:
    """Run every step, saying which; print the table and the paths of the reports."""
    from pipelines.demo import run_demo

    start = time.perf_counter()
    for told in run_demo(options.out, options.seed, note):
        print(told, flush=True)
    print(f"\nall of it took {time.perf_counter() - start:.0f} s")
    return 0
