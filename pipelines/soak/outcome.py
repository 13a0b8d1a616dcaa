"""What the soaks share: their options, a folder to work in, and how they end."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pipelines.options import add_json, print_result

# In memory where there is such a place: a soak syncs thousands of files.
_MEMORY: Final = Path("/dev/shm")
_SHOWN: Final = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``, ``--work`` and ``--json``."""
    parser.add_argument("--seed", type=int, default=0, help="of all that is left to chance (0)")
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="work in a new folder below this one, not in memory, and leave it there",
    )
    add_json(parser)


@contextmanager
def working_folder(parent: Path | None) -> Iterator[Path]:
    """Yield a new folder below ``parent``, or, for None, one that is removed at the end."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix="soak-", dir=parent.resolve()))
        return
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="ramie-soak-", dir=place) as folder:
        yield Path(folder).resolve()


def conclude(result: Mapping[str, Any], as_json: bool) -> int:
    """Print the result of a soak, and return its exit code: 1 where ``problems`` are listed."""
    problems: Sequence[str] = result["problems"]
    lines = [
        f"{name:<28} {value if isinstance(value, str | int) else json.dumps(value)}"
        for name, value in result.items()
        if name != "problems"
    ]
    lines += [f"PROBLEM {problem}" for problem in problems[:_SHOWN]]
    lines.append(f"{'problems':<28} {len(problems)}")
    print_result(result, "\n".join(lines), as_json)
    return 1 if problems else 0
