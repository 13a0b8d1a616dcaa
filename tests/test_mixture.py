"""The mixture of experts, against sums over all label sequences."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from model_helpers import make_parts, stored
from torch import Tensor, nn

from cache.errors import InputError
from cache.reader import features_of
from cache.records import Span
from model.batch import Batch
from model.bio import label_set, labels_of
from model.crf import LinearChainCRF
from model.mixture import EntityMixture, RelationMixture

DIM = 6
BIO = ("O", "B-PER", "I-PER")
RELATIONS = ("None", "in", "of")
TASKS = ("entities", "relations")
TEXTS = ("velora sings in", "quill", "the club river a")


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Batch]:
    found = {}
    for task in TASKS:
        labels = BIO if task == "entities" else RELATIONS
        folder = tmp_path_factory.mktemp(task)
        parts = make_parts(folder, task=task, labels=labels, fusion="text_only")
        posts = [
            stored(
                f"post-{row}",
                text,
                entities=(Span(0, 1, "PER"),),
                relation=RELATIONS[row],
                mentions=(Span(0, 1), Span(len(text.split()) - 1, len(text.split()))),
            )
            for row, text in enumerate(TEXTS)
        ]
        found[task] = parts.collator([parts.preparer.prepare(features_of(p)) for p in posts])
    return found


def entity_mixture(seed: int = 1, std: float = 1.0) -> EntityMixture:
    torch.manual_seed(seed)
    mixture = EntityMixture(DIM, BIO, 0.0, 2)
    fill(mixture, std)
    return mixture


def relation_mixture(seed: int = 1, std: float = 1.0) -> RelationMixture:
    torch.manual_seed(seed)
    mixture = RelationMixture(DIM, RELATIONS, 0.0, 2)
    fill(mixture, std)
    return mixture


def fill(mixture: nn.Module, std: float) -> None:
    for parameter in mixture.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=std)


def mixture_of(task: str) -> Any:
    return entity_mixture() if task == "entities" else relation_mixture()


def gold_of(batch: Batch, task: str) -> Tensor:
    gold = batch.labels if task == "entities" else batch.relations
    assert gold is not None
    return gold


def probable(head: Any, words: Tensor, batch: Batch) -> Tensor:
    """Return what a mixture or an expert holds for probable."""
    held: Tensor = (
        head.marginals(words, batch)
        if hasattr(head, "marginals")
        else head.probabilities(words, batch)
    )
    return held


def states(batch: Batch, seed: int = 2, dim: int = 2 * DIM) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(*batch.joined.shape, dim, generator=chance)


def every_sequence(crf: LinearChainCRF, emissions: Tensor) -> dict[tuple[int, ...], Tensor]:
    """Return the score of every label sequence of a sentence, as `model.crf` states it."""
    start, end = crf.start_scores + crf.start_penalty, crf.end_scores
    step = crf.step_scores + crf.step_penalty
    scores = {}
    for path in itertools.product(range(emissions.shape[1]), repeat=len(emissions)):
        score = start[path[0]] + end[path[-1]]
        score = score + sum(emissions[word, label] for word, label in enumerate(path))
        scores[path] = score + sum(step[a, b] for a, b in itertools.pairwise(path))
    return scores


def slow_gates(mixture: Any, words: Tensor) -> list[float]:
    """Return the gates of one post without padding."""
    mean = words.sum(dim=0) / len(words)
    logits = [float(mixture.gate.weight[e] @ mean + mixture.gate.bias[e]) for e in range(2)]
    total = sum(map(math.exp, logits))
    return [math.exp(logit) / total for logit in logits]


@torch.no_grad()
def test_marginals_are_the_gated_sum_over_all_sequences_of_each_expert(
    batches: dict[str, Batch],
) -> None:
    batch, mixture = batches["entities"], entity_mixture()
    words = states(batch)
    found = mixture.marginals(words, batch)

    for row, text in enumerate(TEXTS):
        length = len(text.split())
        gates = slow_gates(mixture, words[row, :length])
        expected = torch.zeros(length, len(BIO))
        for expert, gate in enumerate(gates):
            head: Any = mixture.experts[expert]
            part = words[row, :length, expert * DIM : (expert + 1) * DIM]
            scores = every_sequence(head.crf, part @ head.emit.weight.T + head.emit.bias)
            shares = torch.stack(list(scores.values())).softmax(0)
            for path, share in zip(scores, shares, strict=True):
                expected[range(length), path] += gate * share
        torch.testing.assert_close(found[row, :length], expected, rtol=1e-4, atol=1e-5)
        assert not found[row, length:].any()


@torch.no_grad()
def test_relations_are_the_gated_sum_of_the_experts_probabilities(
    batches: dict[str, Batch],
) -> None:
    batch, mixture = batches["relations"], relation_mixture()
    words = states(batch)
    found = mixture.probabilities(words, batch)

    for row in range(len(TEXTS)):
        length = int(batch.joined_mask[row].sum())
        gates = slow_gates(mixture, words[row, :length])
        expected = torch.zeros(len(RELATIONS))
        for expert, gate in enumerate(gates):
            head: Any = mixture.experts[expert]
            classify = head.classify
            part = words[row, :length, expert * DIM : (expert + 1) * DIM]
            pair = [part[batch.head_unit[row]], part[batch.tail_unit[row]], part.mean(dim=0)]
            expected += gate * (classify.weight @ torch.cat(pair) + classify.bias).softmax(0)
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(len(TEXTS)))


@torch.no_grad()
def test_probabilities_of_all_answers_sum_to_one(batches: dict[str, Batch]) -> None:
    batch, mixture = batches["entities"], entity_mixture()
    words = states(batch)
    totals = torch.zeros(len(TEXTS))
    for path in itertools.product(range(len(BIO)), repeat=batch.joined.shape[1]):
        labels = torch.tensor(path).repeat(len(TEXTS), 1)
        # What stands in the padding is one sequence, not many.
        once = (labels.masked_fill(batch.joined_mask, 0) == 0).all(dim=1)
        totals += mixture.log_probability(words, batch, labels).exp() * once
    torch.testing.assert_close(totals, torch.ones(len(TEXTS)), rtol=1e-4, atol=0)
    torch.testing.assert_close(
        mixture.marginals(words, batch).sum(-1), batch.joined_mask.float(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_that_of_the_mixture_and_of_the_experts(
    batches: dict[str, Batch], task: str
) -> None:
    batch, mixture = batches[task], mixture_of(task)
    words, gold = states(batch), gold_of(batch, task)
    mixed = -mixture.log_probability(words, batch, gold).mean()
    apart = [
        -head.log_probability(words[..., e * DIM : (e + 1) * DIM], batch, gold).mean()
        for e, head in enumerate(mixture.experts)
    ]
    torch.testing.assert_close(mixture.loss(words, batch), mixed + sum(apart) / 2)


@pytest.mark.parametrize("task", TASKS)
def test_gradients_reach_gates_and_both_experts(batches: dict[str, Batch], task: str) -> None:
    batch, mixture = batches[task], mixture_of(task)
    words = states(batch).requires_grad_()
    mixture.log_probability(words, batch, gold_of(batch, task)).mean().backward()

    silent = [
        name
        for name, parameter in mixture.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert silent == []
    assert words.grad is not None
    for part in words.grad.chunk(2, dim=-1):
        assert part.abs().sum(dim=-1)[batch.joined_mask].all()
    assert not words.grad[~batch.joined_mask].any()


def test_gates_start_equal_and_follow_the_post(batches: dict[str, Batch]) -> None:
    batch = batches["entities"]
    words = states(batch)
    fresh = EntityMixture(DIM, BIO, 0.0, 2)
    assert torch.equal(fresh.gates(words, batch), torch.full((len(TEXTS), 2), 0.5))

    mixture = entity_mixture()
    loud = words.masked_fill(~batch.joined_mask[..., None], 50.0)
    gates = mixture.gates(words, batch)
    torch.testing.assert_close(mixture.gates(loud, batch), gates)
    assert gates[0, 0] != gates[2, 0]


@pytest.mark.parametrize("task", TASKS)
def test_an_expert_with_all_of_the_gate_decides_alone(
    batches: dict[str, Batch], task: str
) -> None:
    batch, mixture = batches[task], mixture_of(task)
    words = states(batch)
    with torch.no_grad():
        mixture.gate.weight.zero_()
        mixture.gate.bias.copy_(torch.tensor([-40.0, 40.0]))

    alone = probable(mixture.experts[1], words[..., DIM:], batch)

    torch.testing.assert_close(probable(mixture, words, batch), alone)


def test_an_entity_that_continues_nothing_is_never_decoded(batches: dict[str, Batch]) -> None:
    batch = batches["entities"]
    labels = label_set(["PER", "LOC"])
    entities = 0
    for seed in range(15):
        torch.manual_seed(seed)
        mixture = EntityMixture(DIM, labels, 0.0, 2)
        fill(mixture, 3.0)
        words = states(batch, seed)
        sure = mixture.marginals(words, batch).detach()
        for row, found in enumerate(mixture.predict(words, batch)):
            length = int(batch.joined_mask[row].sum())
            names = labels_of([Span(e.start, e.end, e.label) for e in found], length)
            path = [labels.index(name) for name in names]
            best = max(_well_formed(labels, length), key=lambda p: _held(sure[row], p))
            assert _held(sure[row], path) == pytest.approx(_held(sure[row], best), abs=1e-4)
            entities += len(found)
            for entity in found:
                held = [float(sure[row, w, path[w]]) for w in range(entity.start, entity.end)]
                if entity.end < length:  # the word after it does not go on
                    held.append(
                        1 - float(sure[row, entity.end, labels.index(f"I-{entity.label}")])
                    )
                assert entity.probability == pytest.approx(math.prod(held), abs=1e-6)
    assert entities > 15


@functools.cache
def _well_formed(labels: tuple[str, ...], length: int) -> list[list[int]]:
    paths = itertools.product(range(len(labels)), repeat=length)
    rules = LinearChainCRF.for_bio(labels)
    allowed = []
    for path in paths:
        steps = [float(rules.step_penalty[a, b]) for a, b in itertools.pairwise(path)]
        if not any(steps) and not rules.start_penalty[path[0]]:
            allowed.append(list(path))
    return allowed


def _held(sure: Tensor, path: list[int]) -> float:
    return sum(math.log(max(float(sure[word, label]), 1e-12)) for word, label in enumerate(path))


def test_annotations_that_no_expert_can_hold_give_a_finite_loss(batches: dict[str, Batch]) -> None:
    batch, mixture = batches["entities"], entity_mixture()
    words = states(batch).requires_grad_()
    orphans = torch.full_like(batch.joined, BIO.index("I-PER"))

    logs = mixture.log_probability(words, batch, orphans)
    (gradient,) = torch.autograd.grad(logs.sum(), words)

    assert logs.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("task", TASKS)
def test_under_bfloat16_probabilities_are_not_rounded(
    batches: dict[str, Batch], task: str
) -> None:
    batch, mixture = batches[task], mixture_of(task)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = probable(mixture, states(batch), batch).sum(dim=-1)

    assert total.dtype == torch.float32
    real = total[batch.joined_mask] if task == "entities" else total
    torch.testing.assert_close(real, torch.ones_like(real), rtol=0, atol=1e-5)


def test_the_rules_of_decoding_are_not_trained() -> None:
    mixture = entity_mixture()
    assert not any(scores.requires_grad or scores.any() for scores in mixture.rules.parameters())
    again = EntityMixture(DIM, BIO, 0.0, 2)
    again.load_state_dict(mixture.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), mixture.parameters(), strict=True)
    )


@pytest.mark.parametrize("task", TASKS)
def test_posts_without_annotation_are_refused(tmp_path: Path, task: str) -> None:
    labels = BIO if task == "entities" else RELATIONS
    parts = make_parts(tmp_path, task=task, labels=labels, fusion="text_only")
    post = stored("bare", "velora sings", entities=None, mentions=(Span(0, 1), Span(1, 2)))
    batch = parts.collator([parts.preparer.prepare(features_of(post))])
    mixture = mixture_of(task)

    with pytest.raises(InputError, match=f"bare.*{task}"):
        mixture.loss(states(batch), batch)


# Marginals of one field: they carry gradients, for the mixture is trained through them.


@pytest.mark.parametrize("seed", range(4))
def test_gradients_of_marginals_are_those_of_the_sum_over_all_sequences(seed: int) -> None:
    torch.manual_seed(seed)
    crf = LinearChainCRF.for_bio(BIO) if seed % 2 else LinearChainCRF(3)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=1.5)
    emissions = (1.5 * torch.randn(2, 4, 3)).requires_grad_()
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    given = torch.randn(2, 4, 3)
    wanted = (emissions, *crf.parameters())

    found = torch.autograd.grad((crf.marginals(emissions, mask) * given).sum(), wanted)

    total = torch.zeros(())
    for row, length in enumerate(mask.sum(1).tolist()):
        scores = every_sequence(crf, emissions[row, :length])
        shares = torch.stack(list(scores.values())).softmax(0)
        for path, share in zip(scores, shares, strict=True):
            total = total + share * given[row, range(length), path].sum()
    expected = torch.autograd.grad(total, wanted)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not found[0][1, 2:].any()
