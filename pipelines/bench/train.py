"""Measures what encoding all evidence of a batch at once is worth, against one text at a time."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from cache.reader import Features, features_of
from cache.records import Evidence, Example, Hit, Level, Observation, Post, Span, StoredExample
from model.batch import Batch, EvidenceGroup
from model.build import Parts, new_parts, place
from model.device import autocast, uses_bfloat16
from model.run import Run, code_version, library_versions
from model.settings import ModelSettings, TrainSettings

_WORDS = (
    "the",
    "match",
    "at",
    "Anfield",
    "with",
    "Rooney",
    "was",
    "won",
    "by",
    "a",
    "city",
    "band",
)
_SAMPLE_ENCODER = Path(__file__).parents[1] / "sample" / "weights" / "text_encoder"
_LEVELS: tuple[Level, ...] = ("image", "object", "sentence")


def bench_train(
    text_encoder: str | None = None,
    *,
    seed: int = 0,
    posts: int = 16,
    evidence_texts: int = 10,
    repeats: int = 3,
    device: str = "cpu",
) -> dict[str, float]:
    """Return seconds of a training step with evidence encoded together and one by one.

    Args:
        text_encoder: transformers name or folder; None is the sample world's.
        seed: of the weights that are not pretrained.
        posts: in the batch.
        evidence_texts: of each post, 8 to 40 words long.
        repeats: of each way; the fastest counts, so that other work on the machine does not.
        device: where.

    Returns:
        ``together_s``, ``one_by_one_s``, ``times_faster``, ``loss_difference`` (relative).
    """
    target = torch.device(device)
    with tempfile.TemporaryDirectory() as folder:
        name = text_encoder or str(_SAMPLE_ENCODER)
        parts = new_parts(_run(name, evidence_texts, seed), Path(folder))
    place(parts, target)
    parts.network.eval()  # dropout off: the two ways must give the same loss
    features = [_post(index, evidence_texts) for index in range(posts)]
    together = parts.collator([parts.preparer.prepare(post) for post in features]).to(target)
    apart = dataclasses.replace(together, groups=tuple(_one_by_one(together)))
    # Time in the precision of a training on this device; the loss in one that can show equality.
    bfloat16 = uses_bfloat16("auto", target)
    seconds, losses = [], []
    for batch in (together, apart):
        runs = [_step(parts, batch, bfloat16) for _ in range(repeats + 1)][1:]
        seconds.append(min(run[0] for run in runs))
        losses.append(_step(parts, batch, False)[1])
    return {
        "together_s": seconds[0],
        "one_by_one_s": seconds[1],
        "times_faster": seconds[1] / seconds[0],
        "loss_difference": abs(losses[0] - losses[1]) / abs(losses[1]),
    }


def _step(parts: Parts, batch: Batch, bfloat16: bool) -> tuple[float, float]:
    """Return seconds and loss of forward and backward."""
    parts.network.zero_grad(set_to_none=True)
    _finish(batch.pieces.device)
    began = time.perf_counter()
    with autocast(batch.pieces.device, bfloat16):
        losses = parts.network(batch)
    losses.task.backward()
    _finish(batch.pieces.device)
    return time.perf_counter() - began, float(losses.task.detach())


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _one_by_one(batch: Batch) -> Iterator[EvidenceGroup]:
    """Yield each evidence text as a group of its own, without padding."""
    for group in batch.groups:
        for row in range(len(group.pieces)):
            length = int(group.mask[row].sum())
            columns = ("pieces", "mask", "segments", "is_evidence", "keys")
            cut = {name: getattr(group, name)[row : row + 1, :length] for name in columns}
            yield EvidenceGroup(
                **cut, window=group.window[row : row + 1], slot=group.slot[row : row + 1]
            )


def _run(text_encoder: str, evidence_texts: int, seed: int) -> Run:
    per_stream = -(-evidence_texts // len(_LEVELS))
    return Run(
        task="entities",
        labels=("O", "B-PER", "I-PER"),
        visual_dim=0,
        store="",
        model=ModelSettings(text_encoder=text_encoder, max_evidence=per_stream, max_pieces=40),
        train=TrainSettings(precision="float32", seed=seed),
        code_version=code_version(),
        libraries=library_versions(),
    )


def _post(index: int, evidence_texts: int) -> Features:
    tokens = tuple(_WORDS[(index + word) % len(_WORDS)] for word in range(8 + index % 9))
    post = Post(f"post-{index}", tokens)
    kept = tuple(_evidence(index, number) for number in range(evidence_texts))
    example = Example(post, "train", entities=(Span(2, 3, "PER"),))
    return features_of(StoredExample(example, Observation(post), kept))


def _evidence(index: int, number: int) -> Evidence:
    length = 8 + (7 * index + 11 * number) % 33
    text = " ".join(_WORDS[(index * number + word) % len(_WORDS)] for word in range(length))
    level, rank = _LEVELS[number % len(_LEVELS)], number // len(_LEVELS)
    hit = Hit(level, "text", -1, "made up", f"{index}-{number}", rank, 1.0, text=text)
    return Evidence(hit, rank, 1.0)
