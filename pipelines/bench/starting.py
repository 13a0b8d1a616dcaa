"""How long the command takes until it says something: each row is a new process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from cache.errors import InputError
from pipelines.bench.figures import Figure

_HELP_S: Final = 0.3
_VERIFY_S: Final = 1.0
_TIMES: Final = 7


def bench_starting(store: Path, times: int = _TIMES) -> list[Figure]:
    """Start ``ramie --help`` and ``ramie verify`` so many ``times``; the middle one counts.

    Args:
        store: that is verified; the sample's is what the bound is about.
        times: starts of each.

    Raises:
        InputError: the store is not there, or not whole.
    """
    if not store.is_dir():
        raise InputError(f"there is no store {store} to verify. Make it by `ramie demo`.")
    first, helped = _starts(["--help"], times)
    _, verified = _starts(["verify", str(store)], times)
    return [
        Figure("starting: ramie --help, seconds", median(helped), _HELP_S, "below"),
        Figure("starting:   the first time, before its files are in memory", first),
        Figure(
            "starting: ramie verify of the sample, seconds", median(verified), _VERIFY_S, "below"
        ),
        Figure("starting:   bare interpreter, seconds", median(_bare(times))),
    ]


def _starts(words: Sequence[str], times: int) -> tuple[float, list[float]]:
    command = [sys.executable, "-m", "pipelines.cli", *words]
    took = [_took(command) for _ in range(times + 1)]
    return took[0], took[1:]


def _bare(times: int) -> list[float]:
    return [_took([sys.executable, "-c", ""]) for _ in range(times)]


def _took(command: Sequence[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise InputError(f"{' '.join(command[1:])} failed: {done.stderr.strip()[-500:]}")
    return seconds
