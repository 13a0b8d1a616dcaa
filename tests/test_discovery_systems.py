"""SelfORE, HiURE and MetaSRE: equations, what is trained, what they find, repeatability."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from discovery_helpers import (
    RELATIONS,
    features,
    pictured,
    reader,
    told_by_evidence,
    told_by_images,
    told_by_words,
)
from model_helpers import VISUAL_DIM, stored, whole_features
from torch import Tensor, nn

from cache.errors import InputError, RamieError
from cache.reader import Features
from cache.records import Span, StoredExample
from model.discovery.classify import PairClassifier, Teacher
from model.discovery.contrast import (
    Queue,
    concentrations,
    exemplar_loss,
    follow,
    instance_loss,
)
from model.discovery.few import Best, few_labels, guesses, micro_f1, relation_of, supervised
from model.discovery.found import Found
from model.discovery.hiure import Twins, hiure
from model.discovery.metasre import Judged, judge, metasre, parts_of, surest
from model.discovery.pairs import PairReader, Pairs, make_optimizer, take_step
from model.discovery.scores import cluster_scores
from model.discovery.selfore import selfore
from model.discovery.settings import HiureSettings, MetaSreSettings, SelfOreSettings
from model.discovery.views import random_spans

SELFORE = SelfOreSettings(loops=2, epochs=4, hidden=32, latent=4, warm_epochs=30, refine_epochs=10)
HIURE = HiureSettings(epochs=3, layers=(8, 3), queue=64, momentum=0.9)
METASRE = MetaSreSettings(increments=2, unlabelled=0.9, warm_steps=200, steps=30, meta_steps=2)
Method = Callable[[PairReader, Pairs], Found]
World = Callable[..., list[StoredExample]]
METHODS: dict[str, Method] = {
    "selfore": lambda reader, pairs: selfore(reader, pairs, 3, SELFORE),
    "hiure": lambda reader, pairs: hiure(reader, pairs, 3, HIURE),
}


def known(posts: list[Features]) -> list[str]:
    return [relation_of(post) for post in posts]


# What is read


@pytest.mark.parametrize("fusion", ["text_only", "synthesis"])
def test_a_pair_is_the_fused_states_at_the_two_opening_markers(
    tmp_path: Path, fusion: str
) -> None:
    reads = reader(tmp_path, fusion)
    network = reads.network().eval()
    posts = reads.prepare(Pairs(features(told_by_words(3, "train"))))

    found = reads.look(network, posts)

    batch = reads.batch(posts)
    words = network.extractor.read(batch).words
    for row, post in enumerate(posts):
        head, tail = words[row, post.head_unit], words[row, post.tail_unit]
        torch.testing.assert_close(found[row], torch.cat([head, tail]), rtol=1e-4, atol=1e-5)


def test_pairs_hold_no_annotation(tmp_path: Path) -> None:
    posts = features(told_by_words(3, "train"))

    pairs = Pairs(posts)

    assert {post.example.relation for post in posts} == set(RELATIONS)
    for post in pairs.posts:
        assert post.example.relation is None
        assert post.example.entities is None
    reads = reader(tmp_path)
    assert reads.batch(reads.prepare(pairs)).relations is None


@pytest.mark.parametrize("method", METHODS)
def test_other_labels_give_the_same_clusters_and_so_does_the_same_seed(
    tmp_path: Path, method: str
) -> None:
    posts = features(told_by_words(18, "train"))
    relabelled = [
        post._replace(
            example=type(post.example)(post.example.post, "train", (), f"other {place % 5}")
        )
        for place, post in enumerate(posts)
    ]
    clusters = []
    for given in (posts, relabelled):
        found = METHODS[method](reader(tmp_path, "synthesis"), Pairs(given))
        clusters.append(found.assign(Pairs(given)).tolist())

    assert clusters[0] == clusters[1]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("fusion", "world"), [("text_only", told_by_words), ("synthesis", told_by_evidence)]
)
def test_clusters_of_a_tiny_world_are_far_above_chance(
    tmp_path: Path, method: str, fusion: str, world: Callable[..., list[object]]
) -> None:
    train, test = features(world(60, "train")), features(world(30, "test", 60))  # type: ignore[arg-type]

    found = METHODS[method](reader(tmp_path, fusion), Pairs(train)).assign(Pairs(test)).tolist()

    chance = np.random.default_rng(0)
    by_chance = [
        cluster_scores(known(test), chance.permutation(found).tolist()).ari for _ in range(200)
    ]
    assert cluster_scores(known(test), found).ari > max(by_chance)
    if world is told_by_evidence:
        blind = METHODS[method](reader(tmp_path, "text_only"), Pairs(train)).assign(Pairs(test))
        assert cluster_scores(known(test), blind.tolist()).ari == 0


SHORT_SELFORE = SELFORE.model_copy(update={"loops": 1, "epochs": 15})
SHORT_HIURE = HIURE.model_copy(update={"epochs": 2, "instance_epochs": 2})
SHORT_METASRE = MetaSreSettings(increments=1, warm_steps=20, steps=20, meta_steps=2)


def learned(
    method: str, reads: PairReader, world: World, meta: MetaSreSettings = SHORT_METASRE
) -> tuple[list[str], list[str]]:
    """Return the relations of some test posts, and what a short training says of each."""
    train, test = features(world(12, "train")), features(world(6, "test", 12))
    if method == "metasre":
        few = few_labels(reads, train, test, 0.5, 0.5)
        return known(test), guesses(reads, few, metasre(reads, few, meta).classifier, few.dev)
    if method == "selfore":
        found = selfore(reads, Pairs(train), 3, SHORT_SELFORE)
    else:
        found = hiure(reads, Pairs(train), 3, SHORT_HIURE)
    return known(test), [str(cluster) for cluster in found.assign(Pairs(test))]


@pytest.mark.parametrize("method", [*METHODS, "metasre"])
def test_what_only_images_tell_is_found(tmp_path: Path, method: str) -> None:
    reads = reader(tmp_path, "synthesis", visual_dim=VISUAL_DIM)

    relations, found = learned(method, reads, told_by_images)

    assert cluster_scores(relations, found).ari == 1
    if method == "metasre":
        assert found == relations


# Steps


@pytest.mark.parametrize("fusion", ["text_only", "synthesis", "more"])
def test_the_optimizer_holds_every_trained_parameter_once_at_its_rate(
    tmp_path: Path, fusion: str
) -> None:
    reads = reader(tmp_path, fusion, visual_dim=VISUAL_DIM)
    classifier = PairClassifier(reads.network(), 3, 0.0)

    optimizer = make_optimizer([classifier], reads.train)

    trained = {id(p): name for name, p in classifier.named_parameters() if p.requires_grad}
    held = {id(p): g["peak"] for g in optimizer.param_groups for p in g["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(trained)
    settings = reads.train
    for key, name in trained.items():
        pretrained = ".backbone." in name
        rate = settings.learning_rate if pretrained else settings.head_learning_rate
        assert held[key] == rate, name


@pytest.mark.parametrize("method", [*METHODS, "metasre"])
def test_a_loss_that_is_not_finite_names_all_posts_of_the_step(
    tmp_path: Path, method: str
) -> None:
    """MetaSRE's second step is the judge's: of posts with labels and without."""
    reads = reader(tmp_path, batch_size=12, learning_rate=1e30, head_learning_rate=1e30)
    meta = MetaSreSettings(increments=1, warm_steps=1, steps=1, meta_steps=1)

    with pytest.raises(RamieError, match="loss that is not finite") as refused:
        learned(method, reads, told_by_words, meta)

    for number in range(12):
        assert f"train-{number:03}" in str(refused.value)


def test_a_gradient_that_is_not_finite_names_the_posts_and_changes_nothing(
    tmp_path: Path,
) -> None:
    reads = reader(tmp_path)
    posts = reads.prepare(Pairs(features(told_by_words(12, "train"))))
    weight = nn.Parameter(torch.zeros(1))

    with pytest.raises(RamieError, match=r"gradient .* not finite .*train-000, .*train-011\. "):
        take_step(torch.optim.AdamW([weight]), weight.sqrt().sum(), reads.train, posts)

    assert weight.item() == 0


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("selfore", "model.discovery.classify.weighted_loss"),
        ("selfore", "torch.optim.AdamW.step"),
        ("hiure", "model.discovery.hiure.instance_loss"),
        ("hiure", "torch.optim.AdamW.step"),
        ("metasre", "model.discovery.metasre.judge"),
        ("metasre", "model.discovery.metasre.step_along_gradients"),
    ],
)
def test_too_little_memory_in_a_step_names_the_size_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, where: str
) -> None:
    def exhausted(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(where, exhausted)

    with pytest.raises(
        RamieError, match=r"out of memory with \d+ posts \(.*\. Lower train\.batch"
    ):
        learned(method, reader(tmp_path), told_by_words)


# HiURE


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


# MetaSRE


class Judges:
    """A classifier and a generator in double precision, with a batch of either kind."""

    def __init__(self, folder: Path, fusion: str, world: World = told_by_words) -> None:
        reads = reader(folder, fusion, visual_dim=0 if world is told_by_words else VISUAL_DIM)
        few = few_labels(reads, features(world(12, "train")), features(world(3, "dev")), 0.5, 0.5)
        torch.manual_seed(3)
        self.classifier, self.generator = (
            PairClassifier(reads.network(), 3, 0.0).eval() for _ in range(2)
        )
        self.guessed = reads.batch(few.unlabelled)
        self.known = (reads.batch(few.labelled.posts), torch.from_numpy(few.labelled.classes))

    def judged(self, rate: float) -> Judged:
        return judge(self.classifier, self.generator, self.guessed, self.known, rate)


def slow_judgement(judges: Judges, rate: float) -> float:
    """Take the trial step for real, on a copy, and look at the loss; no graph goes through it."""
    import copy

    classifier = copy.deepcopy(judges.classifier)
    with torch.no_grad():
        guesses = judges.generator(judges.guessed).softmax(-1)
        weights = (guesses.max(-1).values - 1).exp()
    scores = classifier(judges.guessed).log_softmax(-1)
    loss = -(weights * (guesses * scores).sum(-1)).sum() / weights.sum()
    optimizer = torch.optim.SGD([p for p in classifier.parameters() if p.requires_grad], rate)
    loss.backward()
    optimizer.step()
    batch, classes = judges.known
    with torch.no_grad():
        return float(nn.functional.cross_entropy(classifier(batch), classes))


def told_by_both(count: int, split: str, offset: int = 0) -> list[StoredExample]:
    return pictured(told_by_words(count, split, offset))


@pytest.mark.parametrize(
    ("fusion", "world"),
    [
        ("text_only", told_by_words),
        ("synthesis", told_by_words),
        ("synthesis", told_by_images),
        ("synthesis", told_by_both),
    ],
)
def test_the_generators_gradient_is_what_a_small_change_of_it_does_to_the_classifier(
    tmp_path: Path, fusion: str, world: World
) -> None:
    judges, rate = Judges(tmp_path, fusion, world), 2.0

    judged = judges.judged(rate)

    assert float(judged.loss) == pytest.approx(slow_judgement(judges, rate), rel=1e-4)
    learned = [p for p in judges.generator.parameters() if p.requires_grad]
    # Along the gradient itself: the derivative in that direction is its length.
    length = math.sqrt(sum(float(g.square().sum()) for g in judged.gradients))
    assert length > 1e-4
    # So small that the loss is nearly straight, so large that float32 still sees it.
    change, losses = 0.01 / length, []
    for sign in (1.0, -2.0):
        with torch.no_grad():
            for parameter, gradient in zip(learned, judged.gradients, strict=True):
                parameter.add_(gradient / length, alpha=sign * change)
        losses.append(slow_judgement(judges, rate))
    assert (losses[0] - losses[1]) / (2 * change) == pytest.approx(length, rel=0.05)


def test_the_judgement_changes_neither_network(tmp_path: Path) -> None:
    judges = Judges(tmp_path, "text_only")
    before = [p.clone() for n in (judges.classifier, judges.generator) for p in n.parameters()]

    judges.judged(1.0)

    after = [p for n in (judges.classifier, judges.generator) for p in n.parameters()]
    assert all(torch.equal(was, now) for was, now in zip(before, after, strict=True))
    assert all(parameter.grad is None for parameter in after)


@pytest.mark.parametrize("fusion", ["text_only", "synthesis"])
def test_the_judgement_reaches_every_parameter_of_the_generator(
    tmp_path: Path, fusion: str
) -> None:
    judges = Judges(tmp_path, fusion, told_by_both)
    with torch.no_grad():
        for network in (judges.classifier, judges.generator):
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))

    gradients = judges.judged(1.0).gradients

    names = [name for name, p in judges.generator.named_parameters() if p.requires_grad]
    dead = [n for n, g in zip(names, gradients, strict=True) if not g.abs().sum() > 0]
    if fusion == "synthesis":
        assert any("visual" in name for name in names)
    # Pieces of position and segment that no post of this size has are part of tables that do;
    # a key's bias moves all scores of a softmax alike.
    assert [n for n in dead if not n.endswith("key.bias")] == []


def test_the_surest_posts_are_chosen_and_count_by_their_sureness() -> None:
    probabilities = torch.tensor([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5], [0.8, 0.2]])

    chosen, classes, weights = surest(probabilities, 0.5)

    assert chosen.tolist() == [1, 3]
    assert classes.tolist() == [1, 0]
    assert weights.tolist() == pytest.approx([math.exp(-0.1), math.exp(-0.2)])
    assert len(surest(probabilities, 0.01)[0]) == 1


def test_increments_hold_every_post_once_and_none_is_empty(tmp_path: Path) -> None:
    reads = reader(tmp_path)
    posts = reads.prepare(Pairs(features(told_by_words(7, "train"))))

    parts = parts_of(posts, 3)

    assert [post for part in parts for post in part] == posts
    assert all(parts)
    assert parts_of([], 3) == []
    assert [len(part) for part in parts_of(posts, 6)] == [1, 1, 1, 1, 1, 2]
    assert len(parts_of(posts, 10)) == len(posts)


@pytest.mark.parametrize("unlabelled", [0, 2, 9])
def test_the_classifier_takes_as_many_steps_as_its_baseline_whatever_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unlabelled: int
) -> None:
    reads = reader(tmp_path)
    dev = features(told_by_words(3, "dev"))
    few = few_labels(reads, features(told_by_words(12, "train")), dev, 0.9, 0.1)
    posts = reads.prepare(Pairs(features(told_by_words(unlabelled, "train", 20))))
    few = replace(few, unlabelled=posts)
    settings = MetaSreSettings(increments=4, warm_steps=1, steps=2, meta_steps=1)
    rates: list[float] = []
    monkeypatch.setattr(
        Teacher,
        "teach",
        lambda teacher, lesson, steps, name: rates.append(steps / teacher.total),
    )

    metasre(reads, few, settings)

    # The first is the generator's; the classifier's end together, where its rate is zero.
    assert sum(rates[1:]) == pytest.approx(1.0)


def test_dev_chooses_the_weights_even_where_later_ones_are_worse(tmp_path: Path) -> None:
    reads = reader(tmp_path)
    dev = features(told_by_words(6, "dev"))
    few = few_labels(reads, features(told_by_words(12, "train")), dev, 0.9, 0.1)
    classifier, best = few.classifier(reads), Best(reads, few)
    scores = []
    for favourite in (0, 1, 2):
        last = classifier.classify[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(nn.functional.one_hot(torch.tensor(favourite), 3) * 1.0)
        few_dev = [r if favourite == 1 else "x" for r in few.dev_relations]
        object.__setattr__(few, "dev_relations", tuple(few_dev))
        scores.append(best.offer(classifier))
        object.__setattr__(few, "dev_relations", tuple(known(dev)))

    taught = best.taught(classifier)

    assert scores[1] > max(scores[0], scores[2])
    assert taught.dev_f1 == scores[1]
    assert set(guesses(reads, few, taught.classifier, few.dev)) == {few.relations[1]}


def test_smaller_shares_are_part_of_larger_ones_and_the_rest_holds_no_labels(
    tmp_path: Path,
) -> None:
    reads, train = reader(tmp_path), features(told_by_words(20, "train"))
    dev = features(told_by_words(3, "dev"))
    ids = []
    for share in (0.1, 0.3):
        few = few_labels(reads, train, dev, share, 0.5)
        ids.append({post.example.post.example_id for post in few.labelled.posts})
        assert len(few.unlabelled) == 10
        assert not ids[-1] & {post.example.post.example_id for post in few.unlabelled}
        assert all(post.example.relation is None for post in few.unlabelled)

    assert ids[0] < ids[1]
    assert [len(found) for found in ids] == [2, 6]


def test_a_post_without_relation_cannot_be_a_label(tmp_path: Path) -> None:
    post = features([stored("a-1", "x y", relation=None, mentions=(Span(0, 1), Span(1, 2)))])

    with pytest.raises(InputError, match="a-1 is not annotated with a relation"):
        few_labels(reader(tmp_path), post, post, 0.5, 0.5)


def test_the_classifier_learns_from_the_guesses_what_no_label_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Posts without labels tell relations by other words; their guesses are made right."""
    other_words = dict(zip(RELATIONS, ("velora", "quill", "tamber"), strict=True))
    posts = []
    for post in told_by_words(24, "train", 30):
        seen, relation = post.example.post, post.example.relation
        assert seen.head is not None
        assert seen.tail is not None
        words = [other_words.get(word, word) for word in seen.tokens]
        mentions = (seen.head, seen.tail)
        posts.append(stored(seen.example_id, words, relation=relation, mentions=mentions))
    unlabelled, dev = features(posts[:18]), features(posts[18:])
    reads = reader(tmp_path)
    few = few_labels(reads, features(told_by_words(6, "train")), dev, 1.0, 0.0)
    few = replace(few, unlabelled=reads.prepare(Pairs(unlabelled)))
    right = torch.tensor([few.relations.index(relation) for relation in known(unlabelled)])
    monkeypatch.setattr(
        "model.discovery.metasre.surest",
        lambda *_: (torch.arange(len(right)), right, torch.ones(len(right))),
    )
    settings = MetaSreSettings(increments=1, warm_steps=1, steps=60, meta_steps=1)

    assert metasre(reads, few, settings).dev_f1 == 1
    assert supervised(reads, few, settings).dev_f1 < 0.7


