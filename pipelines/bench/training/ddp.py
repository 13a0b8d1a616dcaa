"""Two processes against one, with the same global batch: the same losses, in less time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cache.errors import RamieError
from pipelines.bench.figures import Figure
from pipelines.bench.training.encoder import Size, write_encoder

_ASKED: Final = 1.6
_LARGEST_DIFFERENCE: Final = 1e-4
_PATIENCE_S: Final = 1800
_MODULE: Final = "pipelines.bench.training.ddp_process"


@dataclass(frozen=True, slots=True)
class Steps:
    """What is trained.

    Attributes:
        encoder: its folder.
        count: steps; the first is not timed.
        posts: of the global batch.
        seed: of weights, posts and order.
    """

    encoder: str
    count: int
    posts: int
    seed: int


@dataclass(frozen=True, slots=True)
class Times:
    """What it took.

    Attributes:
        losses: of each step.
        seconds: of all steps but the first, in the process that took longest.
        processor_seconds: the same.
    """

    losses: list[float]
    seconds: float
    processor_seconds: float


def bench_ddp(seed: int, size: Size = "small", steps: int = 5, posts: int = 16) -> list[Figure]:
    """Time the same steps in one process and in two, each with one thread, over gloo.

    Args:
        seed: of weights, posts and order.
        size: of the encoder.
        steps: to take; the first is not timed.
        posts: of the global batch.

    Raises:
        RamieError: a process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        encoder = write_encoder(Path(folder) / "encoder", size, seed)
        work = Steps(encoder, steps, posts, seed)
        alone = _run(work, Path(folder) / "alone", processes=1, threads=1)
        both = _run(work, Path(folder) / "both", processes=2, threads=1)
        threads = _run(work, Path(folder) / "threads", processes=1, threads=2)
    differences = [abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)]
    timed = (steps - 1) * posts
    return [
        Figure("posts/s, one process with one thread", timed / alone.seconds),
        Figure("posts/s, two processes with one thread each", timed / both.seconds),
        Figure("posts/s, one process with two threads", timed / threads.seconds),
        Figure("two processes against one", alone.seconds / both.seconds, _ASKED),
        Figure(
            "the same by processor time (the busier of the two)",
            alone.processor_seconds / both.processor_seconds,
        ),
        Figure("largest difference of a loss", max(differences), _LARGEST_DIFFERENCE, "below"),
    ]


def _run(work: Steps, folder: Path, *, processes: int, threads: int) -> Times:
    folder.mkdir()
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone"]
        start += [f"--nproc-per-node={processes}"]
    arguments = {
        "encoder": work.encoder,
        "steps": work.count,
        "posts": work.posts,
        "seed": work.seed,
        "threads": threads,
    }
    order = [f"--{name}={value}" for name, value in arguments.items()]
    done = subprocess.run(
        [*start, "-m", _MODULE, str(folder), *order],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise RamieError(
            f"training with {processes} processes ended with {done.returncode}: {last[0]}. Run "
            f"`python -m {_MODULE} --help` to start one by hand."
        )
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("rank-*.json"))]
    if len(found) != processes:
        raise RamieError(f"{len(found)} of {processes} processes answered. Report this as a bug.")
    return Times(
        found[0]["losses"],
        max(times["seconds"] for times in found),
        max(times["processor_seconds"] for times in found),
    )
