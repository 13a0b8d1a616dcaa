"""HiURE: its losses, views and queue, what is drawn where and what follows, what it learns."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from discovery_helpers import (
    VIEWS,
    World,
    chattering,
    features,
    known,
    lively,
    reader,
    told_by_both,
    told_by_evidence,
    told_by_images,
    told_by_one_word,
    told_by_words,
)
from model_helpers import VISUAL_DIM, stored, whole_features
from torch import Tensor, nn

from cache.records import Span
from model.data import PreparedPost
from model.discovery.contrast import (
    Queue,
    concentrations,
    exemplar_loss,
    follow,
    instance_loss,
)
from model.discovery.found import Found, untrained
from model.discovery.hiure import Twins, hiure, unit
from model.discovery.pairs import PairNetwork, PairReader, Pairs, take_step
from model.discovery.propagation import Layer, exemplar_layers
from model.discovery.scores import cluster_scores
from model.discovery.settings import HiureSettings
from model.discovery.views import random_spans


def test_the_instance_loss_is_the_equation() -> None:
    torch.manual_seed(0)
    views, partners, others = (
        nn.functional.normalize(torch.randn(n, 5), dim=1) for n in (3, 3, 4)
    )

    found = instance_loss(views, partners, others, 0.3)

    total = 0.0
    for view, partner in zip(views, partners, strict=True):
        own = math.exp(float(view @ partner) / 0.3)
        rest = sum(math.exp(float(view @ other) / 0.3) for other in others)
        total -= math.log(own / (own + rest))
    assert float(found) == pytest.approx(total / 3, rel=1e-5)


def test_before_the_queue_holds_anything_the_batch_is_told_apart() -> None:
    same = torch.eye(3)

    assert float(instance_loss(same, same, None, 0.1)) < 1e-3
    assert float(instance_loss(same, same.roll(1, 0), None, 0.1)) > 1


@pytest.mark.parametrize("kept", [None, torch.tensor([0.0, 1.0, 0.0, 1.0])])
def test_the_exemplar_loss_is_the_equation(kept: Tensor | None) -> None:
    torch.manual_seed(0)
    views = nn.functional.normalize(torch.randn(3, 5), dim=1)
    exemplars = nn.functional.normalize(torch.randn(4, 5), dim=1)
    assigned, phi = torch.tensor([0, 3, 1]), torch.tensor([0.1, 0.2, 0.4, 0.3])

    found = exemplar_loss(views, exemplars, assigned, phi, kept)

    total = 0.0
    for view, own in zip(views, assigned.tolist(), strict=True):
        counted = [j for j in range(4) if kept is None or kept[j] or j == own]
        terms = {j: math.exp(float(view @ exemplars[j]) / float(phi[j])) for j in counted}
        total -= math.log(terms[own] / sum(terms.values()))
    assert float(found) == pytest.approx(total / 3, rel=1e-5)


def test_concentrations_are_the_equation_scaled_to_the_temperature() -> None:
    torch.manual_seed(0)
    vectors = nn.functional.normalize(torch.randn(30, 4), dim=1)
    assigned = torch.tensor([0] * 9 + [1] * 7 + [2] * 13 + [3])
    exemplars = vectors[[0, 9, 16, 29]]

    found = concentrations(vectors, exemplars, assigned, 10.0, 0.2)

    raw = []
    for cluster in range(3):
        own = [vector for vector, c in zip(vectors, assigned, strict=True) if c == cluster]
        width = sum(float((vector - exemplars[cluster]).norm()) for vector in own)
        raw.append(width / (len(own) * math.log(len(own) + 10.0)))
    raw.append(max(raw))  # alone with its exemplar: as wide as the widest
    clipped = np.clip(raw, np.quantile(raw, 0.1), np.quantile(raw, 0.9))
    assert found.numpy() == pytest.approx(clipped * 0.2 / clipped.mean(), rel=1e-4)


def test_the_slow_encoder_is_another_network_and_follows_by_momentum(tmp_path: Path) -> None:
    twins = Twins(reader(tmp_path).network(), 0.9)
    fast, slow = list(twins.fast.parameters()), list(twins.slow.parameters())
    before = [parameter.clone() for parameter in slow]
    assert not {p.data_ptr() for p in fast} & {p.data_ptr() for p in slow}

    with torch.no_grad():
        for parameter in fast:
            parameter.add_(1.0)
    twins.follow()

    for was, now, moved in zip(before, slow, fast, strict=True):
        torch.testing.assert_close(now, 0.9 * was + 0.1 * moved)
        assert not now.requires_grad


def test_following_is_not_being_the_same() -> None:
    slow, fast = nn.Linear(2, 2), nn.Linear(2, 2)
    follow(slow, fast, 0.0)

    assert torch.equal(slow.weight, fast.weight)
    assert slow.weight.data_ptr() != fast.weight.data_ptr()


def test_the_queue_keeps_the_last_vectors() -> None:
    queue = Queue(3)
    queue.push(torch.tensor([[1.0], [2.0]]), torch.tensor([7, 5]))
    queue.push(torch.tensor([[3.0], [4.0]]), torch.tensor([6, 7]))

    assert queue.vectors is not None
    assert queue.vectors.tolist() == [[2.0], [3.0], [4.0]]
    assert queue.of(torch.tensor([7, 5])).tolist() == [[False, False, True], [True, False, False]]


def test_a_pair_is_never_told_apart_from_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all posts fit into the queue, it holds each one's own vector of the epoch before."""
    seen: list[Tensor] = []

    def watched(*arguments: Any) -> Tensor:
        if arguments[2] is not None:
            seen.append(arguments[4])
        return instance_loss(*arguments)

    monkeypatch.setattr("model.discovery.hiure.instance_loss", watched)
    pairs = Pairs(features(told_by_words(12, "train")))

    hiure(reader(tmp_path), pairs, 3, HiureSettings(epochs=3, queue=100, instance_epochs=3))

    # 12 posts in steps of 8 and 4. From the second epoch on the queue holds every post.
    assert [mask.any(dim=1).all().item() for mask in seen[1:]] == [True] * 4


