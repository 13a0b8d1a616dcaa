from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.bench.searching import bench_searching


@pytest.mark.slow
def test_a_small_run_measures_all_that_a_large_one_does(tmp_path: Path) -> None:
    figures = {one.what: one for one in bench_searching(tmp_path / "bench", documents=1500)}
    assert list(tmp_path.iterdir()) == []
    value = {what.removeprefix("searching: "): one.value for what, one in figures.items()}
    assert value["documents with 512 numbers each"] == 1500
    assert value["recall@10 by vectors, against comparing with all"] >= 0.99
    assert 0.02 < value["GB of memory at most while it is built"] < 2
    assert all(number > 0 for number in value.values())
    # What is asked of a million is asked of no fewer.
    bounded = {one.what for one in figures.values() if one.bound is not None}
    assert bounded == {
        "searching: recall@10 by vectors, against comparing with all",
        "searching: s to open the vectors and lists",
    }
