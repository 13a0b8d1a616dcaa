"""``ramie verify``: check every byte of a store against its manifest."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from cache import StoreDamaged, read_manifest, verify_store
from pipelines.options import add_json, print_result

HELP = "check every byte of a store against its manifest"
EXAMPLE = "ramie verify data/stores/sample"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print what was checked, and each problem with its consequence; 1 where there is one."""
    # A store of another version is not damaged: it says what to do with it.
    with suppress(StoreDamaged):
        read_manifest(options.store)
    report = verify_store(options.store)
    counted = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    lines = [
        f"{options.store}: {counted}",
        *(f"  DAMAGED {problem}" for problem in report.problems),
    ]
    if report.problems:
        lines.append(
            "Restore the files named from a copy, or delete them and run `ramie build` again."
        )
    else:
        lines.append("every file is what the manifest promises")
    result = {
        "store": str(options.store),
        "counts": dict(report.counts),
        "problems": list(report.problems),
    }
    print_result(result, "\n".join(lines), options.json)
    return 1 if report.problems else 0
