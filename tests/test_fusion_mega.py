"""Graph alignment of words and regions, against loops over graphs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
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
from numpy.typing import NDArray
from photo_tells import learned, post_told_by_photo
from torch import Tensor

from cache.errors import InputError
from cache.reader import Features
from cache.records import FeatureSet, Region, Span, StoredExample
from cache.region_graph import REGION_RELATIONS
from model.build import Parts, load_parts
from model.fusion.graph_alignment import signatures, tree_edges, without_loops
from model.fusion.mega import Mega, token_of_unit
from model.network import Reading
from model.training import train

OVERLAPS = 1 << REGION_RELATIONS.index("overlaps")
LEFT_OF = 1 << REGION_RELATIONS.index("left of")
SENTENCE = "the person in the club sings a river quill velora"
MENTIONS = (Span(1, 2), Span(4, 6))


def shown(
    example_id: str = "a",
    words: str = SENTENCE,
    *,
    regions: int = 4,
    mentions: tuple[Span, Span] | None = None,
    order: Sequence[int] | None = None,
    blind: Sequence[int] = (),
) -> Features:
    """Return a post with regions, those in ``blind`` without a vector, in the given order."""
    example = stored(example_id, words, photo=True, mentions=mentions, relation="in")
    chance = np.random.default_rng(len(example_id) + regions)
    order = list(range(regions)) if order is None else order
    vectors = [v / np.linalg.norm(v) for v in chance.normal(size=(regions, 6)).astype(np.float32)]
    graph = (OVERLAPS * (chance.random((regions, regions)) < 0.4)).astype(np.uint8)
    graph |= (LEFT_OF * (chance.random((regions, regions)) < 0.5)).astype(np.uint8)
    found = [
        Region((0.0, 0.0, 9.0, 9.0), "dog", 0.9, None if i in blind else vectors[i]) for i in order
    ]
    seen = dataclasses.replace(example.observation, regions=tuple(found))
    features = whole_features(StoredExample(example.example, seen, ()))
    parse = features.arrays["parse"]
    return features._replace(
        arrays={"parse": parse, "region_graph": graph[np.ix_(order, order)]} if regions else {}
    )


def read(parts: Parts, posts: Sequence[Features]) -> Reading:
    with torch.no_grad():
        batch = parts.collator([parts.preparer.prepare(post) for post in posts])
        return parts.network.read(batch)


def mega(tmp_path: Path, task: str = "entities", **changes: Any) -> Parts:
    labels = ("None", "in") if task == "relations" else ("O", "B-LOC", "I-LOC")
    return make_parts(tmp_path, task=task, labels=labels, fusion="mega", **changes)


# the slow reference


def slow_signature(neighbours: Sequence[set[int]], node: int) -> list[float]:
    """Return degrees of the nodes 1 and 2 steps away, binned by powers of two, by definition."""
    one = set(neighbours[node])
    two = {b for a in one for b in neighbours[a]} - one - {node}
    counts = [0.0] * 8
    for discount, nodes in ((1.0, one), (0.01, two)):
        for other in nodes:
            counts[int(math.log2(len(neighbours[other])))] += discount
    return counts


def slow_neighbours(edges: Sequence[tuple[int, int]], nodes: int) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in range(nodes)]
    for a, b in edges:
        if a != b:
            found[a].add(b)
            found[b].add(a)
    return found


def slow_words(parts: Parts, post: Features, token_of: Sequence[int]) -> Tensor:
    """Return the fused words of one post, by its docstring's equations and no batch."""
    fusion = parts.network.fusion
    assert isinstance(fusion, Mega)
    prepared = parts.preparer.prepare(post)
    batch = parts.collator([prepared])
    segments = torch.zeros_like(batch.pieces)
    states = parts.network.encoder(batch.pieces, batch.mask, segments)
    words = torch.cat([states[w, batch.starts[w, batch.unit_mask[w]]] for w in range(len(states))])
    heads, graph = post.arrays["parse"].tolist(), post.arrays["region_graph"]
    of_tokens = slow_neighbours([(i, h) for i, h in enumerate(heads) if h >= 0], len(heads))
    pairs = np.argwhere(graph & OVERLAPS)
    of_regions = slow_neighbours([(int(a), int(b)) for a, b in pairs], len(graph))
    total = torch.zeros(words.shape[1])
    for vector, index in zip(prepared.regions, prepared.region_indices, strict=True):
        query = fusion.query(fusion.regions(torch.from_numpy(vector)))
        logits = torch.stack([query @ fusion.key(word) for word in words]) / math.sqrt(len(query))
        shares = logits.softmax(0)
        attended = _sum(w * fusion.value(h) for w, h in zip(shares, words, strict=True))
        mine = slow_signature(of_regions, index)
        alike = torch.tensor(
            [
                math.exp(-(math.dist(mine, slow_signature(of_tokens, token)) ** 2))
                for token in token_of
            ]
        )
        structural = _sum(r * h for r, h in zip(alike / alike.sum(), words, strict=True))
        total = total + fusion.aligned(torch.cat([torch.sigmoid(attended), structural]))
    mean = total / len(prepared.regions)
    rows = [word + torch.sigmoid(fusion.gate(torch.cat([word, mean]))) * mean for word in words]
    return torch.stack(rows)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum(dim=0)


