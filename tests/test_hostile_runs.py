"""A run folder from a teammate: whatever it claims, it is refused by name and costs little."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_helpers import MemoryStore, model_settings, stored, train_settings

from cache.errors import InputError
from cache.records import Span, StoredExample
from model.predictor import load_run
from model.run import CHECKPOINT, read_tensors, write_tensors
from model.training import train
from pipelines.comparing.scored import FOLDER, kept_score

MOST_BYTES = 128 << 20
Edit = Callable[[dict[str, Any]], object]


def small_store() -> MemoryStore:
    def post(number: int, split: str) -> StoredExample:
        found = (Span(1, 2, "LOC"),)
        return stored(f"{split}-{number}", "in velora sings", entities=found, split=split)

    posts = [post(number, split) for split in ("train", "dev", "test") for number in range(3)]
    return MemoryStore(posts, visual_dim=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(small_store(), "entities", model_settings(), train_settings(epochs=1), folder)
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def edit(path: Path, change: Edit) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def peak_bytes(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


def refused(folder: Path, message: str) -> None:
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes("VmRSS")
    with pytest.raises(InputError, match=message):
        load_run(folder, device="cpu")
    assert peak_bytes("VmHWM") - before < MOST_BYTES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", 500),
        ("num_hidden_layers", -1),
        ("num_hidden_layers", "many"),
        ("num_attention_heads", 10**9),
        ("hidden_size", 1 << 24),
        ("hidden_size", 10**12),
        ("hidden_size", -8),
        ("hidden_size", None),
        ("intermediate_size", 1 << 24),
        ("vocab_size", 1 << 24),
        ("vocab_size", 10**18),
        ("max_position_embeddings", 1 << 24),
        ("hidden_act", "__import__('os').system('true')"),
        ("model_type", "resnet"),
        ("model_type", ["bert"]),
    ],
)
def test_an_encoder_that_is_larger_than_its_weights_is_not_built(
    copy: Path, name: str, value: object
) -> None:
    edit(copy / "encoder" / "config.json", lambda config: config.update({name: value}))

    refused(copy, "does not describe a text encoder|do not fit the run beside them")


@pytest.mark.parametrize("depth", [10, 100_000])
def test_a_configuration_that_is_deep_or_long_is_refused(copy: Path, depth: int) -> None:
    path = copy / "encoder" / "config.json"
    deep = '{"model_type": "bert", "a": ' + "[" * depth + "]" * depth
    path.write_text(deep + (', "b": "' + "x" * (2 << 20) + '"' if depth == 10 else "") + "}")

    refused(copy, "does not describe a text encoder")


@pytest.mark.parametrize(
    ("fusion", "shapes"),
    [
        ("hvpnet", {}),
        ("hvpnet", {"pyramid": {"dims": [], "stages": [4]}}),
        ("ifaformer", {}),
        ("mega", {"parse": {}}),
    ],
)
def test_a_run_that_does_not_say_what_its_system_reads_is_refused(
    copy: Path, fusion: str, shapes: dict[str, object]
) -> None:
    def change(run: dict[str, Any]) -> None:
        run["model"]["fusion"], run["shapes"] = fusion, shapes

    edit(copy / "run.json", change)

    refused(copy, "does not say what .* looks like|the store has a pyramid of none")


def test_what_would_run_or_fetch_code_is_not_read(copy: Path) -> None:
    before = load_run(copy, device="cpu").predict([small_store().features("test-1")])
    named = {
        "auto_map": {"AutoModel": "evil--model.Model"},
        "attn_implementation": "evil/kernel",
        "_attn_implementation": "evil/kernel",
        "quantization_config": {"quant_method": "evil"},
        "_name_or_path": "../../evil",
    }
    edit(copy / "encoder" / "config.json", lambda config: config.update(named))

    assert load_run(copy, device="cpu").predict([small_store().features("test-1")]) == before


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("labels", lambda run: run.update(labels=[f"B-{n}" for n in range(100_000)])),
        ("visual_dim", lambda run: run.update(visual_dim=1 << 40)),
        ("visual_dim", lambda run: run.update(visual_dim=-1)),
        ("shapes", lambda run: run.update(shapes={"grid": {"dims": [1 << 40]}})),
        ("shapes", lambda run: run.update(shapes={"grid": {"dims": [-6]}})),
        ("shapes", lambda run: run.update(shapes={"../grid": {"dims": [6]}})),
        ("shapes", lambda run: run.update(shapes={"grid": {"dims": [6], "stages": [6] * 100}})),
        ("second", lambda run: run.update(second={"task": "evil", "labels": ["a"], "store": ""})),
        ("model.match_bonus", lambda run: run["model"].update(match_bonus=math.inf)),
        ("model.dropout", lambda run: run["model"].update(dropout=math.nan)),
        ("train.learning_rate", lambda run: run["train"].update(learning_rate=math.inf)),
    ],
)
def test_a_description_beyond_all_bounds_names_the_setting(
    copy: Path, where: str, change: Edit
) -> None:
    edit(copy / "run.json", change)

    refused(copy, f"not a run of this version: {where}")


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.update(labels=["O", *(f"B-{n}" for n in range(1000))]),
        lambda run: run.update(visual_dim=1 << 16),
        lambda run: run["model"].update(fusion="more"),
        lambda run: run.update(
            shapes={"pyramid": {"dims": [1 << 16, 1 << 16], "stages": [1 << 16]}},
            model={**run["model"], "fusion": "hvpnet"},
        ),
    ],
)
def test_a_network_that_is_larger_than_its_weights_is_not_built(copy: Path, change: Edit) -> None:
    edit(copy / "run.json", change)

    refused(copy, "do not fit the run beside them")


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": 1 << 60},
        {"step": 1.5},
        {"step": "1"},
        {"loss_sum": math.nan},
        {"best_f1": math.inf},
        {"more": 1},
        None,
    ],
)
def test_a_checkpoint_that_stands_nowhere_is_refused(
    copy: Path, change: dict[str, object] | None
) -> None:
    tensors, note = read_tensors(copy / CHECKPOINT)
    assert isinstance(note, dict)
    note["progress"] = None if change is None else {**note["progress"], **change}
    write_tensors(copy / CHECKPOINT, tensors, note)

    with pytest.raises(InputError, match="is not a checkpoint of this training"):
        train(small_store(), "entities", model_settings(), train_settings(epochs=1), copy)


def test_a_header_as_deep_as_a_well_is_refused(tmp_path: Path) -> None:
    note = {"note": "[" * 100_000}
    from safetensors.torch import save_file

    save_file({}, tmp_path / CHECKPOINT, note)

    with pytest.raises(InputError, match="cannot be read as safetensors"):
        read_tensors(tmp_path / CHECKPOINT)


@pytest.mark.parametrize("name", ["run.json", "calibration.json", "encoder/tokenizer.json"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_read(copy: Path, name: str, kind: str) -> None:
    (copy / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(copy / name)
    else:
        (copy / name).symlink_to("/dev/zero")

    refused(copy, "is no file")


def test_a_tokenizer_of_nothing_but_size_is_not_read(copy: Path) -> None:
    os.truncate(copy / "encoder" / "tokenizer.json", 1 << 40)

    refused(copy, "has 1,099,511,627,776 bytes")


@pytest.mark.parametrize("temperature", ["NaN", "Infinity", "1e999", "0", "-1", '"1"', "null"])
def test_a_temperature_that_is_none_is_refused(copy: Path, temperature: str) -> None:
    (copy / "calibration.json").write_text(f'{{"task": "entities", "temperature": {temperature}}}')

    refused(copy, r"calibration\.json cannot be used")


def kept(run: Path, **values: object) -> dict[str, Any]:
    """Return the record of a test as `ramie compare` keeps it, but for some values."""
    counts = {"tp": 3, "fp": 1, "fn": 0}
    scores = {"lenient": {**counts, "by_type": {"LOC": counts}}, "strict": counts}
    evaluation = {"task": "entities", "split": "test", "evidence": "own", "scores": scores}
    return {
        "format": 1,
        "run": hashlib.sha256((run / "run.json").read_bytes()).hexdigest(),
        "store": "0" * 64,
        "evaluation": evaluation,
        "example_ids": ["one", "two"],
        "counts": [[1, 1, 0], [2, 0, 0]],
        **values,
    }


@pytest.mark.parametrize(
    "values",
    [
        {"counts": [[1, 1, 0], [1, 0, 0]]},
        {"counts": [[4, 1, 0], [-1, 0, 0]]},
        {"counts": [[1, 1, 0]]},
        {"counts": [[10**30, 1, 0], [2, 0, 0]]},
        {"counts": [["1", 1, 0], [2, 0]]},
        {"counts": math.nan},
        {"evaluation": []},
        {"evaluation": {"split": "test", "evidence": "own", "scores": [], "task": "entities"}},
        {"example_ids": None},
    ],
)
def test_a_kept_test_that_does_not_add_up_counts_as_none(
    copy: Path, values: dict[str, object]
) -> None:
    path = copy / FOLDER / "test-own.json"
    path.parent.mkdir()
    path.write_text(json.dumps(kept(copy)))
    assert kept_score(copy, "0" * 64, "test", "own") is not None
    path.write_text(json.dumps(kept(copy, **values)))

    assert kept_score(copy, "0" * 64, "test", "own") is None
