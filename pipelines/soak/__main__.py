"""``python -m pipelines.soak NAME``: one soak per module of this package."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from cache.errors import RamieError
from pipelines.options import note

SOAKS: Final = ("kill", "fail-sync", "power-cut", "full-disk", "fuzz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one soak; return 0 where all was as it must be, 1 where not."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.soak", description=__doc__)
    soaks = parser.add_subparsers(required=True, metavar="NAME")
    for name in SOAKS:
        module = importlib.import_module(f"pipelines.soak.{name.replace('-', '_')}")
        soak = soaks.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(soak)
        soak.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except RamieError as error:
        note(f"soak: {error}")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
