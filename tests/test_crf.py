from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cache.records import Span
from model.bio import label_set, labels_of, spans_of
from model.crf import LinearChainCRF
from model.heads import guesses_of, spans_of_paths

sizes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**16))


def make(batch: int, words: int, labels: int, seed: int) -> tuple[LinearChainCRF, Tensor, Tensor]:
    """Return a field with strong random transitions, emissions, and a left-aligned mask."""
    torch.manual_seed(seed)
    crf = LinearChainCRF(labels)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=2.0)
    lengths = torch.randint(0, words + 1, (batch,))
    mask = torch.arange(words) < lengths[:, None]
    return crf, 2 * torch.randn(batch, words, labels), mask


def score(crf: LinearChainCRF, emissions: Tensor, path: tuple[int, ...]) -> Tensor:
    """Return the score of one label sequence, written as the module's docstring states it."""
    total = crf.start_scores[path[0]] + crf.end_scores[path[-1]]
    total = total + crf.start_penalty[path[0]]
    for word, tag in enumerate(path):
        total = total + emissions[word, tag]
    for before, tag in pairwise(path):
        total = total + crf.step_scores[before, tag] + crf.step_penalty[before, tag]
    return total


def enumerate_row(crf: LinearChainCRF, emissions: Tensor) -> dict[tuple[int, ...], Tensor]:
    words, labels = emissions.shape
    return {path: score(crf, emissions, path) for path in product(range(labels), repeat=words)}


