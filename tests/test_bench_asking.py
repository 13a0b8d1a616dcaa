"""The benchmark of asking, in small: blocks, garbage and a kill change nothing in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.bench.asking import bench_asking


@pytest.mark.slow
def test_a_build_among_blocks_and_garbage_that_is_killed_ends_as_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    # With this seed it is killed after a dozen of its questions.
    figures = {one.what: one for one in bench_asking(tmp_path / "asking", 200, 1, seed=2)}
    assert figures["asking: kills that hit the running build"].value == 1
    assert [what for what, one in figures.items() if one.met is False] == []
    assert 0.1 < figures["asking: share of the requests that was blocked"].value < 0.3
    assert 0.01 < figures["asking: share of the requests answered with garbage"].value < 0.1
    assert figures["asking: files of the store"].value > 5
