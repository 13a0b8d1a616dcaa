"""One training step of BERT-base with eleven evidence texts: ours against the authors' way."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from cache.errors import InputError
from model.batch import Batch
from model.build import Parts, place
from model.device import uses_bfloat16
from model.settings import TrainSettings
from model.training.optimizer import make_optimizer
from model.training.ranks import Ranks
from model.training.step import Part, Stepper
from pipelines.bench.figures import Figure
from pipelines.bench.training.author_style import author_style, pieces_of, pieces_per_post_pass
from pipelines.bench.training.encoder import Size, whole_words, write_encoder
from pipelines.bench.training.network import network_on
from pipelines.bench.training.posts import MAX_TEXT_PIECES, TEXTS, made_up_posts
from pipelines.bench.training.speed import (
    finish,
    free_bytes,
    kept_bytes,
    peak_flops,
    training_flops,
)

# How many times faster than the authors' way a step is to be.
_ASKED: Final = {"cpu": 5.0, "cuda": 8.0}
_LARGEST_DIFFERENCE: Final = 1e-4
_GIGABYTE: Final = 1e9
# Gradients are compared as they are.
_SETTINGS: Final = TrainSettings(max_grad_norm=1e9)


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A step that was taken.

    Attributes:
        loss: of the task.
        gradients: of all parameters, in one row; None where they were not kept.
        seconds: by the clock.
        processor_seconds: of all threads of this process.
    """

    loss: float
    gradients: Tensor | None
    seconds: float
    processor_seconds: float


def bench_step(
    kind: str, *, posts: int, seed: int, device: torch.device, size: Size = "base"
) -> list[Figure]:
    """Time a step both ways, and compare loss and gradients in float32.

    Ours is timed before and after the authors' way, and the mean counts, so that other work on
    the machine has no favourite.

    Args:
        kind: of `TEXTS`.
        posts: in the batch.
        seed: of weights and posts.
        device: where.
        size: of the encoder.

    Raises:
        InputError: there is too little memory for the authors' way.
    """
    with tempfile.TemporaryDirectory() as folder:
        parts = network_on(write_encoder(Path(folder), size, seed), seed)
    place(parts, device)
    features = made_up_posts(posts, TEXTS[kind], whole_words(), seed)
    ours = parts.collator([parts.preparer.prepare(post) for post in features])
    theirs = author_style(ours, parts.collator.pieces.pad)
    if device.type == "cpu":
        _check_memory(parts, theirs)
    optimizer = _at_rate_zero(parts)
    exact = _take(_stepper(parts, optimizer, device), ours)  # a warm-up too
    ours_in = _stepper(parts, optimizer, device, bfloat16=uses_bfloat16("auto", device))
    before = _take(ours_in, ours, keep=False)
    theirs_in = _stepper(parts, optimizer, device)
    if device.type == "cuda":
        # There, memory of a new size is slow to get for the first time; on CPU it is every time.
        _take(theirs_in, theirs, keep=False)
    slow = _take(theirs_in, theirs)
    after = _take(ours_in, ours, keep=False)
    seconds = (before.seconds + after.seconds) / 2
    processor = (before.processor_seconds + after.processor_seconds) / 2
    return [
        Figure(f"{TEXTS[kind].what}: posts/s, evidence in groups", posts / seconds),
        Figure("posts/s, the authors' way", posts / slow.seconds),
        Figure(
            "times faster",
            slow.seconds / seconds,
            # What is asked is asked of the whole batch, of texts as they come.
            _ASKED[device.type] if kind != "long" else None,
        ),
        Figure("times faster by processor time", slow.processor_seconds / processor),
        *_differences(exact, slow),
        *_sizes(ours, theirs),
        *_share_of_peak(parts, ours, ours_in, seconds),
    ]


def _check_memory(parts: Parts, theirs: Batch) -> None:
    # Where memory runs out, Linux ends some program, not always this one.
    needed = kept_bytes(parts.network.encoder, pieces_of(theirs)[0], MAX_TEXT_PIECES)
    free = free_bytes()
    if free is not None and free < needed:
        raise InputError(
            f"the authors' way keeps {needed / _GIGABYTE:.1f} GB for a batch of "
            f"{len(theirs.posts)} posts, and {free / _GIGABYTE:.1f} are free. Give fewer --posts."
        )


def _at_rate_zero(parts: Parts) -> torch.optim.Optimizer:
    """Return an optimizer that does all its work and moves nothing: all steps start alike."""
    optimizer = make_optimizer(parts.network, _SETTINGS)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    return optimizer


def _stepper(
    parts: Parts,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    *,
    bfloat16: bool = False,
) -> Stepper:
    return Stepper(parts.network, optimizer, _SETTINGS, device, bfloat16=bfloat16, ranks=Ranks())


def _take(stepper: Stepper, batch: Batch, *, keep: bool = True) -> Taken:
    """Take a step; ``keep`` its gradients to compare them."""
    finish(stepper.device)
    began, processor = time.perf_counter(), time.process_time()
    loss = stepper.take([Part(batch)], len(batch.posts), 1)
    finish(stepper.device)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    held = [p.grad.flatten() for p in stepper.network.parameters() if keep and p.grad is not None]
    return Taken(loss, torch.cat(held) if keep else None, seconds, processor)


def _differences(ours: Taken, theirs: Taken) -> list[Figure]:
    loss = abs(ours.loss - theirs.loss) / abs(theirs.loss)
    assert ours.gradients is not None
    assert theirs.gradients is not None
    gradient = (ours.gradients - theirs.gradients).norm() / theirs.gradients.norm()
    return [
        Figure("loss, relative difference (float32)", loss, _LARGEST_DIFFERENCE, "below"),
        Figure(
            "gradient, norm of the difference (float32)",
            float(gradient),
            _LARGEST_DIFFERENCE,
            "below",
        ),
    ]


def _sizes(ours: Batch, theirs: Batch) -> list[Figure]:
    encoded, real = pieces_of(ours)
    return [
        Figure("pieces of the batch", real),
        Figure("pieces encoded with padding", encoded),
        Figure("the same, the authors' way", pieces_of(theirs)[0]),
        Figure("the same, one pass for each post (as published)", pieces_per_post_pass(ours)),
    ]


def _share_of_peak(parts: Parts, batch: Batch, stepper: Stepper, seconds: float) -> list[Figure]:
    dtype = torch.bfloat16 if stepper.bfloat16 else torch.float32
    peak = peak_flops(stepper.device, dtype)
    reached = training_flops(parts.network.encoder, batch) / seconds
    precision = str(dtype).removeprefix("torch.")
    return [
        Figure(f"operations of the encoder, 10^9/s ({precision})", reached / 1e9),
        Figure("share of the speed of a matrix product", reached / peak),
    ]
