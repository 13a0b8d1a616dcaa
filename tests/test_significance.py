from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cache import InputError
from model.scoring.significance import approximate_randomisation, paired_bootstrap

Counts = NDArray[np.int64]
TESTS = [paired_bootstrap, approximate_randomisation]


def f1(tp: float, fp: float, fn: float) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def random_system(seed: int, accuracy: float, posts: int = 400, seeds: int = 3) -> Counts:
    """Return counts of runs that find one entity per post with the given chance."""
    right = np.random.default_rng(seed).random((seeds, posts)) < accuracy
    return np.stack([right, ~right, ~right], axis=2).astype(np.int64)


def all_bootstrap_p(a: Counts, b: Counts) -> tuple[float, float]:
    """Return the exact p-values of one run each, from every one of posts^posts draws."""
    num_posts = a.shape[1]

    def difference(drawn: tuple[int, ...]) -> float:
        return f1(*a[0, drawn, :].sum(0)) - f1(*b[0, drawn, :].sum(0))

    observed = difference(tuple(range(num_posts)))
    null = [difference(drawn) - observed for drawn in product(range(num_posts), repeat=num_posts)]
    one = np.mean([value >= observed - 1e-12 for value in null])
    two = np.mean([abs(value) >= abs(observed) - 1e-12 for value in null])
    return float(one), float(two)


def test_a_worked_example_by_hand() -> None:
    # Two posts. A is right in both (F1 1); B is wrong in the second (tp 1, fp 1, fn 1: F1 1/2).
    a = np.array([[[1, 0, 0], [1, 0, 0]]])
    b = np.array([[[1, 0, 0], [0, 1, 1]]])
    result = paired_bootstrap(a, b, samples=20_000)
    # Draws (1,1) (1,2) (2,1) (2,2) differ by 0, 1/2, 1/2, 1: less the observed 1/2 that is
    # -1/2, 0, 0, 1/2. One of four reaches +1/2, two of four reach 1/2 either way.
    assert (result.f1_a, result.f1_b, result.difference) == (1.0, 0.5, 0.5)
    assert result.p_one_sided == pytest.approx(1 / 4, abs=0.015)
    assert result.p_two_sided == pytest.approx(1 / 2, abs=0.015)
    assert (result.low, result.high) == (0.0, 1.0)
    # Swapping: the first post changes nothing, the second moves the lead from A to B.
    swapped = approximate_randomisation(a, b, samples=20_000)
    assert swapped.p_one_sided == pytest.approx(1 / 2, abs=0.015)
    assert swapped.p_two_sided == 1.0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_the_bootstrap_agrees_with_all_possible_draws(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, (2, 1, 4, 3))
    result = paired_bootstrap(a, b, samples=20_000, seed=1)
    expected = all_bootstrap_p(a, b)
    assert (result.p_one_sided, result.p_two_sided) == pytest.approx(expected, abs=0.02)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_randomisation_agrees_with_all_possible_swaps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, (2, 1, 5, 3))
    result = approximate_randomisation(a, b, samples=20_000, seed=1)
    null = []
    for swap in product([False, True], repeat=5):
        one = np.where(np.array(swap)[:, None], b[0], a[0]).sum(0)
        other = np.where(np.array(swap)[:, None], a[0], b[0]).sum(0)
        null.append(f1(*one) - f1(*other))
    expected = np.mean([value >= result.difference - 1e-12 for value in null])
    assert result.p_one_sided == pytest.approx(float(expected), abs=0.02)


@pytest.mark.parametrize("compare", TESTS)
def test_a_system_does_not_differ_from_itself(compare: object) -> None:
    assert callable(compare)
    counts = random_system(0, 0.8)
    result = compare(counts, counts, samples=500)
    assert (result.p_one_sided, result.p_two_sided, result.difference) == (1.0, 1.0, 0.0)
    assert result.low <= 0.0 <= result.high


