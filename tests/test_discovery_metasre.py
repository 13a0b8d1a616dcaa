"""MetaSRE: its judgement and who steps along it, what is taught, labels, repeatability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from discovery_helpers import (
    RELATIONS,
    World,
    features,
    known,
    reader,
    told_by_both,
    told_by_images,
    told_by_words,
)
from model_helpers import VISUAL_DIM, stored
from torch import Tensor, nn

from cache.errors import InputError
from cache.records import Span
from model.data import PreparedPost
from model.discovery.classify import PairClassifier, Teacher
from model.discovery.few import Best, few_labels, guesses, micro_f1, supervised
from model.discovery.metasre import Judged, judge, metasre, parts_of, surest
from model.discovery.pairs import PairReader, Pairs, step_along_gradients
from model.discovery.settings import MetaSreSettings

METASRE = MetaSreSettings(increments=2, unlabelled=0.9, warm_steps=200, steps=30, meta_steps=2)


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


@pytest.mark.parametrize("labelled_weight", [0.0, 0.4])
def test_the_generator_steps_along_the_judgement_and_its_own_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labelled_weight: float
) -> None:
    """Where labels weigh nothing, along the judgement alone."""
    parameters: list[nn.Parameter] = []
    wanted: list[list[Tensor]] = []
    steps = 0

    def judging(classifier: nn.Module, generator: nn.Module, *given: Any) -> Judged:
        found = judge(classifier, generator, *given)
        parameters[:] = [p for p in generator.parameters() if p.requires_grad]
        batch, classes = given[1]
        # Dropout falls as it will in the step itself.
        with torch.random.fork_rng():
            own = nn.functional.cross_entropy(generator(batch), classes)
        slopes = torch.autograd.grad(own, parameters, materialize_grads=True)
        both = zip(found.gradients, slopes, strict=True)
        wanted.append([judged + labelled_weight * slope for judged, slope in both])
        return found

    def stepping(optimizer: torch.optim.AdamW, *given: Any) -> None:
        nonlocal steps
        steps += 1
        before = [parameter.detach().clone() for parameter in parameters]
        for parameter, gradient in zip(parameters, wanted[-1], strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-7)
        step_along_gradients(optimizer, *given)
        for was, now, gradient in zip(before, parameters, wanted[-1], strict=True):
            assert not torch.equal(was, now) or float(gradient.abs().max()) < 1e-6

    monkeypatch.setattr("model.discovery.metasre.judge", judging)
    monkeypatch.setattr("model.discovery.metasre.step_along_gradients", stepping)
    # Nothing but the gradient moves a weight.
    reads = reader(tmp_path, weight_decay=0.0, warmup=0.0)
    few = few_labels(
        reads, features(told_by_words(12, "train")), features(told_by_words(3, "dev")), 0.5, 0.5
    )
    settings = MetaSreSettings(
        increments=1, warm_steps=5, steps=5, meta_steps=2, labelled_weight=labelled_weight
    )

    metasre(reads, few, settings)

    assert len(wanted) == steps == 2
    assert all(max(float(g.abs().max()) for g in gradients) > 1e-4 for gradients in wanted)


def test_who_is_judged_is_who_guesses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generators: list[nn.Module] = []
    guessing: list[nn.Module] = []
    look = PairReader.look

    def judging(classifier: nn.Module, generator: nn.Module, *given: Any) -> Judged:
        assert classifier is not generator
        generators.append(generator)
        return judge(classifier, generator, *given)

    def looking(reads: PairReader, network: nn.Module, posts: Sequence[PreparedPost]) -> Tensor:
        if all(post in few.unlabelled for post in posts):
            guessing.append(network)
        return look(reads, network, posts)

    monkeypatch.setattr("model.discovery.metasre.judge", judging)
    monkeypatch.setattr(PairReader, "look", looking)
    reads = reader(tmp_path)
    few = few_labels(
        reads, features(told_by_words(12, "train")), features(told_by_words(3, "dev")), 0.5, 0.5
    )

    metasre(reads, few, MetaSreSettings(increments=2, warm_steps=1, steps=1, meta_steps=1))

    assert len(guessing) == len(generators) == 2
    assert len({id(network) for network in (*guessing, *generators)}) == 1


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
