"""What a step is, however it is computed; and when a training ends or refuses to go on."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from model_helpers import MemoryStore, make_parts, model_settings, stored, train_settings
from training_child import store_of
from training_helpers import encoder_in, largest_difference, scalars

from cache.errors import InputError, RamieError
from cache.records import Span
from model.run import read_run, read_tensors, write_run, write_tensors
from model.scoring.evaluation import evaluate
from model.settings import TrainSettings
from model.training import TrainReport, train
from model.training.optimizer import make_optimizer, peak_rates
from model.training.plan import mismatch_of
from model.training.subset import chosen_posts


def trained(folder: Path, name: str, dropout: float = 0.0, **train_changes: Any) -> TrainReport:
    """Train the posts of the child for two epochs of six steps, or to ``stop_after``."""
    stop_after = train_changes.pop("stop_after", None)
    fusion = train_changes.pop("fusion", "synthesis")
    encoder = encoder_in(folder, dropout)
    model = model_settings(text_encoder=encoder, dropout=dropout, fusion=fusion)
    settings = train_settings(**{"mismatch": 0.3, **train_changes})
    return train(store_of(), "entities", model, settings, folder / name, stop_after=stop_after)


def losses(run: Path) -> list[float]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


def test_a_step_in_parts_is_the_step(tmp_path: Path) -> None:
    trained(tmp_path, "whole")
    trained(tmp_path, "parts", accumulate=3)

    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)
    assert largest_difference(tmp_path / "whole", tmp_path / "parts") < 1e-4


def test_checkpointing_changes_no_step_even_with_dropout(tmp_path: Path) -> None:
    trained(tmp_path, "kept", dropout=0.1)
    trained(tmp_path, "again", dropout=0.1, checkpointing=True)

    assert losses(tmp_path / "again") == pytest.approx(losses(tmp_path / "kept"), rel=1e-6)
    assert largest_difference(tmp_path / "kept", tmp_path / "again") < 1e-6


def test_an_unfinished_run_goes_on_with_other_costs_and_nothing_else(tmp_path: Path) -> None:
    model = model_settings(text_encoder=encoder_in(tmp_path), dropout=0.0)
    train(store_of(), "entities", model, train_settings(), tmp_path / "run", stop_after=3)

    cheaper = train_settings(accumulate=2, checkpointing=True)
    report = train(store_of(), "entities", model, cheaper, tmp_path / "run")

    assert report.finished
    assert read_run(tmp_path / "run").train.accumulate == 2
    with pytest.raises(InputError, match=r"train\.batch_size 4 -> 5 "):
        train(store_of(), "entities", model, train_settings(batch_size=5), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler is here")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
# Others, whose keys and values stand beside the encoder's, take minutes to be translated.
@pytest.mark.parametrize("fusion", ["synthesis", "more"])
def test_compiled_steps_are_the_same_steps(tmp_path: Path, fusion: str) -> None:
    trained(tmp_path, "plain", fusion=fusion)
    trained(tmp_path, "compiled", fusion=fusion, compile=True)

    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-5)
    assert 0 < largest_difference(tmp_path / "plain", tmp_path / "compiled") < 1e-4


def test_a_missing_compiler_is_named_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")

    with pytest.raises(InputError, match=r"no C\+\+ compiler.*no-such-compiler.*train\.compile"):
        trained(tmp_path, "run", compile=True)


def test_training_ends_when_dev_does_not_improve_and_stays_ended(tmp_path: Path) -> None:
    still = {"epochs": 9, "patience": 2, "learning_rate": 1e-9, "head_learning_rate": 1e-9}

    report = trained(tmp_path, "run", **still)
    again = trained(tmp_path, "run", **still)

    # The first epoch is the best of equals, then two are waited for.
    assert (report.steps, report.best_epoch, report.finished) == (18, 1, True)
    assert (again.steps, again.finished, again.posts_per_second) == (18, True, 0.0)


def test_early_stopping_is_the_same_after_a_break(tmp_path: Path) -> None:
    model = model_settings(text_encoder=encoder_in(tmp_path), dropout=0.0)
    settings = train_settings(epochs=9, patience=1, learning_rate=1e-9, head_learning_rate=1e-9)
    for stop in (4, 7, 11, None):
        report = train(store_of(), "entities", model, settings, tmp_path / "r", stop_after=stop)

    assert (report.steps, report.finished) == (12, True)


def test_dev_is_evaluated_every_so_many_epochs_and_after_the_last(tmp_path: Path) -> None:
    report = trained(tmp_path, "run", epochs=5, evaluate_every=2)

    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [2, 4, 5]
    assert (report.steps, report.finished) == (30, True)
    assert report.best_epoch in (2, 4, 5)


def test_what_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RamieError):
        train(tmp_path / "none", "entities", model_settings(), train_settings(), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_a_setting_that_is_refused_does_not_occupy_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no parameter"):
        trained(tmp_path, "run", rates={"hed.crf": 1e-3})

    assert trained(tmp_path, "run", rates={"head.crf": 1e-3}).finished


def test_a_run_that_was_shown_mismatch_in_another_way_is_no_beginning(tmp_path: Path) -> None:
    assert trained(tmp_path, "run", epochs=1).finished
    run = read_run(tmp_path / "run")
    assert run.mismatch_beside
    write_run(tmp_path / "run", run.model_copy(update={"mismatch_beside": False}))

    with pytest.raises(InputError, match="mismatch_beside False -> True"):
        trained(tmp_path, "run", epochs=1)


@pytest.mark.parametrize(
    ("fusion", "consistency", "evidence"),
    [("text_only", True, "own"), ("synthesis", False, "own"), ("synthesis", True, "others")],
)
def test_who_learns_nothing_from_mismatch_is_shown_none(
    fusion: str, consistency: bool, evidence: str
) -> None:
    model = model_settings(fusion=fusion, consistency=consistency)

    assert mismatch_of(model, train_settings(evidence=evidence)) == 0.0
    assert mismatch_of(model_settings(), train_settings(mismatch=0.3)) == 0.3


def test_early_stopping_waits_for_an_evaluation(tmp_path: Path) -> None:
    still = {"epochs": 9, "patience": 1, "learning_rate": 1e-9, "head_learning_rate": 1e-9}

    report = trained(tmp_path, "run", **still, evaluate_every=2)

    # Evaluated after the second epoch, the best of equals, and after the fourth.
    assert (report.steps, report.best_epoch, report.finished) == (24, 2, True)


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_every_parameter_is_in_one_group_with_any_rates(
    tmp_path: Path, layer_decay: float
) -> None:
    network = make_parts(tmp_path).network
    rates = {"head.crf": 0.5, "fusion": 0.25}
    settings = train_settings(layer_decay=layer_decay, rates=rates, head_learning_rate=0.125)

    optimizer = make_optimizer(network, settings)

    groups = {id(p): g["peak"] for g in optimizer.param_groups for p in g["params"]}
    assert len(groups) == sum(len(g["params"]) for g in optimizer.param_groups)
    assert groups.keys() == {id(p) for p in network.parameters()}
    named = {name: groups[id(p)] for name, p in network.named_parameters()}
    assert named["head.crf.step_scores"] == 0.5
    assert named["head.emit.weight"] == settings.head_learning_rate
    assert {rate for name, rate in named.items() if name.startswith("fusion.")} == {0.25}
    assert len(optimizer.param_groups) == (4 if layer_decay == 1 else 6)


def test_rates_fall_from_layer_to_layer_in_every_pretrained_part() -> None:
    settings = TrainSettings(learning_rate=8.0, layer_decay=0.5, head_learning_rate=1.0)
    names = [
        "encoder.backbone.embeddings.word_embeddings.weight",
        "encoder.backbone.encoder.layer.0.output.dense.weight",
        "encoder.backbone.encoder.layer.1.output.dense.weight",
        "encoder.backbone.final_norm.weight",
        "fusion.image_encoder.embed.weight",
        "fusion.image_encoder.layers.0.weight",
        "fusion.image_encoder.layers.1.weight",
        "fusion.image_encoder.layers.2.weight",
        "fusion.image_encoder_gate.weight",
        "fusion.gates.3.weight",
        "head.emit.weight",
    ]

    rates = peak_rates(names, settings, ("encoder.", "fusion.image_encoder."))

    assert list(rates.values()) == [2.0, 4.0, 8.0, 8.0, 1.0, 2.0, 4.0, 8.0, 1.0, 1.0, 1.0]


def test_a_rate_for_nothing_names_the_parts_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'hed', .* parts are encoder\.backbone.*head\.crf"):
        make_optimizer(make_parts(tmp_path).network, train_settings(rates={"hed": 0.1}))


def test_a_smaller_share_is_inside_a_larger_one() -> None:
    ids = [f"post-{number}" for number in range(200)]

    five, ten, quarter = (chosen_posts(ids, share, 1) for share in (0.05, 0.1, 0.25))

    assert (len(five), len(ten), len(quarter)) == (10, 20, 50)
    assert five < ten < quarter
    assert chosen_posts(list(reversed(ids)), 0.1, 1) == ten
    assert chosen_posts(ids, 0.1, 2) != ten
    assert len(chosen_posts(ids[:3], 0.01, 1)) == 1


def test_a_share_trains_on_its_posts_and_their_labels_only(tmp_path: Path) -> None:
    posts = [
        stored(f"{split}-{n}", "velora sings", entities=(Span(0, 1, f"T{n}"),), split=split)
        for split in ("train", "dev")
        for n in range(20)
    ]
    store = MemoryStore(posts, 0)
    settings = train_settings(share=0.2, epochs=1)

    train(store, "entities", model_settings(fusion="text_only"), settings, tmp_path)

    chosen = chosen_posts(store.example_ids("train"), 0.2, settings.seed)
    assert len(chosen) == 4
    known = {label.removeprefix("B-") for label in read_run(tmp_path).labels if "B-" in label}
    assert known == {f"T{name.removeprefix('train-')}" for name in chosen}
    result = evaluate(tmp_path, store, "dev")
    assert sum(result.unseen_labels.values()) == 16
    assert int(result.counts[:, [0, 2]].sum()) == 20  # what is not known is missed, not dropped


def test_a_share_learns_the_relations_of_its_posts_only(tmp_path: Path) -> None:
    posts = [
        stored(
            f"{split}-{n}",
            "velora in tamber",
            relation=f"R{n}",
            mentions=(Span(0, 1), Span(2, 3)),
            split=split,
        )
        for split in ("train", "dev")
        for n in range(20)
    ]
    store = MemoryStore(posts, 0)
    settings = train_settings(share=0.2, epochs=1)

    train(store, "relations", model_settings(fusion="text_only"), settings, tmp_path)

    chosen = chosen_posts(store.example_ids("train"), 0.2, settings.seed)
    known = {f"R{name.removeprefix('train-')}" for name in chosen}
    assert set(read_run(tmp_path).labels) == known
    result = evaluate(tmp_path, store, "dev")
    assert result.unseen_labels.keys() == {f"R{n}" for n in range(20)} - known
    assert int(result.counts[:, [0, 2]].sum()) == 20  # what is not known is missed, not dropped


def told_of(run: Path) -> list[str]:
    """Return what is to be said of each evaluated epoch, as a pattern; of its speed anything."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        rf"loss {line['train_loss']:.3f}, dev F1 {100 * line['dev_f1']:.1f}, \d+ posts/s"
        for line in lines
    ]


