"""Figures of a training in the tools that show them; those that are not installed are skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from training_helpers import scalars

from cache.errors import InputError
from model.training import trackers
from model.training.journal import Journal, forget_after
from model.training.trackers import TOOLS, Tracker, check_tools, open_trackers

SETTINGS = {"task": "entities", "train": {"seed": 3, "rates": {"head.crf": 0.5}}}


def two_sittings(tool: str, folder: Path) -> None:
    """Log steps 1 to 4 in a first sitting that was saved at 3, and 4 and 5 in a second."""
    (first,) = open_trackers([tool], folder, 0, SETTINGS)
    for step in range(1, 5):
        first.log(step, {"train/loss": 1.0 / step})
    first.log(4, {"dev/f1": 0.25})
    first.close()
    (second,) = open_trackers([tool], folder, 3, SETTINGS)
    for step in (4, 5):
        second.log(step, {"train/loss": 1.0 / step})
    second.close()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_is_not_installed_says_how_to_get_it(
    tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(InputError, match=f"pip install {tool}"):
        check_tools([tool])


def test_a_tool_that_there_is_not_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'wandbb'; known are tensorboard, wandb"):
        check_tools(["wandbb"])


def test_tensorboard_holds_each_step_of_both_sittings_once(tmp_path: Path) -> None:
    two_sittings("tensorboard", tmp_path)

    assert scalars(tmp_path, "train/loss") == pytest.approx({s: 1 / s for s in range(1, 6)})


@pytest.mark.filterwarnings("ignore")
def test_mlflow_continues_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow: Any = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")

    two_sittings("mlflow", tmp_path)

    (run,) = mlflow.search_runs(experiment_names=["ramie"], output_format="list")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train/loss")
    assert {point.step: point.value for point in history} == {s: 1 / s for s in range(1, 6)}
    assert run.data.metrics["dev/f1"] == 0.25
    assert run.data.params["train.seed"] == "3"


@pytest.mark.filterwarnings("ignore")
def test_trackio_continues_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    two_sittings("trackio", tmp_path)

    (name,) = SQLiteStorage.get_runs("ramie")
    logged = [e for e in SQLiteStorage.get_logs("ramie", name) if "train/loss" in e]
    assert {entry["step"]: entry["train/loss"] for entry in logged} == {
        step: 1 / step for step in range(1, 6)
    }


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")

    two_sittings("wandb", tmp_path)

    files = list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    identity = json.loads((tmp_path / "tracking.json").read_text())["identity"]
    assert len(files) == 2
    assert {path.stem for path in files} == {f"run-{identity}"}
    assert all(b"train/loss" in path.read_bytes() for path in files)


class Broken:
    """A tracker whose server is gone."""

    def __init__(self) -> None:
        self.asked = 0

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self.asked += 1
        raise ConnectionError("no such server")

    def close(self) -> None:
        raise AssertionError("was left out")


@pytest.fixture
def broken() -> Iterator[Broken]:
    """Return a tracker that fails."""
    tracker = Broken()
    assert isinstance(tracker, Tracker)
    yield tracker
    assert tracker.asked == 1


def test_a_tool_that_cannot_be_opened_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(run: Any) -> Tracker:
        raise RuntimeError("nobody is logged in")

    monkeypatch.setitem(trackers._TOOLS, "wandb", refuse)
    (kept,) = open_trackers(["wandb", "tensorboard"], tmp_path, 0, SETTINGS)
    kept.log(1, {"train/loss": 2.0})
    kept.close()

    assert "wandb cannot be used and is left out: nobody is logged in" in caplog.text
    assert scalars(tmp_path, "train/loss") == {1: 2.0}


def test_a_tracker_that_fails_is_left_out_and_the_rest_goes_on(
    tmp_path: Path, broken: Broken, caplog: pytest.LogCaptureFixture
) -> None:
    (kept,) = open_trackers(["tensorboard"], tmp_path, 0, SETTINGS)
    journal = Journal(tmp_path, [broken, kept])

    journal.figures(1, {"train/loss": 2.0})
    journal.figures(2, {"train/loss": 1.0})
    journal.epoch({"step": 2, "dev_f1": 0.5})
    journal.close()

    assert "no such server" in caplog.text
    assert scalars(tmp_path, "train/loss") == {1: 2.0, 2: 1.0}
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 2, "dev_f1": 0.5}


def test_lines_of_steps_to_be_taken_again_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 3}\n{"step": 6}\n{"step": 9, "dev')

    forget_after(tmp_path, 3)

    assert path.read_text() == '{"step": 3}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]