@pytest.mark.parametrize("compare", TESTS)
def test_a_clear_lead_is_significant_and_its_reverse_is_not(compare: object) -> None:
    assert callable(compare)
    good, bad = random_system(1, 0.85), random_system(2, 0.7)
    lead, lag = compare(good, bad, samples=2000), compare(bad, good, samples=2000)
    assert lead.p_one_sided < 0.001
    assert lead.p_two_sided < 0.001
    assert 0 < lead.low < lead.difference < lead.high
    assert lag.p_one_sided > 0.999
    assert lag.p_two_sided < 0.001
    assert lag.difference == -lead.difference


@pytest.mark.parametrize("compare", TESTS)
def test_equal_systems_are_called_different_in_one_case_of_twenty(compare: object) -> None:
    assert callable(compare)
    hits = 0
    for trial in range(200):
        a = random_system(2 * trial, 0.7, posts=100, seeds=1)
        b = random_system(2 * trial + 1, 0.7, posts=100, seeds=1)
        hits += compare(a, b, samples=200, seed=trial).p_two_sided < 0.05
    assert 2 <= hits <= 22  # binomial(200, 1/20): 10 expected, 0.1 % tails at 2 and 21


def test_the_score_of_several_runs_is_the_mean_of_their_f1() -> None:
    a = np.array([[[1, 0, 0]], [[0, 1, 1]], [[2, 1, 1]]])
    b = np.array([[[1, 0, 1]]])
    result = paired_bootstrap(a, b, samples=10)
    assert result.f1_a == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert result.f1_b == pytest.approx(2 / 3)


def test_resampled_runs_widen_the_interval() -> None:
    steady = random_system(0, 0.7, seeds=1).repeat(3, axis=0)
    shaky = np.concatenate([random_system(s, p, seeds=1) for s, p in enumerate([0.6, 0.75, 0.9])])
    given_runs = paired_bootstrap(shaky, steady, samples=2000)
    drawn_runs = paired_bootstrap(shaky, steady, samples=2000, resample_runs=True)
    assert drawn_runs.difference == given_runs.difference
    assert drawn_runs.high - drawn_runs.low > 1.5 * (given_runs.high - given_runs.low)
    assert drawn_runs.p_two_sided > given_runs.p_two_sided


@pytest.mark.parametrize("compare", TESTS)
def test_the_same_seed_gives_the_same_result(compare: object) -> None:
    assert callable(compare)
    a, b = random_system(3, 0.75), random_system(4, 0.72)
    assert compare(a, b, samples=300, seed=7) == compare(a, b, samples=300, seed=7)
    assert compare(a, b, samples=300, seed=7) != compare(a, b, samples=300, seed=8)


def test_posts_without_any_entity_are_allowed() -> None:
    nothing = np.zeros((2, 5, 3), dtype=np.int64)
    result = paired_bootstrap(nothing, nothing, samples=50)
    assert (result.f1_a, result.p_two_sided) == (0.0, 1.0)


@pytest.mark.parametrize("compare", TESTS)
@pytest.mark.parametrize(
    ("shape_a", "shape_b", "samples", "named"),
    [
        ((1, 3, 3), (1, 4, 3), 10, "3 posts, the other of 4"),
        ((1, 0, 3), (1, 0, 3), 10, "must not be empty"),
        ((0, 3, 3), (1, 3, 3), 10, "decide nothing"),
        ((1, 3, 3), (1, 3, 3), 0, "decide nothing"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    compare: object,
    shape_a: tuple[int, ...],
    shape_b: tuple[int, ...],
    samples: int,
    named: str,
) -> None:
    assert callable(compare)
    with pytest.raises(InputError, match=named):
        compare(np.ones(shape_a, dtype=np.int64), np.ones(shape_b, dtype=np.int64), samples)


def test_only_as_many_runs_can_be_swapped() -> None:
    with pytest.raises(InputError, match="1 runs against 2"):
        approximate_randomisation(random_system(0, 0.5, seeds=1), random_system(1, 0.5, seeds=2))


def test_a_comparison_is_one_line_and_json() -> None:
    result = paired_bootstrap(random_system(1, 0.85), random_system(2, 0.7), samples=200)
    assert json.loads(json.dumps(result.to_json()))["posts"] == 400
    assert str(result).startswith(f"{100 * result.f1_a:.2f} against {100 * result.f1_b:.2f}: +")
