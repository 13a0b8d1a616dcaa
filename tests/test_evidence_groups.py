"""How the evidence texts of a batch are cut into encoder passes."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import evidence_rows
from model.evidence_rows import _by_length, _cheapest_groups, _Row


def cost(lengths: list[int], groups: list[tuple[int, int]]) -> int:
    padded = sum((end - begin) * max(lengths[begin:end]) for begin, end in groups)
    return padded + evidence_rows._PASS_COST * len(groups)


def least_cost(lengths: list[int]) -> int:
    """Try every way to cut."""
    inner = range(1, len(lengths))
    ways = [cuts for count in range(len(lengths)) for cuts in combinations(inner, count)]
    return min(cost(lengths, list(pairwise((0, *cuts, len(lengths))))) for cuts in ways)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=9))
@settings(max_examples=60)
def test_no_other_way_to_cut_costs_less(drawn: list[int]) -> None:
    lengths = sorted(drawn, reverse=True)
    groups = _cheapest_groups(lengths)

    assert [at for group in groups for at in range(*group)] == list(range(len(lengths)))
    assert cost(lengths, groups) == least_cost(lengths)


def test_texts_of_one_length_are_one_pass_and_far_apart_ones_are_not() -> None:
    assert _cheapest_groups([7] * 40) == [(0, 40)]
    assert _cheapest_groups([60] * 20 + [8] * 20) == [(0, 20), (20, 40)]
    assert _cheapest_groups([9, 8]) == [(0, 2)]
    assert _cheapest_groups([]) == []


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 100))
@settings(max_examples=60)
def test_every_text_is_in_one_pass_that_fits(lengths: list[int], most: int) -> None:
    rows = [_Row([1] * length, 0, (), window, 0) for window, length in enumerate(lengths)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.evidence_rows._MAX_GROUP_PIECES", most)
        groups = _by_length(rows)
        assert groups == _by_length(rows[::-1])

    assert sorted(row.window for group in groups for row in group) == list(range(len(rows)))
    for group in groups:
        assert len(group) == 1 or sum(len(group[0].pieces) for _ in group) <= most
        assert len(group[0].pieces) == max(len(row.pieces) for row in group)
