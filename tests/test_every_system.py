"""What must hold for every fusion system, whatever it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from model_helpers import ALL_STREAMS, make_parts, stored, whole_features
from torch import Tensor

from cache.records import Span
from model.batch import Batch
from model.build import Parts, load_parts
from model.fusion import SYSTEMS
from model.network import Reading
from model.run import WEIGHTS, write_run, write_tensors

# `joint` is the fusion of `synthesis` between other heads; tests/test_joint.py has those.
NAMES = sorted(set(SYSTEMS) - {"joint"})
TASKS = {"entities": ("O", "B-LOC", "I-LOC"), "relations": ("None", "in")}


def made(folder: Path, fusion: str, task: str = "entities") -> Parts:
    return make_parts(folder, task=task, labels=TASKS[task], fusion=fusion)


def batch_of(parts: Parts, *, reverse: bool = False) -> Batch:
    """Return a post with everything, one with a photo only, and one with neither."""
    mentions = (Span(1, 2), Span(4, 5))
    kinds = [("full", ALL_STREAMS, True), ("photo", (), True), ("bare", (), False)]
    posts = [
        stored(
            name,
            "the person in velora quill" + " sings" * len(name),
            kept=kept,
            photo=photo,
            entities=(Span(0, 2, "LOC"),),
            relation="in",
            mentions=mentions,
        )
        for name, kept, photo in kinds
    ]
    ordered = posts[::-1] if reverse else posts
    return parts.collator([parts.preparer.prepare(whole_features(post)) for post in ordered])


def read(parts: Parts, batch: Batch) -> Reading:
    with torch.no_grad():
        return parts.network.read(batch)


@pytest.mark.parametrize("fusion", NAMES)
def test_a_saved_network_reads_the_same(tmp_path: Path, fusion: str) -> None:
    parts = made(tmp_path, fusion)
    write_run(tmp_path, parts.run)
    write_tensors(tmp_path / WEIGHTS, dict(parts.network.state_dict()))
    batch = batch_of(parts)

    loaded = load_parts(tmp_path)

    assert loaded.run == parts.run
    assert torch.equal(read(loaded, batch).words, read(parts, batch).words)


@pytest.mark.parametrize("fusion", NAMES)
def test_the_order_of_posts_in_a_batch_changes_nothing(tmp_path: Path, fusion: str) -> None:
    parts = made(tmp_path, fusion)

    forth, back = batch_of(parts), batch_of(parts, reverse=True)
    one, other = read(parts, forth).words, read(parts, back).words.flip(0)

    mask = forth.joined_mask[..., None]
    torch.testing.assert_close(one * mask, other * mask, rtol=0, atol=2e-6)


@pytest.mark.parametrize("fusion", NAMES)
def test_under_bfloat16_words_stay_near(tmp_path: Path, fusion: str) -> None:
    parts = made(tmp_path, fusion)
    batch = batch_of(parts)
    plain = read(parts, batch).words
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = read(parts, batch).words

    assert half.dtype == torch.float32
    torch.testing.assert_close(half, plain, rtol=0, atol=0.15)


@pytest.mark.parametrize("task", sorted(TASKS))
@pytest.mark.parametrize("fusion", NAMES)
def test_layers_that_are_computed_again_in_the_backward_pass_give_the_same_gradients(
    tmp_path: Path, fusion: str, task: str
) -> None:
    parts = made(tmp_path, fusion, task)
    batch = batch_of(parts)
    network = parts.network.train()

    def gradients() -> dict[str, Tensor]:
        network.zero_grad()
        torch.manual_seed(0)
        network(batch).task.backward()
        return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}

    plain = gradients()
    backbone: Any = network.encoder.backbone
    backbone.activation_checkpointing_enable({"use_reentrant": False})
    again = gradients()

    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-5, atol=1e-6)
