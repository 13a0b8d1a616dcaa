"""The runs that are kept in ``docs/results``: the tables beside them are made of them alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from model.order import EvidenceOf
from model.run import read_run
from model.scoring.significance import stratified_bootstrap
from pipelines.comparing import rows as making
from pipelines.comparing.facts import Facts
from pipelines.comparing.rows import Runs, Significance, rows_of
from pipelines.comparing.scored import kept_score
from pipelines.comparing.systems import Block, System
from pipelines.comparing.table import markdown

RESULTS = Path(__file__).parent.parent / "docs" / "results"
ROW = r"\| ([a-z_]+)(?: without ([^|,]+))?(, shown the evidence of others at the test)? \| \d"
GRIDS = sorted(path for path in RESULTS.iterdir() if path.is_dir())


def facts_of(table: str) -> Facts:
    """Return what the heading says; what stands below the table is not made of the tests."""
    heading = re.match(r"\*\*(\S+), test: \d+ (entities|relations) ", table)
    assert heading
    return Facts(
        recipe=heading[1],
        task={"entities": "mner", "relations": "mre"}[heading[2]],
        split="test",
        seeds=(),
        worlds=(),
        missing=0,
        protocol="",
        contaminated="",
        encoder="",
        stores=(),
        partners=(),
        code=(),
        commit="",
    )


def blocks_of(table: str) -> list[Block]:
    """Return the systems that the table names, block by block."""
    title, share, blocks = "", 1.0, list[tuple[str, list[System]]]()
    for line in table.splitlines():
        if heading := re.fullmatch(r"\*([^*]+)\*", line):
            title = heading[1]
            named = re.search(r"([\d.]+) % of the training posts", title)
            share = float(named[1]) / 100 if named else 1.0
        elif line.startswith("| system |"):
            blocks.append((title, []))
        elif row := re.match(ROW, line):
            shown: EvidenceOf = "others" if row[3] else "own"
            system = System(row[1], without=row[2] or "", share=share, shown=shown)
            blocks[-1][1].append(system)
    return [Block(name, tuple(systems)) for name, systems in blocks]


def runs_of(grid: Path, systems: set[System]) -> dict[System, Runs]:
    """Return the kept tests of each system; every kept run is one of theirs."""
    found: dict[System, dict[Any, Any]] = {system: {} for system in systems}
    for run in sorted(path.parent for path in grid.rglob("run.json")):
        seed = int(run.name.rpartition("seed")[2])
        world = "" if run.parent == grid else run.parent.name
        mine = [system for system in systems if system.run_name(seed) == run.name]
        assert mine, f"{run} is in no row"
        for system in mine:
            score = kept_score(run, read_run(run).store, "test", system.shown)
            assert score is not None, f"{run} has no test of {system.name}"
            found[system][world, seed] = score
    return dict(found)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_a_kept_table_says_what_the_kept_tests_say(
    grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every figure, interval and p-value of it: the seed of the resampling is fixed."""

    def fewer(*of: Any, resample_runs: bool = False) -> Any:
        """Leave out what no table shows, and takes a third of the time."""
        return None if resample_runs else stratified_bootstrap(*of)

    monkeypatch.setattr(making, "stratified_bootstrap", fewer)
    kept = (grid / "compare.md").read_text()
    blocks = blocks_of(kept)
    found = runs_of(grid, {system for block in blocks for system in block.systems})

    made = markdown(rows_of(blocks, found, Significance()), facts_of(kept))

    shown, told = (text.partition("\n\n- protocol: ")[0] for text in (made, kept))
    assert shown == told


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_kept_runs_have_neither_weights_nor_places(grid: Path) -> None:
    for path in (path for path in grid.rglob("*") if path.is_file()):
        assert path.suffix in (".json", ".jsonl", ".md")
        assert not re.search(rb"/(home|root|tmp|work|usr)/", path.read_bytes())


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_kept_tests_do_not_say_how_sure_a_run_was(grid: Path) -> None:
    """A temperature that is fitted afterwards would make that untrue."""
    for path in grid.rglob("scores/*.json"):
        assert not {"calibration", "temperature", "calibrated"} & {
            *json.loads(path.read_text())["evaluation"]
        }