def test_what_is_of_the_post_itself_does_not_count() -> None:
    views, others = torch.eye(3), torch.eye(3)

    without = instance_loss(views, views, others, 0.3, torch.eye(3).bool())

    own, rest = math.exp(1 / 0.3), 2.0
    assert float(without) == pytest.approx(-math.log(own / (own + rest)), rel=1e-5)


def test_random_spans_hold_both_mentions_and_their_own_parse() -> None:
    post = stored(
        "a-1",
        "one two Velora three Tamber four five",
        relation="in",
        mentions=(Span(4, 5), Span(2, 3)),
    )
    pairs = Pairs([whole_features(post)])
    seen = set()
    for epoch in range(60):
        (view,) = random_spans(pairs, 1, epoch, 0).posts
        cut = view.example.post
        assert cut.head is not None
        assert cut.tail is not None
        assert cut.tokens[cut.head.start : cut.head.end] == ("Tamber",)
        assert cut.tokens[cut.tail.start : cut.tail.end] == ("Velora",)
        seen.add(cut.tokens)
        heads = view.arrays["parse"]
        assert len(heads) == len(cut.tokens)
        assert heads.max() < len(heads)
        first = 7 - len(post.example.post.tokens) + post.example.post.tokens.index(cut.tokens[0])
        whole = pairs.posts[0].arrays["parse"]
        for place, head in enumerate(heads):
            was = int(whole[first + place]) - first
            assert head == (was if 0 <= was < len(heads) else -1)
    assert len(seen) == 9
    views = [random_spans(pairs, 1, 0, view).posts[0].example.post for view in range(9)]
    assert len({view.tokens for view in views}) > 1