@pytest.mark.slow
def test_self_training_is_no_worse_than_its_labels_alone(tmp_path: Path) -> None:
    train, dev = features(told_by_words(60, "train")), features(told_by_words(12, "dev", 60))
    test = features(told_by_words(30, "test", 72))
    scores = []
    for learn in (metasre, supervised):
        reads = reader(tmp_path)
        few = few_labels(reads, train, dev, 0.2, 0.9)
        taught = learn(reads, few, METASRE)
        found = guesses(reads, few, taught.classifier, reads.prepare(Pairs(test)))
        scores.append(micro_f1(known(test), found, few.none))

    assert scores[0] >= scores[1]
    assert scores[0] > 0.85


@pytest.mark.parametrize("fusion", ["text_only", "synthesis"])
def test_self_training_repeats_to_the_bit(tmp_path: Path, fusion: str) -> None:
    train, dev = features(told_by_words(16, "train")), features(told_by_words(4, "dev", 60))
    short = MetaSreSettings(increments=1, unlabelled=0.5, warm_steps=2, steps=2, meta_steps=2)
    weights = []
    for _ in range(2):
        reads = reader(tmp_path, fusion)
        taught = metasre(reads, few_labels(reads, train, dev, 0.5, 0.5), short)
        weights.append(taught.classifier.state_dict())

    assert [name for name, found in weights[0].items() if not found.equal(weights[1][name])] == []
