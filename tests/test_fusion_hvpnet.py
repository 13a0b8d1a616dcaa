"""The visual prefix, against loops over views, stages and positions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from model_helpers import (
    MemoryStore,
    make_parts,
    model_settings,
    stored,
    train_settings,
    whole_features,
)
from photo_tells import learned, store_told_by_photo
from slow_bert import slow_bert
from torch import Tensor

from cache.errors import InputError
from cache.reader import Features
from cache.records import FeatureSet, Span, StoredExample
from model.batch import Batch, Stacked
from model.build import Parts, place
from model.network import Reading
from model.run import FeatureShape
from model.training import train
from model.training.optimizer import make_optimizer

STAGES = (2, 3, 4, 5)
POSITIONS = 4
DIM = 32
SENTENCE = "the person in the club sings a river quill velora"
MENTIONS = (Span(1, 2), Span(4, 6))


def hvpnet(tmp_path: Path, task: str = "entities", **changes: Any) -> Parts:
    labels = ("None", "in") if task == "relations" else ("O", "B-LOC", "I-LOC")
    return make_parts(tmp_path, task=task, labels=labels, fusion="hvpnet", **changes)


def shown(
    example_id: str = "a",
    words: str = SENTENCE,
    *,
    regions: int | None = 2,
    mentions: tuple[Span, Span] | None = MENTIONS,
) -> Features:
    """Return a post with a photo and so many regions; None is a post without a photo."""
    example = stored(
        example_id,
        words,
        photo=regions is not None,
        entities=(Span(0, 1, "LOC"),),
        relation="in",
        mentions=mentions,
    )
    if regions is None:
        return whole_features(example)
    crops = tuple(example.observation.regions[:1]) * regions
    seen = dataclasses.replace(example.observation, regions=crops)
    return whole_features(StoredExample(example.example, seen, ()))


def prepared_batch(parts: Parts, posts: Sequence[Features]) -> Batch:
    return parts.collator([parts.preparer.prepare(post) for post in posts])


def read(parts: Parts, posts: Sequence[Features]) -> Reading:
    with torch.no_grad():
        return parts.network.read(prepared_batch(parts, posts))


# --- the slow reference -------------------------------------------------------------------------


def slow_prefix(parts: Parts, pyramid: Tensor, layer: int) -> tuple[Tensor, Tensor]:
    """Return keys and values [views * positions, dim] of one layer, by the equation."""
    weights = parts.network.fusion.state_dict()
    keys, values = [], []
    for view in pyramid:
        by_stage, start = [], 0
        for stage, size in enumerate(STAGES):
            rows = []
            for position in range(POSITIONS):
                feature = view[position, start : start + size]
                centred = feature - feature.mean()
                normal = centred / (centred.square().mean() + 1e-5).sqrt()
                normal = normal * weights[f"stages.{stage}.0.weight"]
                normal = normal + weights[f"stages.{stage}.0.bias"]
                hidden = weights[f"stages.{stage}.1.weight"] @ normal
                hidden = torch.tanh(hidden + weights[f"stages.{stage}.1.bias"])
                out = weights[f"stages.{stage}.3.weight"] @ hidden
                rows.append(out + weights[f"stages.{stage}.3.bias"])
            by_stage.append(torch.stack(rows))
            start += size
        mean = torch.stack(by_stage).mean(dim=0)
        scores = weights[f"gates.{layer}.weight"] @ torch.cat(list(mean))
        scores = scores + weights[f"gates.{layer}.bias"]
        scores = torch.where(scores > 0, scores, 0.01 * scores)
        gate = scores.exp() / scores.exp().sum()
        for position in range(POSITIONS):
            mixed = sum(g * c[position] for g, c in zip(gate, by_stage, strict=True))
            keys.append(mixed[:DIM])
            values.append(mixed[DIM:])
    return torch.stack(keys), torch.stack(values)


def slow_beside(
    parts: Parts, pyramid: Tensor, layer: int, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor]:
    return slow_prefix(parts, pyramid, layer)


@torch.no_grad()
@pytest.mark.parametrize("max_pieces", [64, 8])
def test_words_are_those_of_the_equations(tmp_path: Path, max_pieces: int) -> None:
    parts = hvpnet(tmp_path, max_pieces=max_pieces)
    posts = [shown("a"), shown("bb", "velora sings", regions=0), shown("ccc", regions=3)]
    batch = prepared_batch(parts, posts)

    states = parts.network.encoder(
        batch.pieces,
        batch.mask,
        torch.zeros_like(batch.pieces),
        parts.network.fusion.beside(batch),
    )

    assert (len(states) > len(posts)) == (max_pieces == 8)
    for row, owner in enumerate(batch.owner.tolist()):
        pyramid = torch.from_numpy(posts[owner].arrays["pyramid"]).float()
        expected = slow_bert(
            parts.network.encoder.backbone,
            batch.pieces[row][batch.mask[row]],
            partial(slow_beside, parts, pyramid),
        )
        torch.testing.assert_close(states[row, : len(expected)], expected, rtol=0, atol=3e-5)
    reading = parts.network.read(batch)
    first = states[0].gather(0, batch.starts[0][:, None].expand(-1, DIM))
    torch.testing.assert_close(reading.fused.words[0], first, rtol=0, atol=1e-6)


# --- what must hold for every network -----------------------------------------------------------


def test_padding_changes_nothing(tmp_path: Path) -> None:
    parts = hvpnet(tmp_path)
    short = shown("short", "velora sings", regions=1, mentions=None)
    others = [shown("bare", "quill", regions=None, mentions=None), shown("long", regions=6)]

    alone = read(parts, [short]).words[0]
    together = read(parts, [others[0], short, others[1]]).words[1, :2]

    torch.testing.assert_close(together, alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_without_a_photo_it_is_text_only_to_the_bit(tmp_path: Path, task: str) -> None:
    full = hvpnet(tmp_path / "full", task)
    plain = make_parts(tmp_path / "plain", task=task, labels=full.run.labels, fusion="text_only")
    shared = {k: v for k, v in full.network.state_dict().items() if not k.startswith("fusion.")}
    plain.network.load_state_dict(shared)
    for parts in (full, plain):
        place(parts, torch.device("cpu"))
    bare = [shown("a", regions=None), shown("b", "a river in the club sings", regions=None)]
    mixed = [bare[0], shown("c")]

    assert torch.equal(read(full, bare).words, read(plain, bare).words)
    assert torch.equal(read(full, mixed).words[0], read(plain, mixed).words[0])
    assert not torch.allclose(read(full, mixed).words[1], read(plain, mixed).words[1], atol=1e-2)


def test_the_order_of_regions_changes_nothing(tmp_path: Path) -> None:
    parts = hvpnet(tmp_path)
    post = shown(regions=4)
    order = [0, 3, 1, 4, 2]  # the photo stays the first view
    shuffled = post._replace(arrays={"pyramid": post.arrays["pyramid"][order]})

    before, after = read(parts, [post]).words, read(parts, [shuffled]).words

    torch.testing.assert_close(after, before, rtol=0, atol=2e-6)


def test_every_layer_mixes_the_stages_by_a_gate_of_its_own(tmp_path: Path) -> None:
    parts = hvpnet(tmp_path)
    words = read(parts, [shown()]).words
    for layer in range(2):
        with torch.no_grad():
            gate = parts.network.fusion.get_parameter(f"gates.{layer}.bias")
            before = gate.clone()
            gate[1] += 3.0
            assert not torch.allclose(read(parts, [shown()]).words, words, atol=1e-3)
            gate.copy_(before)


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_every_parameter_stage_view_and_position_gets_a_gradient_and_is_trained(
    tmp_path: Path, task: str
) -> None:
    parts = hvpnet(tmp_path, task)
    batch = prepared_batch(parts, [shown(regions=3), shown("b", regions=1)])
    pyramid = batch.arrays["pyramid"]
    values = pyramid.values.clone().requires_grad_()
    arrays: dict[FeatureSet, Stacked] = {"pyramid": dataclasses.replace(pyramid, values=values)}

    losses = parts.network(dataclasses.replace(batch, arrays=arrays))
    losses.task.backward()

    named = dict(parts.network.named_parameters())
    assert [n for n, p in named.items() if p.grad is None or not p.grad.any()] == []
    groups = make_optimizer(parts.network, train_settings()).param_groups
    trained = {id(p) for group in groups for p in group["params"]}
    assert trained == {id(p) for p in named.values()}
    assert values.grad is not None
    reached = torch.stack(
        [part.abs().sum(dim=-1) > 0 for part in torch.split(values.grad, list(STAGES), -1)], dim=-1
    )
    assert reached[pyramid.mask].all()
    assert not reached[~pyramid.mask].any()
    assert losses.consistency is None


# --- stores that do not have what it reads ------------------------------------------------------


def test_a_store_without_pyramids_is_refused_with_the_command_that_adds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore([stored("a", "velora sings")])
    del store.manifest.feature_sets["pyramid"]
    monkeypatch.setattr(store, "path", Path("other"), raising=False)

    command = r"ramie build RECIPE --store other --set 'observe\.features=.*pyramid"
    with pytest.raises(InputError, match=command):
        train(store, "entities", model_settings(fusion="hvpnet"), train_settings(), tmp_path)


def test_a_store_in_which_no_post_has_a_photo_is_refused(tmp_path: Path) -> None:
    store = MemoryStore([stored(split, "velora", split=split) for split in ("train", "dev")])
    store.manifest.feature_sets["pyramid"] = SimpleNamespace(**dict(FeatureShape()))

    with pytest.raises(InputError, match=r"pyramid of none.*model\.fusion to text_only"):
        train(store, "entities", model_settings(fusion="hvpnet"), train_settings(), tmp_path)


# --- a training in which only the photo tells ---------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("task", "view"), [("entities", 0), ("relations", 1)])
def test_what_only_a_photo_or_a_region_tells_is_learned(
    tmp_path: Path, task: str, view: int
) -> None:
    store = store_told_by_photo(task)
    direction = np.random.default_rng(0).normal(size=14)
    for name, arrays in store.arrays.items():
        tells = direction if int(name.split("-")[1]) % 2 else -direction
        pyramid = 0.1 * arrays["pyramid"]
        pyramid[view] += tells
        arrays["pyramid"] = pyramid.astype(np.float16)

    assert learned("hvpnet", store, task, tmp_path, epochs=10) == 1.0
    assert learned("text_only", store, task, tmp_path, epochs=10) < 0.8
