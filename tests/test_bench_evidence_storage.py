"""The figures of storage are of what they say."""

from __future__ import annotations

import pytest

from pipelines.bench.storage import bench_storage


def test_texts_stored_once_take_less_room_and_the_figures_fit_each_other() -> None:
    shared, per_row, once, ratio = (figure.value for figure in bench_storage(seed=3, posts=192))
    assert 7.9 < shared < 8.2
    assert per_row > once > 0
    assert ratio == pytest.approx(per_row / once)


def test_equal_seeds_give_equal_figures_and_others_do_not() -> None:
    assert bench_storage(seed=1, posts=32) == bench_storage(seed=1, posts=32)
    assert bench_storage(seed=1, posts=32) != bench_storage(seed=2, posts=32)
