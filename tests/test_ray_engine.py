"""Promises of building with a Ray cluster: not a byte changes, whatever happens to its workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builder_helpers import CountingObserver, CountingProvider, files_of, make_dataset
from ray_child import FEW, last_json
from test_build_overlap import many_posts

from cache.checking.verify import verify_store
from cache.errors import InputError
from cache.records import Post
from pipelines.cli import main
from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.engines.node import Looker, photo_bytes
from retrieval.engines.ray_engine import RayEngine, RayOptions

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return where a process of its own built with a cluster, and what it told.

    A process of its own, for Ray leaves processes and sockets to the end of the one it is in.
    """
    pytest.importorskip("ray", reason="needs the extra [ray]")
    folder = tmp_path_factory.mktemp("ray")
    environment = {
        **os.environ,
        # Workers import this folder, too.
        "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
        # Where other tests fill the memory, Ray would kill workers of ours.
        "RAY_memory_monitor_refresh_ms": "0",
    }
    command = [sys.executable, str(HERE / "ray_child.py"), str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=2500, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, last_json(done.stdout)


def build_here(store: Path, dataset: Dataset) -> BuildReport:
    return build_store(
        FEW,
        store,
        dataset=dataset,
        observer=CountingObserver(),
        providers=[CountingProvider()],
    )


def test_a_cluster_sees_what_one_machine_sees(
    built: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, told = built
    local = build_here(tmp_path, make_dataset(folder / "few"))
    assert files_of(folder / "shipped") == files_of(tmp_path)
    assert files_of(folder / "shipped", "recordings") == files_of(tmp_path, "recordings")
    assert told["shipped"]["photo_problems"] == local.photo_problems
    assert local.photo_problems == {"missing": 1, "not an image": 1}
    assert (told["shipped"]["num_observed"], told["shipped"]["asked"]) == (5, local.asked)
    assert told["shipped"]["seconds"]["decode"] > 0
    assert told["usage"] == "0"


def test_a_worker_that_is_killed_changes_nothing(
    built: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, told = built
    assert (folder / "marker").exists()
    assert told["killed"]["unfinished"] == {}
    build_here(tmp_path, many_posts(folder / "many", 16))
    assert files_of(folder / "killed") == files_of(tmp_path)
    assert verify_store(folder / "killed").problems == ()


def test_what_a_cluster_cannot_do_stops_the_build_and_names_the_node(
    built: tuple[Path, dict[str, Any]],
) -> None:
    folder, told = built
    assert re.match(r"node .* \(pid \d+\): its models, weights or libraries differ", told["other"])
    assert "no room for 99 workers with 1 CPUs" in told["no room"]
    assert not (folder / "refused" / "build.lock").exists()
    assert build_here(folder / "refused", make_dataset(folder / "few")).unfinished == ()


def look(photo: object) -> dict[str, Any]:
    """Return what a node tells of one post with that photo."""
    rows = {name: np.empty(1, dtype=object) for name in ("batch", "photos")}
    rows["batch"][0] = [Post("a", ("word",), "p.png")]
    rows["photos"][0] = {"a": photo}
    (row,) = Looker(CountingObserver, "observer", 1)(rows)
    told: dict[str, Any] = row["told"][0]
    return told


@pytest.mark.parametrize(
    ("size", "problem"),
    [(3, r"photo .*p\.png is not there"), (-1, "")],
    ids=["here it was", "nowhere"],
)
def test_a_photo_that_only_other_machines_have_is_no_missing_photo(
    tmp_path: Path, size: int, problem: str
) -> None:
    photo = (str(tmp_path / "p.png"), size)
    row = look(photo)
    if not problem:
        # It was in the data set, so nobody can say that the post has none.
        (unfinished,) = row["looked"].found
        assert photo[0] in unfinished.reason
        return
    assert "--ship-photos" in row["error"]
    assert re.search(problem, row["error"])


def test_a_photo_of_another_size_is_refused_and_a_shipped_one_needs_no_file(
    tmp_path: Path,
) -> None:
    dataset = make_dataset(tmp_path)
    path = dataset.photos["e0"]
    row = look((str(path), 7))
    assert "and 7 where the build was started" in row["error"]
    shipped = photo_bytes({"batch": [], "photos": {"a": (str(path), path.stat().st_size)}})
    path.unlink()
    row = look(shipped["photos"]["a"])
    assert row["looked"].found[0].observation.photo_status == "ok"
    gone = photo_bytes({"batch": [], "photos": {"a": (str(path), 7)}})
    row = look(gone["photos"]["a"])
    (unfinished,) = row["looked"].found
    assert str(path) in unfinished.reason
    assert row["looked"].photo_problems == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (RayOptions(cpus=0), "more than 0 CPUs"),
        (RayOptions(workers=0), "0 workers"),
        (RayOptions(gpus=-1), "-1 GPUs"),
    ],
)
def test_a_cluster_without_workers_is_refused(options: RayOptions, named: str) -> None:
    with pytest.raises(InputError, match=named):
        RayEngine(options, CountingObserver)


def test_without_ray_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install '\.\[ray\]'"):
        RayEngine(RayOptions(), CountingObserver)


@pytest.mark.parametrize("option", [["--workers", "2"], ["--ship-photos"], ["--address", "auto"]])
def test_options_of_a_cluster_need_one(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "sample", *option]) == 2
    assert f"{option[0]} is for a cluster; say --engine ray" in capsys.readouterr().err
