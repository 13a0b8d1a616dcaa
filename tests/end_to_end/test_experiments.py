"""A published setting in one command, and a grid over made-up worlds, very small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cache.errors import InputError
from cache.manifest import read_manifest
from model.fusion import SYSTEMS
from pipelines.cli import main
from pipelines.comparing.compare import Grid, compare
from pipelines.comparing.systems import blocks_of
from pipelines.comparing.worlds import world_places
from pipelines.config import load_recipe
from pipelines.reproducing.reproduce import systems_for
from pipelines.reproducing.tiny import tiny_recipe
from pipelines.sample.world import WorldSize

TWO = "text_only,synthesis"
SIZE = WorldSize(train=24, dev=8, test=8, noise=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "fusions", "protocol"),
    [
        ("twitter2015", TWO, "16 test posts, original labels as the recipe states"),
        ("mnre", TWO, "MNRE, 16 test posts, clean"),
        ("twitter2017", "", "data of recipe twitter2017"),  # all systems, as is the default
    ],
    ids=["twitter2015", "mnre", "twitter2017"],
)
def test_a_published_setting_is_gone_through_in_one_command(
    recipe: str, fusions: str, protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["reproduce", recipe, "--size", "tiny"]
    call += ["--fusion", fusions] if fusions else []

    assert main(call) == 0

    out = tmp_path / "runs" / "reproduce" / f"{recipe}-tiny"
    result = json.loads((out / "compare.json").read_text())
    store = tmp_path / "data" / "stores" / f"{recipe}-tiny"
    everything = systems_for(store)
    assert set(everything) == SYSTEMS.keys() - {"joint"}
    wanted = fusions.split(",") if fusions else everything
    assert [row["system"] for row in result["rows"]] == wanted
    assert result["failures"] == []
    assert result["facts"]["protocol"] == protocol
    assert (out / "plots" / "f1-by-type.svg").is_file()
    assert read_manifest(store).counters["evidence"]
    before = (out / "compare.json").read_bytes()
    assert main(call) == 0
    assert (out / "compare.json").read_bytes() == before


def test_what_cannot_be_made_small_is_refused(tmp_path: Path) -> None:
    for name in ("twitter2017-recorded", "sample"):
        with pytest.raises(InputError, match="Take twitter2015, twitter2017 or mnre"):
            tiny_recipe(load_recipe(name), tmp_path)


@pytest.mark.slow
def test_worlds_are_made_once_and_pooled(tmp_path: Path) -> None:
    recipe = load_recipe("sample", ["train.epochs=1", "shard_size=8"])
    said: list[str] = []

    def places(size: WorldSize = SIZE) -> Grid:
        runs = tmp_path / "runs"
        found = world_places(
            recipe, [31, 32], runs, folder=tmp_path / "worlds", size=size, say=said.append
        )
        blocks = blocks_of(("text_only",), recipe=recipe)
        return Grid(recipe, tuple(blocks), tuple(found), (1,), runs)

    done = compare(places(), say=said.append)
    (row,) = done.rows
    assert [world for world, _ in row.runs] == ["world 31", "world 32"]
    assert len({run.example_ids for run in row.runs.values()}) == 1
    assert row.annotated == sum(run.micro.support for run in row.runs.values())
    assert len(set(done.facts.stores)) == 2
    assert "in 2 worlds" in done.table()

    said.clear()
    places()
    assert said == [
        f"world {seed}: store nothing to do -> {tmp_path}/worlds/{seed}/stores/sample"
        for seed in (31, 32)
    ]
    with pytest.raises(InputError, match=r"Remove .*worlds/31, or choose another"):
        places(WorldSize(train=25, dev=8, test=8, noise=4))


@pytest.mark.parametrize(
    ("recipe", "seeds", "named"),
    [
        ("twitter2017", [31], "is not of the made-up world; --worlds goes with sample"),
        ("sample", [31, 31], "each world once"),
        ("sample", [], "at least one"),
    ],
)
def test_worlds_that_are_none_are_refused(
    recipe: str, seeds: list[int], named: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=named):
        world_places(load_recipe(recipe), seeds, tmp_path, folder=tmp_path, say=print)