class WatchedTwins(Twins):
    """Twins that remember where they started and check each step of the slow one."""

    made: list[WatchedTwins]

    def __init__(self, fast: PairNetwork, momentum: float) -> None:
        super().__init__(fast, momentum)
        self.start = copy.deepcopy(fast)
        self.steps = 0
        self.read: dict[str, list[tuple[PreparedPost, ...]]] = {"fast": [], "slow": []}
        for name, network in (("fast", self.fast), ("slow", self.slow)):
            network.register_forward_pre_hook(functools.partial(self._reads, name))
        self.made.append(self)

    def _reads(self, name: str, network: nn.Module, given: tuple[Any, ...]) -> None:
        if network.training:
            self.read[name].append(given[0].posts)

    def follow(self) -> None:
        before = [parameter.clone() for parameter in self.slow.parameters()]
        super().follow()
        self.steps += 1
        both = zip(before, self.slow.parameters(), self.fast.parameters(), strict=True)
        for was, now, fast in both:
            torch.testing.assert_close(now, 0.9 * was + 0.1 * fast)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[WatchedTwins]:
    """Return where the twins of a training will be."""
    monkeypatch.setattr(WatchedTwins, "made", [], raising=False)
    monkeypatch.setattr("model.discovery.hiure.Twins", WatchedTwins)
    return WatchedTwins.made


@pytest.mark.parametrize("fusion", ["text_only", "synthesis"])
def test_the_whole_fast_encoder_is_trained_and_the_slow_one_follows_each_step(
    tmp_path: Path, watched: list[WatchedTwins], fusion: str
) -> None:
    # Nothing but a gradient moves a weight.
    reads = reader(tmp_path, fusion, visual_dim=VISUAL_DIM, weight_decay=0.0)
    settings = HiureSettings(epochs=3, layers=(4, 2), momentum=0.9)

    hiure(reads, Pairs(features(told_by_both(12, "train"))), 3, settings)

    (twins,) = watched
    assert twins.steps == 6
    assert twins.fast is not twins.slow
    start, fast, slow = (
        dict(network.named_parameters()) for network in (twins.start, twins.fast, twins.slow)
    )
    for name, was in start.items():
        assert fast[name].data_ptr() != slow[name].data_ptr(), name
        # A key's bias moves all scores of a softmax alike.
        if name.endswith("key.bias"):
            continue
        trained = fast[name].requires_grad
        assert trained == (not name.startswith("extractor.head."))
        assert torch.equal(fast[name], was) != trained, name
        assert torch.equal(slow[name], was) != trained, name
        assert torch.equal(slow[name], fast[name]) != trained, name


def test_the_two_encoders_read_two_random_spans_of_the_same_posts(
    tmp_path: Path, watched: list[WatchedTwins]
) -> None:
    pairs = Pairs(features(told_by_words(12, "train")))

    hiure(reader(tmp_path), pairs, 3, HiureSettings(epochs=2, layers=(4, 2), momentum=0.9))

    read = watched[0].read
    assert len(read["fast"]) == len(read["slow"]) == 4
    different, whole = 0, {post.example.post.tokens for post in pairs.posts}
    for mine, other in zip(read["fast"], read["slow"], strict=True):
        for one, two in zip(mine, other, strict=True):
            assert one.example.post.example_id == two.example.post.example_id
            different += one.example.post.tokens != two.example.post.tokens
    assert different > 8
    for posts in read.values():
        assert not all(post.example.post.tokens in whole for step in posts for post in step)