@torch.no_grad()
@pytest.mark.parametrize("max_pieces", [64, 9])
def test_words_are_those_of_the_equations(tmp_path: Path, max_pieces: int) -> None:
    parts = mega(tmp_path, max_pieces=max_pieces)
    posts = [shown("a"), shown("bb", "velora sings", regions=1), shown("ccc", regions=7)]

    words = read(parts, posts).words

    for row, post in enumerate(posts):
        tokens = len(post.example.post.tokens)
        expected = slow_words(parts, post, range(tokens))
        torch.testing.assert_close(words[row, :tokens], expected, rtol=0, atol=2e-5)
    windows = len(parts.preparer.prepare(posts[0]).windows)
    assert windows == {64: 1, 9: 2}[max_pieces]


@torch.no_grad()
def test_markers_stand_where_the_token_that_they_open_or_close_stands(tmp_path: Path) -> None:
    parts = mega(tmp_path, "relations", max_pieces=64)
    posts = [
        shown("a", mentions=MENTIONS),
        shown("b", "quill in velora", mentions=(Span(2, 3), Span(0, 1))),
    ]
    batch = parts.collator([parts.preparer.prepare(post) for post in posts])

    # the [E1] person [/E1] in the [E2] club sings [/E2] a ...
    # [E2] quill [/E2] in [E1] velora [/E1]
    of_unit = [[0, 1, 1, 1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9], [0, 0, 0, 1, 2, 2, 2]]
    found = token_of_unit(batch)
    assert found[0].tolist() == of_unit[0]
    assert found[1, : len(of_unit[1])].tolist() == of_unit[1]
    words = read(parts, posts).words
    for row, post in enumerate(posts):
        expected = slow_words(parts, post, of_unit[row])
        torch.testing.assert_close(words[row, : len(expected)], expected, rtol=0, atol=2e-5)


def test_markers_of_nested_and_equal_mentions_stand_at_their_own_tokens(tmp_path: Path) -> None:
    parts = mega(tmp_path, "relations")
    nested = shown("a", "velora sings", mentions=(Span(0, 2), Span(1, 2)))
    equal = shown("b", "velora sings", mentions=(Span(1, 2), Span(1, 2)))
    batch = parts.collator([parts.preparer.prepare(post) for post in (nested, equal)])

    # [E1] velora [E2] sings [/E2] [/E1]; velora [E1] [E2] sings [/E2] [/E1]
    assert token_of_unit(batch).tolist() == [[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]]


def test_signatures_are_degree_counts_around_the_node() -> None:
    chance = np.random.default_rng(3)
    for nodes in (1, 2, 5, 20):
        drawn = torch.from_numpy(chance.random((3, nodes, nodes)) < 0.3)
        found = signatures(without_loops(drawn | drawn.transpose(1, 2)))
        for graph, row in zip(drawn, found, strict=True):
            neighbours = slow_neighbours([tuple(pair) for pair in graph.nonzero().tolist()], nodes)
            expected = [slow_signature(neighbours, node) for node in range(nodes)]
            torch.testing.assert_close(row, torch.tensor(expected))


