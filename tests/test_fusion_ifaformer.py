"""Two encoders that see each other in every layer, against loops over both streams."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from model_helpers import (
    MemoryStore,
    make_parts,
    model_settings,
    stored,
    train_settings,
    vector,
    whole_features,
)
from photo_tells import learned, store_told_by_photo
from slow_bert import slow_attention, slow_bert
from torch import Tensor, nn

from cache.errors import InputError
from cache.reader import Features
from cache.records import FeatureSet, Region, Span, StoredExample
from model.batch import Batch, Stacked
from model.build import Parts, place
from model.network import Reading
from model.run import FeatureShape
from model.training import train
from model.training.optimizer import make_optimizer

SENTENCE = "the person in the club sings a river quill velora"
MENTIONS = (Span(1, 2), Span(4, 6))


def ifaformer(tmp_path: Path, task: str = "entities", **changes: Any) -> Parts:
    labels = ("None", "in") if task == "relations" else ("O", "B-LOC", "I-LOC")
    return make_parts(tmp_path, task=task, labels=labels, fusion="ifaformer", **changes)


def shown(
    example_id: str = "a",
    words: str = SENTENCE,
    *,
    regions: int | None = 2,
    positions: int = 9,
    mentions: tuple[Span, Span] | None = MENTIONS,
) -> Features:
    """Return a post with a grid and so many regions; with None it has no photo."""
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
    crops = tuple(Region((0.0, 0.0, 9.0, 9.0), "dog", 0.9, vector(i)) for i in range(regions))
    seen = dataclasses.replace(example.observation, regions=crops)
    features = whole_features(StoredExample(example.example, seen, ()))
    return features._replace(arrays={"grid": features.arrays["grid"][:positions]})


def prepared_batch(parts: Parts, posts: Sequence[Features]) -> Batch:
    return parts.collator([parts.preparer.prepare(post) for post in posts])


def read(parts: Parts, posts: Sequence[Features]) -> Reading:
    with torch.no_grad():
        return parts.network.read(prepared_batch(parts, posts))


# --- the slow reference ------------------------------------------------------------------------


class SlowStream:
    """The vision stream of one post, token by token, by the equations."""

    def __init__(self, parts: Parts, post: Features) -> None:
        self.fusion = cast("Any", parts.network.fusion)
        self.heads = 2
        grid = torch.from_numpy(post.arrays["grid"]).float()
        places = self.fusion.position.weight
        tokens = [self.fusion.patch(cell) + places[i] for i, cell in enumerate(grid)]
        crops = [crop for crop in post.region_embeddings if crop is not None]
        tokens += [self.fusion.region(torch.from_numpy(crop)) for crop in crops]
        self.states = torch.stack([self.fusion.norm(token) for token in tokens])

    def __call__(self, number: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        layer = self.fusion.layers[number]
        normal = layer.norm(self.states)
        own = layer.key(normal), layer.value(normal)
        if number < len(self.fusion.layers) - 1:
            rows = []
            for state, query in zip(self.states, layer.query(normal), strict=True):
                read = slow_attention(
                    query, torch.cat([keys, own[0]]), torch.cat([values, own[1]]), self.heads
                )
                attended = state + layer.out(read)
                norm, up, _, down = layer.feed
                rows.append(attended + down(nn.functional.gelu(up(norm(attended)))))
            self.states = torch.stack(rows)
        return own


@torch.no_grad()
@pytest.mark.parametrize("max_pieces", [64, 8])
def test_words_are_those_of_the_equations(tmp_path: Path, max_pieces: int) -> None:
    parts = ifaformer(tmp_path, max_pieces=max_pieces)
    posts = [shown("a"), shown("bb", "velora sings", regions=0, positions=4), shown(regions=3)]
    batch = prepared_batch(parts, posts)

    beside = parts.network.fusion.beside(batch)
    segments = torch.zeros_like(batch.pieces)
    states = parts.network.encoder(batch.pieces, batch.mask, segments, beside)

    assert (len(states) > len(posts)) == (max_pieces == 8)
    for row, owner in enumerate(batch.owner.tolist()):
        expected = slow_bert(
            parts.network.encoder.backbone,
            batch.pieces[row][batch.mask[row]],
            SlowStream(parts, posts[owner]),
        )
        torch.testing.assert_close(states[row, : len(expected)], expected, rtol=0, atol=3e-5)
    reading = parts.network.read(batch)
    first = states[0].gather(0, batch.starts[0][:, None].expand(-1, 32))
    torch.testing.assert_close(reading.fused.words[0], first, rtol=0, atol=1e-6)


# --- what must hold for every network ----------------------------------------------------------


def test_padding_changes_nothing(tmp_path: Path) -> None:
    parts = ifaformer(tmp_path)
    short = shown("short", "velora sings", regions=1, positions=4, mentions=None)
    others = [shown("bare", "quill", regions=None, mentions=None), shown("long", regions=6)]

    alone = read(parts, [short]).words[0]
    together = read(parts, [others[0], short, others[1]]).words[1, :2]

    torch.testing.assert_close(together, alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_without_a_photo_it_is_text_only_to_the_bit(tmp_path: Path, task: str) -> None:
    full = ifaformer(tmp_path / "full", task)
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


def test_the_order_of_regions_changes_nothing_and_that_of_positions_does(tmp_path: Path) -> None:
    parts = ifaformer(tmp_path)
    post = shown(regions=4)
    crops = post.region_embeddings
    shuffled = post._replace(region_embeddings=tuple(crops[i] for i in (2, 0, 3, 1)))
    turned = post._replace(arrays={"grid": post.arrays["grid"][::-1].copy()})

    before = read(parts, [post]).words

    torch.testing.assert_close(read(parts, [shuffled]).words, before, rtol=0, atol=2e-6)
    assert not torch.allclose(read(parts, [turned]).words, before, atol=1e-3)


def test_a_post_is_seen_where_either_its_grid_or_its_regions_are_missing(tmp_path: Path) -> None:
    parts = ifaformer(tmp_path)
    post = shown()
    words = [
        read(parts, [seen]).words
        for seen in (post, post._replace(arrays={}), post._replace(region_embeddings=()))
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(words[one], words[other], atol=1e-3)
    # A store without image embeddings has no vectors of regions.
    blind = ifaformer(tmp_path / "blind", visual_dim=0)
    assert not hasattr(blind.network.fusion, "region")
    assert read(blind, [post]).words.isfinite().all()


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_every_parameter_and_every_stream_gets_a_gradient_and_is_trained(
    tmp_path: Path, task: str
) -> None:
    parts = ifaformer(tmp_path, task)
    batch = prepared_batch(parts, [shown(regions=3), shown("b", regions=1, positions=5)])
    grid = batch.arrays["grid"]
    values = grid.values.clone().requires_grad_()
    regions = batch.regions.clone().requires_grad_()
    arrays: dict[FeatureSet, Stacked] = {"grid": dataclasses.replace(grid, values=values)}

    losses = parts.network(dataclasses.replace(batch, arrays=arrays, regions=regions))
    losses.task.backward()

    named = dict(parts.network.named_parameters())
    assert [n for n, p in named.items() if p.grad is None or not p.grad.any()] == []
    groups = make_optimizer(parts.network, train_settings()).param_groups
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in named.values()}
    for stream, mask in ((values, grid.mask), (regions, batch.region_mask)):
        assert stream.grad is not None
        assert torch.equal(stream.grad.abs().sum(dim=-1) > 0, mask)
    assert losses.consistency is None


def test_each_stream_reads_the_other(tmp_path: Path) -> None:
    parts = ifaformer(tmp_path)
    batch = prepared_batch(parts, [shown(mentions=None)])
    other = prepared_batch(parts, [shown(words="quill sings", mentions=None)])
    inputs = []
    with torch.no_grad():
        for one in (batch, other):
            beside = parts.network.fusion.beside(one)
            parts.network.encoder(one.pieces, one.mask, torch.zeros_like(one.pieces), beside)
            inputs.append(beside.inputs)  # type: ignore[union-attr]

    (first, second), (same, different) = inputs
    assert torch.equal(first, same)
    assert not torch.allclose(second, different, atol=1e-3)


# --- stores that do not have what it reads -----------------------------------------------------


def refused(tmp_path: Path, store: MemoryStore) -> str:
    settings = model_settings(fusion="ifaformer")
    with pytest.raises(InputError) as error:
        train(store, "entities", settings, train_settings(), tmp_path)
    return str(error.value)


def test_a_store_without_grids_is_refused_with_the_command_that_adds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore([stored("a", "velora sings")])
    del store.manifest.feature_sets["grid"]
    monkeypatch.setattr(store, "path", Path("other"), raising=False)

    command = "ramie build RECIPE --store other --set 'observe.features=[\"grid\"]'"
    assert command in refused(tmp_path, store)


def test_a_store_in_which_no_post_has_a_photo_is_refused(tmp_path: Path) -> None:
    store = MemoryStore([stored(split, "velora", split=split) for split in ("train", "dev")])
    store.manifest.feature_sets["grid"] = SimpleNamespace(**dict(FeatureShape()))

    assert "set model.fusion to text_only" in refused(tmp_path, store)


def test_a_grid_with_more_positions_than_can_be_told_apart_is_refused(tmp_path: Path) -> None:
    parts = ifaformer(tmp_path)
    grid = np.zeros((1025, 5), np.float16)

    with pytest.raises(InputError, match="1025 positions is more than the 1024"):
        read(parts, [shown()._replace(arrays={"grid": grid})])


# --- a training in which only the photo tells --------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("task", "where"), [("entities", "grid"), ("relations", "region")])
def test_what_only_a_photo_or_a_region_tells_is_learned(
    tmp_path: Path, task: str, where: str
) -> None:
    store = store_told_by_photo(task, vector(3))
    for name, arrays in store.arrays.items():
        odd = int(name.split("-")[1]) % 2
        grid = 0.1 * arrays["grid"]
        if where == "grid":
            grid[4] += (1, -1, 0, 0, 0) if odd else (-1, 1, 0, 0, 0)
        else:
            crop = np.eye(6, dtype=np.float32)[odd]
            store.posts[name] = store.posts[name]._replace(region_embeddings=(crop,))
        arrays["grid"] = grid.astype(np.float16)

    assert learned("ifaformer", store, task, tmp_path, epochs=12) == 1.0
    assert learned("text_only", store, task, tmp_path, epochs=12) < 0.8
