"""What a step of training costs: against the authors' way, in padding, on two processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from cache.errors import InputError
from model.device import choose_device
from model.settings import ModelSettings
from pipelines.bench.figures import Figure
from pipelines.bench.training.posts import TEXTS

Say = Callable[[str], None]
# The others take minutes on a CPU, and say how the lengths of the texts matter.
DEFAULT: Final = ("step", "padding", "ddp")
PARTS: Final = (*TEXTS, "padding", "ddp")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        store: whose padding is counted.
        model: settings of the network that reads it.
        batch_size: posts in a step.
        seed: of weights, posts and order.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    store: Path
    model: ModelSettings
    batch_size: int = 16
    seed: int = 0
    device: str = "auto"


def bench_train(parts: Sequence[str], subject: Subject, say: Say) -> dict[str, object]:
    """Measure ``parts`` (`DEFAULT`, if none is named) and return the figures of each as JSON.

    Args:
        parts: names of `PARTS`.
        subject: what is measured.
        say: told every row as it is measured.

    Raises:
        InputError: an unknown part, or what it needs is not there.
        StoreError: the store cannot be used.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise InputError(f"no part {unknown[0]!r}; known are {', '.join(PARTS)}.")
    if subject.batch_size < 1:
        raise InputError(f"cannot measure with {subject.batch_size} posts; give 1 or more.")
    result: dict[str, object] = {}
    for part in parts or DEFAULT:
        if not parts and part == "padding" and not subject.store.is_dir():
            say(f"padding: left out, {subject.store} is not built (ramie build RECIPE)")
            continue
        device = choose_device(subject.device)
        say(f"{part} ({_name(device)}, {torch.get_num_threads()} threads):")
        try:
            figures = _measure(part, subject, device)
        except InputError as error:
            if parts:
                raise
            say(f"  left out: {error}")
            continue
        for figure in figures:
            say(figure.row)
        result[part] = [figure.as_json() for figure in figures]
    return result


def _measure(part: str, subject: Subject, device: torch.device) -> list[Figure]:
    if part == "padding":
        from pipelines.bench.training.padding import bench_padding

        return bench_padding(subject.store, subject.model, subject.batch_size, subject.seed)
    if part == "ddp":
        from pipelines.bench.training.ddp import bench_ddp

        return bench_ddp(subject.seed)
    from pipelines.bench.training.step import bench_step

    return bench_step(part, posts=subject.batch_size, seed=subject.seed, device=device)


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
