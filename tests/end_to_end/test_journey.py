"""The whole way on a very small sample world, through the command as a person types it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cache import open_store
from pipelines.cli import main
from pipelines.sample.world import WorldSize, generate_world

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE = WorldSize(train=24, dev=8, test=8, noise=6)
QUICK = ("train.epochs=1", "train.batch_size=8", "shard_size=8")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sample world and its knowledge base."""
    folder = tmp_path_factory.mktemp("world")
    generate_world(11, folder / "sample", SIZE, progress=False)
    call = ["kb", "build", str(folder / "sample/kb"), str(folder / "kb"), "--recipe", "sample"]
    assert main(call) == 0
    return folder


def settings(world: Path, recipe: str) -> list[str]:
    posts = {"sample": "posts", "sample-relations": "relations"}[recipe]
    values = (f"dataset.root={world / 'sample' / posts}", f"ask.kb={world / 'kb'}", *QUICK)
    return [word for value in values for word in ("--set", value)]


def build(world: Path, recipe: str, store: Path) -> list[str]:
    return ["build", recipe, "--store", str(store), *settings(world, recipe)]


def contents(store: Path) -> dict[str, str]:
    """Return the digest of every file of a store but what is local and what is asked again."""
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.relative_to(store).parts[0] not in ("local", "recordings")
    }


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["sample", "sample-relations"])
def test_a_post_travels_from_file_to_prediction(
    recipe: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, run, page = tmp_path / "store", tmp_path / "run", tmp_path / "page.html"

    assert main(build(world, recipe, store)) == 0
    assert main(["verify", str(store)]) == 0
    assert main(["inspect", str(store), "--html", str(page), "--limit", "4"]) == 0
    assert page.read_text().startswith("<!doctype html>")
    train = ["train", recipe, "--store", str(store), "--out", str(run)]
    assert main([*train, *settings(world, recipe)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["posts"] == SIZE.test
    assert 0 <= scores["f1"] <= 1

    with open_store(store) as reader:
        example_id = reader.example_ids("test")[0]
        post = reader.read(example_id).example.post
    call = ["predict", str(run), "--text", " ".join(post.tokens), "--json"]
    if recipe == "sample-relations":
        call += ["--head", "0:1", "--tail", "1:2"]
    assert main(call) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["evidence"]
    assert bool(answer["relations"]) == (recipe == "sample-relations")


@pytest.mark.slow
def test_two_builds_are_byte_identical_and_a_third_asks_nothing(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        assert main(build(world, "sample", tmp_path / name)) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    capsys.readouterr()
    assert main([*build(world, "sample", tmp_path / "one"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["asked"], report["num_written"]) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")} == before


# The command, but no more than two shards are written before it is told to end.
_NEVER_ENDING = """
import sys, threading
from cache.writing.writer import StoreWriter
from pipelines.cli import main
from retrieval.building.gather import Gatherer
write, stop, stopped = StoreWriter.write_shard, Gatherer.stop, threading.Event()

def write_shard(writer, index, *given):
    write(writer, index, *given)
    if index == 1:
        stopped.wait(600)

def stop_all(gatherer):
    stop(gatherer)
    stopped.set()

StoreWriter.write_shard, Gatherer.stop = write_shard, stop_all
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_build_stopped_midway_ends_as_if_it_never_was(
    how: signal.Signals, world: Path, tmp_path: Path
) -> None:
    assert main(build(world, "sample", tmp_path / "whole")) == 0

    stopped = tmp_path / "stopped"
    process = subprocess.Popen(
        [sys.executable, "-c", _NEVER_ENDING, *build(world, "sample", stopped)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # A test run in the background of a shell ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list(stopped.glob("examples/*.parquet")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    code = process.wait(timeout=300)
    assert code == (-how if how is signal.SIGKILL else 130)
    assert not (stopped / "manifest.json").exists()

    assert main(build(world, "sample", stopped)) == 0
    assert contents(stopped) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_comparison_called_again_trains_nothing_and_says_the_same(
    world: Path, tmp_path: Path
) -> None:
    store, out = tmp_path / "store", tmp_path / "runs"
    assert main(build(world, "sample", store)) == 0
    call = ["compare", "sample", "--store", str(store), "--out", str(out), "--seeds", "1"]
    call += ["--controls", *settings(world, "sample")]

    assert main(call) == 0
    weights = {path: path.stat().st_mtime_ns for path in out.glob("*/model.safetensors")}
    first = (out / "compare.json").read_bytes()
    assert main(call) == 0

    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert (out / "compare.json").read_bytes() == first
    names = {path.parent.name for path in weights}
    assert names == {"text_only-seed1", "synthesis-seed1", "synthesis-others-seed1"}
    rows = json.loads(first)["rows"]
    assert len(rows) == 4
    assert rows[0]["against_first"] is None
    assert rows[1]["against_first"]["posts"] == SIZE.test