def test_a_worked_signature() -> None:
    # 0 - 1 - 2, 1 - 3: node 0 sees one neighbour of degree 3, and two of degree 1 behind it.
    edges = tree_edges(torch.tensor([[1, -1, 1, 1, 0]]), torch.tensor([[True] * 4 + [False]]))

    assert edges[0].nonzero().tolist() == [[0, 1], [1, 0], [1, 2], [1, 3], [2, 1], [3, 1]]
    found = signatures(edges)[0]
    torch.testing.assert_close(found[0, :3], torch.tensor([0.02, 1.0, 0.0]))
    torch.testing.assert_close(found[1, :3], torch.tensor([3.0, 0.0, 0.0]))
    assert not found[4].any()


def test_heads_that_lie_outside_of_the_sentence_are_no_edges() -> None:
    heads = torch.tensor([[5, 3, -7, 3], [1, 1, 0, 0]])
    edges = tree_edges(
        heads, torch.tensor([[True, True, True, False], [True, True, False, False]])
    )

    assert not edges[0].any()
    assert edges[1].nonzero().tolist() == [[0, 1], [1, 0]]


# what must hold for every network


def test_padding_changes_nothing(tmp_path: Path) -> None:
    parts = mega(tmp_path)
    short = shown("short", "velora sings", regions=2)
    others = [shown("bare", "quill", regions=0), shown("long", regions=6)]

    alone = read(parts, [short]).words[0]
    together = read(parts, [others[0], short, others[1]]).words[1, :2]

    torch.testing.assert_close(together, alone, rtol=0, atol=2e-6)


def test_what_stands_in_the_padding_of_arrays_and_regions_is_never_read(tmp_path: Path) -> None:
    parts = mega(tmp_path)
    posts = [shown("short", "velora sings", regions=2), shown("long", regions=6)]
    batch = parts.collator([parts.preparer.prepare(post) for post in posts])
    parse, graph = batch.arrays["parse"], batch.arrays["region_graph"]
    heads = parse.values.masked_fill(~parse.mask, 1)
    outside = ~(graph.mask[:, :, None] & graph.mask[:, None])
    edges = graph.values.masked_fill(outside, OVERLAPS)
    loud = dataclasses.replace(
        batch,
        arrays={
            "parse": dataclasses.replace(parse, values=heads),
            "region_graph": dataclasses.replace(graph, values=edges),
        },
        regions=batch.regions.masked_fill(~batch.region_mask[..., None], 1e3),
    )
    with torch.no_grad():
        quiet_words = parts.network.read(batch).words
        loud_words = parts.network.read(loud).words

    assert torch.equal(quiet_words[0, :2], loud_words[0, :2])
    assert torch.equal(quiet_words[1], loud_words[1])


def test_the_order_of_regions_changes_nothing(tmp_path: Path) -> None:
    parts = mega(tmp_path)

    before = read(parts, [shown(regions=5)]).words
    after = read(parts, [shown(regions=5, order=[3, 0, 4, 2, 1])]).words

    torch.testing.assert_close(after, before, rtol=0, atol=2e-6)