def test_where_no_bar_can_be_shown_each_evaluation_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_settings(text_encoder=encoder_in(tmp_path), fusion="text_only")
    train(store_of(), "entities", model, train_settings(), tmp_path, progress=True)

    lines = capsys.readouterr().err.splitlines()
    said = [line for line in lines if line.startswith("train:")]
    assert losses(tmp_path)[1] < losses(tmp_path)[0]
    for epoch, (told, line) in enumerate(zip(told_of(tmp_path), said, strict=True), 1):
        start = f"train: step {6 * epoch} of 12, epoch {epoch}, "
        assert re.fullmatch(rf"{start}{told}, 00:\d\d left", line)


class Terminal(io.StringIO):
    """Standard error of a person who watches."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_says_the_same_and_no_line_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_settings(text_encoder=encoder_in(tmp_path), fusion="text_only")
    left: list[str] = []
    for stop_after in (3, None):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        settings, run = train_settings(), tmp_path / "run"
        train(store_of(), "entities", model, settings, run, progress=True, stop_after=stop_after)
        assert "train: step" not in terminal.getvalue()
        bars = re.findall(r"train: [^\r\n]+", terminal.getvalue())
        left.append(bars[-1])

    # How far, how long, how long it will take, how fast, and the figures.
    bar = r"train: +{}%\|.*\| {}/12 \[00:\d\d<00:\d\d, +[\d.]+(step/s|s/step), {}\]"
    assert re.fullmatch(bar.format(25, 3, r"loss \d+\.\d{3}, dev F1 -, \d+ posts/s"), left[0])
    assert re.fullmatch(bar.format(100, 12, told_of(tmp_path / "run")[1]), left[1])


def test_a_loss_that_is_not_finite_names_the_posts(tmp_path: Path) -> None:
    rates = {"learning_rate": 1e30, "head_learning_rate": 1e30}
    with pytest.raises(RamieError, match=r"step \d+ has a .* not finite") as refused:
        trained(tmp_path, "run", batch_size=12, mismatch=0.0, **rates)
    assert str(refused.value).count("train-0") >= 10  # all of them, not the first few


def test_precision_is_recorded_and_not_changed_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hardware(has: bool) -> None:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)

    hardware(has=False)
    trained(tmp_path, "run", precision="auto", stop_after=1)
    assert read_run(tmp_path / "run").precision == "float32"
    hardware(has=True)
    with pytest.raises(InputError, match="precision float32 -> bfloat16"):
        trained(tmp_path, "run", precision="auto")
    hardware(has=False)
    assert trained(tmp_path, "run", precision="auto")


def test_a_run_that_does_not_say_its_precision_or_what_made_its_sets_goes_on(
    tmp_path: Path,
) -> None:
    store, model = store_of(), model_settings(fusion="mega", text_encoder=encoder_in(tmp_path))
    for held in store.manifest.feature_sets.values():
        held.source = "a parser"
    run, settings = tmp_path / "run", train_settings(epochs=1)
    train(store, "entities", model, settings, run, stop_after=1)
    tensors, note = read_tensors(run / "checkpoint.safetensors")
    assert isinstance(note, dict)
    written = json.loads((run / "run.json").read_text())
    for described in (written, note["run"]):
        assert described["shapes"]["parse"].pop("source") == "a parser"
        assert described.pop("precision") == "float32"
    (run / "run.json").write_text(json.dumps(written))
    write_tensors(run / "checkpoint.safetensors", tensors, note)

    assert train(store, "entities", model, settings, run).finished


def test_a_training_in_bfloat16_goes_on_where_it_stopped_to_the_bit(tmp_path: Path) -> None:
    trained(tmp_path, "stopped", precision="bfloat16", stop_after=3)
    trained(tmp_path, "stopped", precision="bfloat16")
    trained(tmp_path, "straight", precision="bfloat16")

    assert largest_difference(tmp_path / "stopped", tmp_path / "straight") == 0.0
    trained(tmp_path, "float32")
    assert largest_difference(tmp_path / "straight", tmp_path / "float32") > 0.0


def test_a_checkpoint_of_another_run_is_refused_with_the_difference(tmp_path: Path) -> None:
    trained(tmp_path, "run", epochs=1)
    path = tmp_path / "run" / "checkpoint.safetensors"
    tensors, note = read_tensors(path)
    assert isinstance(note, dict)
    note["run"]["store"] = "0" * 64
    note["run"]["labels"] = ["O", "B-SHIP", "I-SHIP"]
    note["run"]["model"]["text_encoder"] = "another-encoder"
    note["run"]["encoder"] = "1" * 64
    write_tensors(path, tensors, note)

    with pytest.raises(InputError) as refused:
        trained(tmp_path, "run", epochs=1)

    message = str(refused.value)
    assert "labels 3 -> 5 values, without B-SHIP, I-SHIP and with B-LOC" in message
    assert "model.text_encoder another-encoder -> " in message
    assert "store 000000000000... -> ffffffffffff..." in message
    assert "Choose another --out folder" in message


def test_a_folder_from_before_a_setting_existed_goes_on_with_its_default(tmp_path: Path) -> None:
    trained(tmp_path, "run")
    path = tmp_path / "run" / "run.json"
    content = json.loads(path.read_text())
    for name in ("accumulate", "share", "layer_decay", "rates", "patience", "evaluate_every"):
        del content["train"][name]
    path.write_text(json.dumps(content))
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    tensors, note = read_tensors(checkpoint)
    assert isinstance(note, dict)
    write_tensors(checkpoint, tensors, note["progress"])  # as it was written then

    assert trained(tmp_path, "run").steps == 12
    assert read_run(tmp_path / "run").train.share == 1.0


def test_tensorboard_shows_every_step_once_also_after_a_break(tmp_path: Path) -> None:
    model = model_settings(text_encoder=encoder_in(tmp_path), dropout=0.0)
    run = tmp_path / "run"
    tools: dict[str, Any] = {"trackers": ["tensorboard"]}
    train(store_of(), "entities", model, train_settings(), run, stop_after=8, **tools)
    # As if it had been killed: two more steps were shown, but not saved.
    saved = (run / "checkpoint.safetensors").read_bytes()
    train(store_of(), "entities", model, train_settings(), run, stop_after=10, **tools)
    (run / "checkpoint.safetensors").write_bytes(saved)
    train(store_of(), "entities", model, train_settings(), run, **tools)

    curve = scalars(run, "train/loss")
    assert list(curve) == list(range(1, 13))
    assert sum(curve[step] for step in range(7, 13)) / 6 == pytest.approx(losses(run)[1], rel=1e-5)
    assert list(scalars(run, "dev/f1")) == [6, 12]
