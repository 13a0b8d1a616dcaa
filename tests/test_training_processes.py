"""Several processes take the steps of one; if one of them ends, all do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from model_helpers import model_settings, train_settings
from training_child import relations_of, store_of
from training_helpers import (
    TOLERANCE,
    encoder_in,
    environment,
    largest_difference,
    loss_curve,
    torchrun,
    train_in_child,
)

from cache.errors import InputError
from model.batch import Batch
from model.network import Extractor, Losses
from model.run import read_tensors
from model.training import train
from model.training.ranks import joined
from model.training.step import parts_of_step
from pipelines.cli import main

pytestmark = pytest.mark.slow

RECIPE = """
[dataset]
reader = "jsonl"
task = "mner"
root = "{root}"
[observe]
detector = "none"
encoder = "none"
[ask]
providers = []
[model]
text_encoder = "{encoder}"
max_pieces = 24
max_evidence_pieces = 16
[train]
epochs = 2
precision = "float32"
"""


def order_for(
    folder: Path, name: str, dropout: float = 0.0, **train_changes: Any
) -> dict[str, Any]:
    """Return an order of 2 epochs of 6 steps, the last of each with 2 posts."""
    return {
        "out": str(folder / name),
        "trackers": ["tensorboard"],
        "model": {"text_encoder": encoder_in(folder, dropout), "dropout": dropout},
        "train": {"epochs": 2, "mismatch": 0.3, **train_changes},
    }


def train_here(order: dict[str, Any]) -> Path:
    """Train as ordered in this process; return the run folder."""
    store = store_of(**order.get("store", {}))
    model, settings = model_settings(**order["model"]), train_settings(**order["train"])
    second = relations_of() if order.get("second") else None
    train(
        store,
        "entities",
        model,
        settings,
        order["out"],
        second=second,
        trackers=order["trackers"],
    )
    return Path(order["out"])


def assert_same_curve(one: Path, two: Path) -> None:
    left, right = loss_curve(one), loss_curve(two)
    assert left.keys() == right.keys()
    assert max(abs(left[step] - right[step]) / left[step] for step in left) < TOLERANCE
    assert largest_difference(one, two) < TOLERANCE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all runs of this file."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def both(folder: Path) -> Path:
    """Return the run of two processes that nothing disturbed."""
    ended = train_in_child(order_for(folder, "both"), processes=2)
    assert ended.returncode == 0, ended.stderr
    # One process wrote, and one spoke.
    assert ended.stdout.count("steps") == 1
    assert json.loads(ended.stdout)["steps"] == 12
    return folder / "both"


def test_two_processes_take_the_steps_of_one(folder: Path, both: Path) -> None:
    alone = train_here(order_for(folder, "alone"))

    curve = loss_curve(alone)
    assert list(curve) == list(range(1, 13))
    assert curve[12] < 0.8 * curve[1]  # something was learned, so there is something to compare
    assert_same_curve(alone, both)


def test_accumulation_in_two_processes_and_posts_for_one_only(folder: Path) -> None:
    # 9 posts in batches of 4: the last step has one post, which one process takes.
    small = {"store": {"posts": 9}}
    alone = train_here({**order_for(folder, "alone-9"), **small})
    order = {**order_for(folder, "both-9", accumulate=2), **small}

    ended = train_in_child(order, processes=2)

    assert ended.returncode == 0, ended.stderr
    assert_same_curve(alone, folder / "both-9")


def test_two_tasks_in_two_processes_where_a_step_leaves_a_head_unused(folder: Path) -> None:
    orders = [order_for(folder, name) for name in ("joint", "both-joint")]
    for order in orders:
        order["second"], order["model"]["fusion"] = True, "joint"
    alone = train_here(orders[0])

    ended = train_in_child(orders[1], processes=2)

    assert ended.returncode == 0, ended.stderr
    assert_same_curve(alone, folder / "both-joint")


@pytest.mark.parametrize("fusion", ["more", "hvpnet"])
def test_a_second_encoder_and_a_prefix_that_steps_without_photos_leave_unused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fusion: str
) -> None:
    orders = [order_for(folder, f"{name}{fusion}") for name in ("", "both-")]
    for order in orders:
        order["model"]["fusion"] = fusion
    forward, with_photos = Extractor.forward, set[bool]()

    def watched(network: Extractor, batch: Batch) -> Losses:
        with_photos.update(bool(stacked.mask.any()) for stacked in batch.arrays.values())
        return forward(network, batch)

    monkeypatch.setattr(Extractor, "forward", watched)
    alone = train_here(orders[0])
    assert with_photos == ({True, False} if fusion == "hvpnet" else set())

    ended = train_in_child(orders[1], processes=2)

    assert ended.returncode == 0, ended.stderr
    assert_same_curve(alone, folder / f"both-{fusion}")


@pytest.mark.parametrize("busy_s", [0.0, 5.0], ids=["that-waits-for-it", "that-is-busy"])
def test_a_process_that_is_killed_ends_the_other_with_a_message(
    folder: Path, busy_s: float
) -> None:
    # With dropout, so that each process has to find its own random state again.
    undisturbed, killed = (
        order_for(folder, f"{name}-{busy_s}", 0.2) for name in ("undisturbed", "killed")
    )
    order = {**killed, "die_at": 3, "busy_s": busy_s, "save_every_s": 0.0}

    ended = train_in_child(order, processes=2)

    assert ended.returncode != 0
    assert "another process of this training ended" in ended.stderr
    assert "Run the same command again" in ended.stderr
    note: Any = read_tensors(Path(killed["out"]) / "checkpoint.safetensors")[1]
    assert note["progress"]["step"] == 3
    for whole in (killed, undisturbed):
        assert json.loads(train_in_child(whole, processes=2).stdout)["steps"] == 12
    assert largest_difference(Path(killed["out"]), Path(undisturbed["out"])) == 0.0


def test_what_fails_in_one_process_is_said_once(folder: Path) -> None:
    order = order_for(folder, "hot", learning_rate=1e30, head_learning_rate=1e30)

    ended = train_in_child(order, processes=2)

    assert ended.returncode != 0
    assert ended.stderr.count("not finite") == 1
    assert "train-0" in ended.stderr


def test_the_command_under_torchrun_writes_and_prints_once(folder: Path) -> None:
    posts = folder / "posts"
    posts.mkdir()
    for split in ("train", "dev", "test"):
        line = {
            "id": split,
            "tokens": ["velora"],
            "entities": [{"start": 0, "end": 1, "type": "A"}],
        }
        (posts / f"{split}.jsonl").write_text(json.dumps(line) + "\n")
    recipe = folder / "mine.toml"
    recipe.write_text(RECIPE.format(root=posts, encoder=encoder_in(folder)))
    call = [str(recipe), "--store", str(folder / "store"), "--json"]
    assert main(["build", *call]) == 0

    ended = subprocess.run(
        [*torchrun(2), "-m", "pipelines.cli", "train", *call, "--out", str(folder / "cli")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["steps"] == 2
    assert (folder / "cli" / "recipe.json").exists()
    assert list(loss_curve(folder / "cli")) == [1, 2]  # TensorBoard is the default


def test_an_environment_that_is_not_torchruns_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")

    with pytest.raises(InputError, match="WORLD_SIZE='two'"), joined(False):
        pass


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_parts_hold_every_post_once_and_cost_about_the_same(count: int) -> None:
    indices = [5, 3, 9, 1, 0, 7]
    costs = [10, 40, 0, 20, 0, 30, 0, 25, 0, 15]

    parts = parts_of_step(indices, costs, count)

    assert len(parts) == count
    assert sorted(index for part in parts for index in part) == sorted(indices)
    for part in parts:
        assert part == [index for index in indices if index in part]  # the order is kept
    loads = [sum(costs[index] for index in part) for part in parts]
    # No post could be moved to level them further.
    assert count == 1 or max(loads) - min(loads) <= max(costs)
    assert parts_of_step(indices, costs, count) == parts


def test_the_childs_posts_differ_in_length_and_evidence() -> None:
    store = store_of()
    texts = {len(store.features(name).evidence) for name in store.example_ids("train")}

    assert texts == {0, 1, 2, 3, 4}
