"""``ramie sample``: generate the sample world."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "generate the made-up world of the sample recipes"
EXAMPLE = "ramie sample data/sample --seed 7"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("out", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same bytes (default: 7)")


def run(options: argparse.Namespace) -> int:
    """Generate the world and say where it is."""
    from pipelines.sample.world import generate_world

    generate_world(options.seed, options.out)
    print(options.out)
    return 0
