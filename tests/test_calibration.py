"""Calibration against counting by hand, and the temperature against data made at one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cache.errors import InputError
from model.scoring.calibration import HIGHEST, LOWEST, calibration, fit_temperature

Answers = list[tuple[float, bool]]
ANSWERS = st.lists(
    st.tuples(st.one_of(st.floats(0, 1), st.integers(0, 15).map(lambda n: n / 15)), st.booleans()),
    min_size=1,
    max_size=60,
)


def arrays(answers: Answers) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    probabilities, right = zip(*answers, strict=True)
    return np.array(probabilities, np.float64), np.array(right, np.bool_)


def slow_ece(answers: Answers, num_bins: int) -> float:
    """Return Guo et al.'s equation 3, a bin at a time."""
    error = 0.0
    edges = np.linspace(0, 1, num_bins + 1)
    for index in range(num_bins):
        low, high = edges[index], edges[index + 1]
        inside = [a for a in answers if low < a[0] <= high or (index == 0 and a[0] == 0)]
        if inside:
            confidence = sum(p for p, _ in inside) / len(inside)
            accuracy = sum(hit for _, hit in inside) / len(inside)
            error += len(inside) / len(answers) * abs(accuracy - confidence)
    return error


@given(ANSWERS, st.integers(1, 16))
def test_ece_is_the_papers_equation_counted_bin_by_bin(answers: Answers, num_bins: int) -> None:
    found = calibration(*arrays(answers), num_bins)
    assert found is not None
    assert found.ece == pytest.approx(slow_ece(answers, num_bins), abs=1e-9)


@given(ANSWERS)
def test_every_answer_is_in_one_bin_of_each_kind_and_the_bins_add_up(answers: Answers) -> None:
    found = calibration(*arrays(answers))
    assert found is not None
    for bins in (found.bins, found.adaptive_bins):
        assert sum(b.count for b in bins) == found.count == len(answers)
        hits = sum(b.count * b.accuracy for b in bins)
        assert hits == pytest.approx(sum(hit for _, hit in answers))
        for one in bins:
            if one.count:
                assert one.low - 1e-9 <= one.confidence <= one.high + 1e-9


@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_answers_changes_nothing(answers: Answers, chance: object) -> None:
    shuffled = list(answers)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = calibration(*arrays(answers)), calibration(*arrays(shuffled))
    assert one is not None
    assert other is not None
    assert one.ece == pytest.approx(other.ece)
    assert one.adaptive_ece == pytest.approx(other.adaptive_ece)


def test_adaptive_bins_hold_equally_many_answers_where_all_differ() -> None:
    found = calibration(np.linspace(0.9, 1.0, 45), np.ones(45, np.bool_), 15)
    assert found is not None
    assert [b.count for b in found.adaptive_bins] == [3] * 15
    # Bins of equal width see two.
    assert sum(b.count > 0 for b in found.bins) == 2


def test_a_worked_example() -> None:
    # Two bins: {0.2, 0.4} with none right, {0.8, 0.6, 1.0} with two of three right.
    found = calibration(
        np.array([0.2, 0.8, 0.4, 0.6, 1.0]), np.array([False, True, False, False, True]), 2
    )
    assert found is not None
    assert found.ece == pytest.approx((2 * 0.3 + 3 * abs(2 / 3 - 0.8)) / 5)
    assert found.brier == pytest.approx((0.04 + 0.04 + 0.16 + 0.36 + 0.0) / 5)
    assert (found.accuracy, found.confidence) == pytest.approx((0.4, 0.6))
    assert "| 50.0 to 100.0 | 3 | 80.0 | 66.7 |" in found.to_table()
    assert "5 answers" in str(found)


def test_nothing_answered_has_no_calibration_rather_than_a_perfect_one() -> None:
    assert calibration(np.zeros(0), np.zeros(0, np.bool_)) is None


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        calibration(np.array([0.5, value]), np.array([True, True]))


@pytest.mark.parametrize("truth", [0.3, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(truth: float) -> None:
    chance = np.random.default_rng(0)
    scores = chance.normal(scale=2, size=(20_000, 4))
    exponents = np.exp(scores / truth)
    drawn = (exponents / exponents.sum(1, keepdims=True)).cumsum(1)
    labels = (chance.random((len(scores), 1)) > drawn[:, :-1]).sum(1)

    def nll(temperature: float) -> float:
        scaled = scores / temperature
        at_label = scaled[np.arange(len(scaled)), labels]
        return float((np.log(np.exp(scaled).sum(1)) - at_label).mean())

    assert fit_temperature(nll) == pytest.approx(truth, rel=0.04)


@given(st.floats(-8, 8))
def test_the_smallest_value_inside_the_limits_is_found(valley: float) -> None:
    found = fit_temperature(lambda temperature: abs(np.log(temperature) - valley))
    assert np.log(found) == pytest.approx(
        float(np.clip(valley, np.log(LOWEST), np.log(HIGHEST))), abs=1e-3
    )
