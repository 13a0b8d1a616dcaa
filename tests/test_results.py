"""The runs that are kept in ``docs/results``: the tables beside them are made of them alone."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from statistics import mean

import pytest

from model.run import read_run
from pipelines.comparing.scored import kept_score

RESULTS = Path(__file__).parent.parent / "docs" / "results"
GRIDS = sorted(path for path in RESULTS.iterdir() if path.is_dir())


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_a_kept_table_says_what_the_kept_tests_say(grid: Path) -> None:
    f1: defaultdict[str, list[float]] = defaultdict(list)
    for run in sorted(path.parent for path in grid.rglob("run.json")):
        score = kept_score(run, read_run(run).store, "test", "own")
        assert score is not None, f"{run} has no test of itself"
        name, _, seed = run.name.rpartition("-seed")
        assert seed.isdigit()
        f1[name].append(100 * score.micro.f1)
    rows = re.findall(
        r"^\| ([^|]+?) \| (\d+) \| ([\d.]+)", (grid / "compare.md").read_text(), re.M
    )
    told = {name.replace(" ", "-"): (int(runs), value) for name, runs, value in rows}
    assert told == {name: (len(v), f"{mean(v):.2f}") for name, v in f1.items()}


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_kept_runs_have_neither_weights_nor_places(grid: Path) -> None:
    for path in (path for path in grid.rglob("*") if path.is_file()):
        assert path.suffix in (".json", ".jsonl", ".md")
        assert not re.search(rb"/(home|root|tmp|work|usr)/", path.read_bytes())