def test_exemplars_and_clusters_are_those_of_the_slow_encoder(
    tmp_path: Path, watched: list[WatchedTwins], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[nn.Module] = []
    look = PairReader.look

    def watching(reads: PairReader, network: nn.Module, posts: Sequence[PreparedPost]) -> Tensor:
        looked.append(network)
        return look(reads, network, posts)

    monkeypatch.setattr(PairReader, "look", watching)
    pairs = Pairs(features(told_by_words(12, "train")))

    hiure(reader(tmp_path), pairs, 3, HiureSettings(epochs=3, layers=(4, 2), momentum=0.9)).assign(
        pairs
    )

    # Exemplars of two epochs, the centres of the clusters, and who is in which.
    assert [network is watched[0].slow for network in looked] == [True] * 4


@dataclass
class Step:
    """What was computed for one step.

    Attributes:
        told_apart: the instance loss.
        drawn: views, exemplars, assignment, concentration and kept of each exemplar loss.
        losses: what they were.
        total: what the step went down.
        ids: of the posts.
    """

    told_apart: Tensor
    drawn: list[tuple[Any, ...]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    total: Tensor | None = None
    ids: list[str] = field(default_factory=list)


class Steps:
    """Watches the losses of a training, and the layers that are chosen before each epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[Step] = []
        self.layers: list[tuple[Tensor, list[Layer]]] = []
        for name in ("instance_loss", "exemplar_loss", "exemplar_layers", "take_step"):
            monkeypatch.setattr(f"model.discovery.hiure.{name}", getattr(self, name))

    def instance_loss(self, *given: Any) -> Tensor:
        self.steps.append(Step(instance_loss(*given)))
        return self.steps[-1].told_apart

    def exemplar_loss(self, *given: Any) -> Tensor:
        step = self.steps[-1]
        step.drawn.append(given)
        step.losses.append(exemplar_loss(*given))
        return step.losses[-1]

    def exemplar_layers(self, points: Tensor, *given: Any, **named: Any) -> list[Layer]:
        self.layers.append((points, exemplar_layers(points, *given, **named)))
        return self.layers[-1][1]

    def take_step(self, optimizer: Any, loss: Tensor, *given: Any) -> None:
        step, (_, posts) = self.steps[-1], given
        step.total, step.ids = loss, [post.example.post.example_id for post in posts]
        take_step(optimizer, loss, *given)


@pytest.mark.parametrize(
    ("instance_epochs", "negatives"), [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]
)
def test_exemplars_of_every_layer_draw_in_every_step_once_they_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance_epochs: int, negatives: int
) -> None:
    pairs = Pairs(features(told_by_words(12, "train")))
    number = {post.example.post.example_id: row for row, post in enumerate(pairs.posts)}
    settings = HiureSettings(
        epochs=3, layers=(5, 2), instance_epochs=instance_epochs, negatives=negatives
    )
    watched = Steps(monkeypatch)

    hiure(lively(reader(tmp_path)), pairs, 3, settings)

    assert len(watched.steps) == 6
    assert len(watched.layers) == 3 - instance_epochs
    for place, step in enumerate(watched.steps):
        chosen = place // 2 - instance_epochs
        points, layers = watched.layers[chosen] if chosen >= 0 else (torch.empty(0), [])
        assert len(step.drawn) == len(layers) == (2 if chosen >= 0 else 0)
        assert step.total is not None
        drawn = torch.stack(step.losses).mean() if layers else torch.zeros(())
        torch.testing.assert_close(step.total, step.told_apart + drawn)
        rows = [number[name] for name in step.ids]
        for layer, given in zip(layers, step.drawn, strict=True):
            views, exemplars, assigned, concentration, kept = given
            assert views.requires_grad
            assert torch.equal(exemplars, points[layer.exemplars])
            assert torch.equal(assigned, layer.assigned[rows])
            phi = concentrations(points, exemplars, layer.assigned, 10.0, 0.2)
            assert torch.equal(concentration, phi)
            told = 0 if kept is None else int(kept.sum())
            assert told == (negatives if negatives < len(exemplars) - 1 else 0)
        torch.testing.assert_close(points, unit(points))


LEARNS = HiureSettings(epochs=16, layers=(8, 3), queue=64, momentum=0.95)


def told_by_view(view: str) -> World:
    return functools.partial(told_by_images, telling=(view,))


@pytest.mark.parametrize(
    ("fusion", "world", "letters"),
    [
        pytest.param("text_only", told_by_one_word, 8, id="words"),
        *(pytest.param("synthesis", told_by_view(view), 1, id=view) for view in VIEWS),
        pytest.param("synthesis", told_by_evidence, 1, id="evidence", marks=pytest.mark.slow),
    ],
)
def test_random_spans_teach_which_words_say_nothing(
    tmp_path: Path, fusion: str, world: World, letters: int
) -> None:
    """A word of random letters decides the clusters of the network that nobody trained."""
    train = features(chattering(world(36, "train"), letters))
    test = features(chattering(world(18, "test", 36), letters))
    visual_dim = VISUAL_DIM if fusion == "synthesis" else 0
    reads = lively(reader(tmp_path, fusion, seed=2, visual_dim=visual_dim, batch_size=12))

    def score(found: Found) -> float:
        return cluster_scores(known(test), found.assign(Pairs(test)).tolist()).ari

    assert score(untrained(reads, Pairs(train), 3)) < 0.6
    assert score(hiure(reads, Pairs(train), 3, LEARNS)) > 0.9