@given(sizes)
@settings(max_examples=40, deadline=None)
def test_loss_paths_and_marginals_agree_with_enumeration(size: tuple[int, int, int, int]) -> None:
    crf, emissions, mask = make(*size)
    tags = torch.randint(0, size[2], mask.shape)
    losses = crf.nll(emissions, tags, mask)
    decoded = crf.decode(emissions, mask)
    marginals = crf.marginals(emissions, mask)
    for row, length in enumerate(mask.sum(1).tolist()):
        assert not marginals[row, length:].any()
        if length == 0:
            assert losses[row] == 0
            assert decoded[row] == []
            continue
        scores = enumerate_row(crf, emissions[row, :length])
        values = torch.stack(list(scores.values()))
        gold = scores[tuple(tags[row, :length].tolist())]
        torch.testing.assert_close(losses[row], values.logsumexp(0) - gold, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(scores[tuple(decoded[row])], values.max(), atol=1e-4, rtol=0)
        expected = torch.zeros(length, size[2])
        for path, weight in zip(scores, values.softmax(0), strict=True):
            expected[range(length), path] += weight.detach()
        torch.testing.assert_close(marginals[row, :length], expected, atol=1e-5, rtol=1e-4)


@given(sizes)
@settings(max_examples=15, deadline=None)
def test_padding_and_neighbours_change_nothing(size: tuple[int, int, int, int]) -> None:
    crf, emissions, mask = make(*size)
    tags = torch.randint(0, size[2], mask.shape)
    noisy = torch.where(mask[:, :, None], emissions, torch.tensor(torch.nan))
    # Data sets mark labels that do not count with -100.
    losses = crf.nll(noisy, tags.masked_fill(~mask, -100), mask)
    decoded = crf.decode(noisy, mask)
    for row, length in enumerate(mask.sum(1).tolist()):
        one = slice(row, row + 1)
        alone = (emissions[one, :length], tags[one, :length], mask[one, :length])
        torch.testing.assert_close(losses[one], crf.nll(*alone))
        assert crf.decode(alone[0], alone[2]) == [decoded[row]]


def test_a_worked_example() -> None:
    crf = LinearChainCRF(2)
    with torch.no_grad():
        crf.start_scores.copy_(torch.tensor([1.0, 0.0]))
        crf.end_scores.copy_(torch.tensor([0.0, 2.0]))
        crf.step_scores.copy_(torch.tensor([[0.0, -1.0], [0.5, 0.0]]))
    emissions = torch.tensor([[[0.0, 0.5], [1.0, 0.0]]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    # 00: 1+0+0+1+0 = 2   01: 1+0-1+0+2 = 2   10: 0+.5+.5+1+0 = 2   11: 0+.5+0+0+2 = 2.5
    expected = torch.tensor([2.0, 2.0, 2.0, 2.5]).logsumexp(0) - 2.0
    loss = crf.nll(emissions, torch.tensor([[0, 1]]), mask)
    torch.testing.assert_close(loss[0], expected)
    assert crf.decode(emissions, mask) == [[1, 1]]


@given(st.integers(0, 2**16), st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_a_bio_field_decodes_only_well_formed_sequences(seed: int, words: int) -> None:
    torch.manual_seed(seed)
    labels = label_set(["PER", "LOC"])
    crf = LinearChainCRF.for_bio(labels)
    emissions = 20 * torch.randn(4, words, len(labels))
    for row in crf.decode(emissions, torch.ones(4, words, dtype=torch.bool)):
        names = [labels[index] for index in row]
        assert labels_of(spans_of(names, strict=True), words) == names


@given(st.integers(0, 2**16), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_an_entity_is_as_probable_as_all_sequences_that_have_it(seed: int, words: int) -> None:
    names = label_set(["PER", "LOC"])
    torch.manual_seed(seed)
    crf = LinearChainCRF.for_bio(names)
    emissions = 3 * torch.randn(3, words, len(names))
    mask = torch.arange(words) < torch.tensor([[words], [1], [0]])
    found = spans_of_paths(crf.decode(emissions, mask), names)
    guesses = guesses_of(
        found, names, mask, lambda rows, allowed: crf.held(emissions[rows], mask[rows], allowed)
    )
    assert [[Span(g.start, g.end, g.label) for g in post] for post in guesses] == list(
        map(list, found)
    )
    for row, post in enumerate(guesses):
        scores = enumerate_row(crf, emissions[row, : int(mask[row].sum())]) if post else {}
        weights = torch.stack(list(scores.values())).softmax(0).tolist() if post else []
        read = [spans_of([names[tag] for tag in path]) for path in scores]
        for span, guess in zip(found[row], post, strict=True):
            having = [weight for weight, spans in zip(weights, read, strict=True) if span in spans]
            assert guess.probability == pytest.approx(sum(having), abs=1e-5)


def test_a_bio_field_agrees_with_enumeration_and_survives_orphans_in_gold() -> None:
    torch.manual_seed(0)
    labels = label_set(["PER"])
    crf = LinearChainCRF.for_bio(labels)
    emissions = torch.randn(1, 4, 3, requires_grad=True)
    mask = torch.ones(1, 4, dtype=torch.bool)
    values = enumerate_row(crf, emissions[0])
    partition = torch.stack(list(values.values())).logsumexp(0)
    loss = crf.nll(emissions, torch.tensor([[0, 1, 2, 0]]), mask)
    torch.testing.assert_close(loss[0], partition - values[0, 1, 2, 0], atol=1e-5, rtol=0)
    orphan = crf.nll(emissions, torch.tensor([[2, 0, 2, 2]]), mask)
    (gradient,) = torch.autograd.grad(orphan.sum(), emissions)
    assert torch.isfinite(orphan).all()
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() <= 1  # a probability minus an indicator


def test_the_gradient_is_the_marginals_minus_the_annotation() -> None:
    crf, emissions, mask = make(2, 4, 3, seed=3)
    tags = torch.randint(0, 3, mask.shape)
    emissions = emissions.requires_grad_()
    (gradient,) = torch.autograd.grad(crf.nll(emissions, tags, mask).sum(), emissions)
    gold = torch.nn.functional.one_hot(tags, 3) * mask[:, :, None]
    expected = crf.marginals(emissions.detach(), mask) - gold
    torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-4)


def test_autocast_changes_nothing() -> None:
    crf, emissions, mask = make(3, 30, 5, seed=1)
    tags = torch.randint(0, 5, mask.shape)
    plain = crf.nll(emissions, tags, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = crf.nll(emissions, tags, mask)
        half = crf.nll(emissions.bfloat16(), tags, mask)
    assert torch.equal(plain, under_autocast)
    assert torch.equal(half, crf.nll(emissions.bfloat16().float(), tags, mask))


def test_a_batch_without_words_has_no_loss_and_no_labels() -> None:
    crf = LinearChainCRF(3)
    nothing, mask = torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.bool)
    assert crf.nll(nothing, torch.zeros(2, 0, dtype=torch.long), mask).tolist() == [0.0, 0.0]
    assert crf.decode(nothing, mask) == [[], []]
    assert crf.marginals(nothing, mask).shape == (2, 0, 3)


def test_penalties_are_no_part_of_a_checkpoint() -> None:
    assert set(LinearChainCRF.for_bio(("O", "B-PER", "I-PER")).state_dict()) == {
        "start_scores",
        "step_scores",
        "end_scores",
    }


def test_emissions_of_another_label_set_are_refused() -> None:
    crf = LinearChainCRF(3)
    with pytest.raises(RuntimeError):
        crf.decode(torch.zeros(1, 2, 4), torch.ones(1, 2, dtype=torch.bool))
