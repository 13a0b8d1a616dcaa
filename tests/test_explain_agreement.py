"""Rank agreement against SciPy, and what may not be counted."""

from __future__ import annotations

import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines.explaining.agreement import agreement, kendall, spearman

PAIRS = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=20)


@given(PAIRS)
def test_both_measures_are_those_of_scipy_with_ties(pairs: list[tuple[int, int]]) -> None:
    left, right = ([float(value) for value in side] for side in zip(*pairs, strict=True))
    assume(len(set(left)) > 1)
    assume(len(set(right)) > 1)
    assert spearman(left, right) == pytest.approx(scipy.stats.spearmanr(left, right).statistic)
    assert kendall(left, right) == pytest.approx(scipy.stats.kendalltau(left, right).statistic)


@pytest.mark.parametrize("measure", [spearman, kendall])
def test_items_that_are_all_tied_have_no_order_to_agree_with(measure: object) -> None:
    assert measure([1, 1, 1], [1, 2, 3]) is None  # type: ignore[operator]


def test_posts_that_cannot_be_counted_are_said_and_not_taken_for_zero() -> None:
    perfect = ([0.1, 0.2, 0.7], [1.0, 2.0, 3.0])
    reverse = ([0.1, 0.2, 0.7], [3.0, 2.0, 1.0])
    found = agreement(
        [perfect, perfect, reverse, ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3])], spearman
    )
    assert found.mean == pytest.approx(1 / 3)
    assert (found.posts, found.too_few, found.undecided) == (3, 1, 1)
    nothing = agreement([([1, 2], [1, 2])], spearman)
    assert (nothing.mean, nothing.low, nothing.high, nothing.posts) == (None, None, None, 0)
    assert "undefined" in str(nothing)


def test_the_interval_holds_the_mean_narrows_with_posts_and_follows_the_seed() -> None:
    up, down = ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [3.0, 1.0, 2.0])
    few, many = (agreement([up, down] * times, spearman) for times in (5, 200))
    for found in (few, many):
        assert found.low is not None
        assert found.mean is not None
        assert found.high is not None
        assert found.low <= found.mean <= found.high
    assert many.high - many.low < (few.high - few.low) / 4  # type: ignore[operator]
    assert agreement([up, down] * 5, spearman) == few
    assert len({agreement([up, down] * 200, spearman, seed=seed).low for seed in range(8)}) > 1
