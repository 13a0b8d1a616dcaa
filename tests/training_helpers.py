"""Trainings in processes of their own, and what they leave behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from model_helpers import tiny_encoder

from model.run import read_tensors

TESTS = Path(__file__).resolve().parent
CHILD = TESTS / "training_child.py"
# What several processes may differ in: sums are taken in another order.
TOLERANCE = 1e-4


def encoder_in(folder: Path, dropout: float = 0.0) -> str:
    """Return a copy of the tiny encoder, the same for all processes, with that dropout."""
    copy = folder / f"encoder-{dropout}"
    if not copy.exists():
        shutil.copytree(tiny_encoder(), copy)
        config = json.loads((copy / "config.json").read_text())
        config["hidden_dropout_prob"] = dropout
        (copy / "config.json").write_text(json.dumps(config))
    return str(copy)


def environment() -> dict[str, str]:
    """Return the environment of a child: one thread, and the modules of the tests."""
    paths = [str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }


def torchrun(processes: int) -> list[str]:
    """Return the start of a command for so many processes on this machine."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        f"--nproc-per-node={processes}",
    ]


def command(order: dict[str, Any], processes: int = 1) -> list[str]:
    """Return the command that trains as ordered."""
    start = torchrun(processes) if processes > 1 else [sys.executable]
    return [*start, str(CHILD), json.dumps(order)]


def train_in_child(order: dict[str, Any], processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Train as ordered and wait."""
    return subprocess.run(
        command(order, processes),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def largest_difference(one: Path, other: Path, name: str = "checkpoint.safetensors") -> float:
    """Return how far the weights of two runs are apart, at most."""
    left, right = read_tensors(one / name)[0], read_tensors(other / name)[0]
    names = [key for key in left if key.startswith("model.")] or list(left)
    assert left.keys() == right.keys() or name.startswith("checkpoint")
    return max(float(np.abs(left[n].numpy() - right[n].numpy()).max()) for n in names)


def loss_curve(run: Path) -> dict[int, float]:
    """Return the loss of each step, as the run's TensorBoard file holds it."""
    return scalars(run, "train/loss")


def scalars(run: Path, name: str) -> dict[int, float]:
    """Return what TensorBoard shows of a figure, by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events: Any = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    shown = [(event.step, event.value) for event in events.Scalars(name)]
    assert len(shown) == len(dict(shown)), "a step is shown twice"
    return dict(shown)