@torch.no_grad()
def test_a_region_without_a_vector_keeps_its_place_in_the_graph(tmp_path: Path) -> None:
    parts = mega(tmp_path, max_pieces=64)
    post = shown(regions=5, blind=(0, 3))
    assert parts.preparer.prepare(post).region_indices == (1, 2, 4)

    expected = slow_words(parts, post, range(len(post.example.post.tokens)))

    torch.testing.assert_close(read(parts, [post]).words[0], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_without_regions_it_is_text_only_to_the_bit(tmp_path: Path, task: str) -> None:
    full = mega(tmp_path / "full", task)
    labels = full.run.labels
    plain = make_parts(tmp_path / "plain", task=task, labels=labels, fusion="text_only")
    shared = {k: v for k, v in full.network.state_dict().items() if not k.startswith("fusion.")}
    plain.network.load_state_dict(shared)
    bare = [
        shown("a", regions=0, mentions=MENTIONS),
        shown("b", "quill in velora", regions=0, mentions=(Span(0, 1), Span(2, 3))),
    ]
    mixed = [bare[0], shown("c", mentions=MENTIONS)]

    assert torch.equal(read(full, bare).words, read(plain, bare).words)
    assert torch.equal(read(full, mixed).words[0], read(plain, mixed).words[0])
    assert not torch.allclose(read(full, mixed).words[1], read(plain, mixed).words[1], atol=1e-3)


def test_a_post_whose_arrays_are_missing_is_read_without_graphs(tmp_path: Path) -> None:
    parts = mega(tmp_path)
    post = shown(regions=3)._replace(arrays={})
    none = np.zeros((3, 3), np.uint8)
    tokens = len(post.example.post.tokens)
    flat = post._replace(arrays={"parse": np.full(tokens, -1, np.int16), "region_graph": none})

    torch.testing.assert_close(read(parts, [post]).words, read(parts, [flat]).words)


def test_each_graph_and_the_regions_decide_what_is_read(tmp_path: Path) -> None:
    parts = mega(tmp_path)
    post = shown(regions=4)
    words = read(parts, [post]).words

    def changed(other: Features) -> float:
        return float((read(parts, [other]).words - words).abs().max())

    def with_array(name: FeatureSet, array: NDArray[Any]) -> Features:
        return post._replace(arrays={**post.arrays, name: array})

    chain = np.arange(-1, len(post.example.post.tokens) - 1, dtype=np.int16)
    assert changed(with_array("parse", chain)) > 1e-4
    assert changed(with_array("region_graph", np.full((4, 4), OVERLAPS, np.uint8))) > 1e-4
    beside = post.arrays["region_graph"] | np.uint8(LEFT_OF)
    assert changed(with_array("region_graph", beside)) == 0
    vectors = tuple(-v for v in post.region_embeddings if v is not None)
    assert changed(post._replace(region_embeddings=vectors)) > 1e-4


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_every_parameter_and_every_region_gets_a_gradient(tmp_path: Path, task: str) -> None:
    parts = mega(tmp_path, task)
    mentions = MENTIONS if task == "relations" else None
    batch = parts.collator([parts.preparer.prepare(shown(regions=3, mentions=mentions))])
    regions = batch.regions.clone().requires_grad_()

    losses = parts.network(dataclasses.replace(batch, regions=regions))
    losses.task.backward()

    silent = [
        name
        for name, parameter in parts.network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []
    assert losses.consistency is None
    assert regions.grad is not None
    assert regions.grad.abs().sum(dim=-1).all()


def test_under_bfloat16_words_stay_near(tmp_path: Path) -> None:
    parts = mega(tmp_path)
    posts = [shown("a"), shown("b", "velora sings", regions=2)]
    plain = read(parts, posts).words
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = read(parts, posts).words

    assert half.dtype == torch.float32
    torch.testing.assert_close(half, plain, rtol=0, atol=0.1)


def test_a_store_without_image_embeddings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mega.*observe\.encoder"):
        mega(tmp_path, visual_dim=0)


# a training in which only the regions tell


def told_by_regions(count: int, split: str, offset: int, task: str) -> list[StoredExample]:
    """Return posts about names of letters; only the region says which label is right."""
    posts = []
    for number in range(offset, offset + count):
        kind = number % 2
        # Each name occurs with both labels: words alone are right half of the time.
        name = "".join(chr(97 + (number // 2 * step + step) % 26) for step in (3, 5, 7))
        words, vector = f"the {name} sings in {name}", np.eye(6, dtype=np.float32)[kind]
        posts.append(post_told_by_photo(f"{split}-{number}", words, kind, task, vector))
    return posts


@pytest.mark.slow
@pytest.mark.parametrize("task", ["entities", "relations"])
def test_what_only_regions_tell_is_learned(tmp_path: Path, task: str) -> None:
    store = MemoryStore(
        [
            *told_by_regions(24, "train", 0, task),
            *told_by_regions(8, "dev", 24, task),
            *told_by_regions(8, "test", 32, task),
        ]
    )

    assert learned("mega", store, task, tmp_path, epochs=14, rate=1e-3) > 0.95
    assert learned("text_only", store, task, tmp_path, epochs=14, rate=1e-3) < 0.7


def test_a_saved_network_reads_as_before(tmp_path: Path) -> None:
    store = MemoryStore(
        [*told_by_regions(4, "train", 0, "entities"), *told_by_regions(4, "dev", 4, "entities")]
    )
    train(
        store,
        "entities",
        model_settings(fusion="mega"),
        train_settings(epochs=1),
        tmp_path,
        device="cpu",
    )
    one, other = load_parts(tmp_path), load_parts(tmp_path)
    posts = [store.features(i) for i in store.example_ids("dev")]
    posts = [p._replace(arrays=store.arrays[p.example.post.example_id]) for p in posts]

    assert one.run.shapes.keys() == {"parse", "region_graph"}
    assert torch.equal(read(one, posts).words, read(other, posts).words)
