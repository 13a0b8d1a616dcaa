"""A training that is killed, or has too little memory, in a process of its own."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from model_helpers import model_settings, train_settings
from training_child import store_of
from training_helpers import command, encoder_in, environment, train_in_child

from model.run import read_tensors
from model.training import train

pytestmark = pytest.mark.slow

STEPS_PER_EPOCH = 6
FILES = ("checkpoint.safetensors", "model.safetensors")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute as the child does: sums of another number of threads differ in the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def steps_in(checkpoint: Path) -> int:
    """Return how many steps a checkpoint holds; 0 while there is none.

    The header is read by hand: ``safe_open`` opens a path twice, and fails when the training
    replaces the file in between.
    """
    try:
        with checkpoint.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except FileNotFoundError:
        return 0
    step: int = json.loads(header["__metadata__"]["note"])["progress"]["step"]
    return step


@pytest.mark.parametrize(
    ("seed", "save_every_s"), [(1, 0.0), (2, 0.3)], ids=["while-it-saves", "after-it-saved"]
)
def test_a_training_killed_in_an_epoch_ends_with_the_same_weights(
    tmp_path: Path, seed: int, save_every_s: float
) -> None:
    model: dict[str, Any] = {"text_encoder": encoder_in(tmp_path, 0.1), "dropout": 0.2}
    settings = {"epochs": 8, "accumulate": 2, "mismatch": 0.3, "patience": 7, "seed": seed}
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    chance = random.Random(seed)
    # All in one epoch: the first step of it is saved, whatever the clock says, and at the last
    # but one nothing goes on. In between is any moment of a step, or of a file being written.
    first = STEPS_PER_EPOCH * chance.randrange(4) + 1
    last = first + STEPS_PER_EPOCH - 3
    rests = [(first - 1, save_every_s + 0.1), (last, 600.0)]
    order = {"out": str(killed), "model": model, "train": settings, "save_every_s": save_every_s}
    child = subprocess.Popen(
        command({**order, "rests": rests}),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while child.poll() is None and steps_in(killed / FILES[0]) < first:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.2))
    finally:
        child.kill()
        child.wait()
    assert child.returncode == -signal.SIGKILL
    assert first <= steps_in(killed / FILES[0]) <= last

    for run in (killed, straight):
        torch.manual_seed(chance.randrange(1000))  # whatever happened in between
        report = train(
            store_of(), "entities", model_settings(**model), train_settings(**settings), run
        )
        assert report.finished

    for name in FILES:
        (wanted, wanted_note), (found, note) = (read_tensors(r / name) for r in (straight, killed))
        assert note == wanted_note
        assert found.keys() == wanted.keys()
        assert [key for key in wanted if not torch.equal(wanted[key], found[key])] == []
    lines = [(run / "metrics.jsonl").read_text() for run in (killed, straight)]
    assert lines[0] == lines[1]


def test_too_little_memory_names_the_batch_and_what_helps(tmp_path: Path) -> None:
    order = {
        "out": str(tmp_path / "run"),
        "store": {"posts": 600, "longest": 400},
        "model": {"text_encoder": encoder_in(tmp_path), "max_pieces": 100, "dropout": 0.0},
        "train": {"batch_size": 600, "epochs": 1},
        "room_mb": 400,
    }

    ended = train_in_child(order)

    assert ended.returncode == 1, ended.stderr
    assert "ERROR out of memory with 600 posts (" in ended.stderr
    for switch in ("accumulate", "checkpointing", "batch_size", "max_evidence"):
        assert switch in ended.stderr
