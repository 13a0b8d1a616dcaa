"""Training, resuming, evaluating, predicting; all on a tiny random encoder."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from model_helpers import (
    ALL_STREAMS,
    MemoryStore,
    evidence,
    make_parts,
    model_settings,
    stored,
    tiny_encoder,
    train_settings,
)

from cache.errors import InputError
from cache.records import Span, StoredExample
from model.batch import Batch
from model.encoders import TextEncoder, largest_window
from model.network import Extractor, Losses
from model.predictor import load_run
from model.run import CHECKPOINT, WEIGHTS, read_tensors
from model.scoring.evaluation import evaluate
from model.scoring.metrics import RelationScores
from model.training import make_optimizer, rate_at, train

TYPES = ("PER", "LOC")


def told_by_evidence(count: int, split: str, offset: int = 0) -> list[StoredExample]:
    """Return posts about names of letters; only the evidence says whether person or place."""
    posts = []
    for number in range(offset, offset + count):
        name = "".join(chr(97 + (number * step + step) % 26) for step in (3, 5, 7))
        kind = number % 2
        text = f"{name} is a {('person', 'place')[kind]}"
        posts.append(
            stored(
                f"{split}-{number}",
                f"the {name} sings",
                kept=[evidence("sentence", "text", 0, text, number)],
                entities=(Span(1, 2, TYPES[kind]),),
                split=split,
            )
        )
    return posts


def small_store() -> MemoryStore:
    return MemoryStore(
        [
            *told_by_evidence(10, "train"),
            *told_by_evidence(4, "dev", 10),
            *told_by_evidence(4, "test", 14),
        ],
        visual_dim=0,
    )


def relation_posts(*splits: str) -> list[StoredExample]:
    return [
        stored(
            f"{split}-{number}",
            f"velora {('in', 'sings')[number % 2]} tamber",
            kept=ALL_STREAMS[:4],
            relation=("in", "None")[number % 2],
            mentions=(Span(0, 1), Span(2, 3)),
            split=split,
        )
        for split in splits
        for number in range(6)
    ]


def relation_store() -> MemoryStore:
    return MemoryStore(relation_posts("train", "dev", "test"))


def test_five_steps_and_five_more_are_ten_to_the_bit(tmp_path: Path) -> None:
    store, model, settings = small_store(), model_settings(), train_settings(epochs=4)
    straight, broken = tmp_path / "straight", tmp_path / "broken"

    train(store, "entities", model, settings, straight, stop_after=10)
    first = train(store, "entities", model, settings, broken, stop_after=5)
    torch.manual_seed(12345)  # whatever happened in between
    second = train(store, "entities", model, settings, broken, stop_after=10)

    assert (first.steps, second.steps, second.finished) == (5, 10, False)
    wanted, wanted_note = read_tensors(straight / "checkpoint.safetensors")
    found, note = read_tensors(broken / "checkpoint.safetensors")
    assert note == wanted_note
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []
    assert (broken / "metrics.jsonl").read_text() == (straight / "metrics.jsonl").read_text()


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    store, settings = small_store(), train_settings(epochs=1)
    once = train(store, "entities", model_settings(), settings, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    again = train(store, "entities", model_settings(), settings, tmp_path)

    assert once.finished
    assert again.finished
    assert again.best_f1 == once.best_f1
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_metrics_of_steps_taken_again_are_not_there_twice(tmp_path: Path) -> None:
    store, settings = small_store(), train_settings(epochs=2)
    train(store, "entities", model_settings(), settings, tmp_path, stop_after=4)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "dev_f1": 0.9}\n{"step": 6, "dev')

    train(store, "entities", model_settings(), settings, tmp_path)

    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]


def test_another_training_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    store = small_store()
    train(store, "entities", model_settings(), train_settings(), tmp_path, stop_after=1)

    with pytest.raises(InputError, match=r"another run: train\.seed 1 -> 2 "):
        train(store, "entities", model_settings(), train_settings(seed=2), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("reading", ["separate", "joint"])
def test_eight_posts_are_learned_by_heart_from_their_evidence(
    tmp_path: Path, reading: str
) -> None:
    posts = told_by_evidence(8, "train")
    for post in told_by_evidence(8, "train"):
        example = post.example
        posts.append(
            stored(
                f"dev-{example.post.example_id}",
                example.post.tokens,
                kept=post.evidence,
                entities=example.entities,
                split="dev",
            )
        )
    settings = train_settings(
        epochs=40, learning_rate=3e-3, head_learning_rate=1e-2, mismatch=0, batch_size=8
    )
    model = model_settings(evidence_reading=reading, dropout=0.0)

    report = train(MemoryStore(posts, 0), "entities", model, settings, tmp_path)

    assert report.best_f1 == 1.0


@pytest.mark.parametrize("fusion", ["text_only", "synthesis"])
def test_relations_are_trained_evaluated_and_predicted(tmp_path: Path, fusion: str) -> None:
    store = relation_store()
    settings = train_settings(epochs=15, learning_rate=2e-3, head_learning_rate=5e-3, mismatch=0)
    train(store, "relations", model_settings(fusion=fusion, dropout=0.0), settings, tmp_path)

    result = evaluate(tmp_path, store, "test")
    (guess,) = load_run(tmp_path).predict([store.features("test-0")])

    assert result.f1 == 1.0
    assert guess.relations[0][0] == "in"
    assert sum(probability for _, probability in guess.relations) == pytest.approx(1)
    assert len(guess.evidence_weights) == 4
    assert any(guess.evidence_weights) == (fusion == "synthesis")


def test_evidence_of_others_and_none_are_other_inputs(tmp_path: Path) -> None:
    store = small_store()
    train(store, "entities", model_settings(), train_settings(), tmp_path)

    for evidence_of in ("own", "others", "none"):
        result = evaluate(tmp_path, store, "test", evidence_of)
        assert result.evidence == evidence_of
        assert result.counts.shape == (4, 3)
        assert json.loads(json.dumps(result.to_json()))["posts"] == 4


def test_labels_that_training_never_saw_are_counted_as_missed(tmp_path: Path) -> None:
    posts = [*told_by_evidence(4, "train"), *told_by_evidence(2, "dev")]
    odd = stored("test-odd", "velora sings", entities=(Span(0, 1, "SHIP"),), split="test")
    store = MemoryStore([*posts, odd], 0)
    train(store, "entities", model_settings(), train_settings(epochs=1), tmp_path)

    result = evaluate(tmp_path, store, "test")

    assert result.unseen_labels == {"SHIP": 1}
    assert result.counts[0, 2] == 1
    assert result.scores.to_json()


def test_relations_that_training_never_saw_are_counted_as_missed(tmp_path: Path) -> None:
    odd = stored(
        "test-odd",
        "velora near tamber",
        relation="near",
        mentions=(Span(0, 1), Span(2, 3)),
        split="test",
    )
    posts = relation_posts("train", "dev")
    store = MemoryStore([*posts, odd], 0)
    settings = train_settings(epochs=1)
    train(store, "relations", model_settings(fusion="text_only"), settings, tmp_path)

    result = evaluate(tmp_path, store, "test")

    assert result.unseen_labels == {"near": 1}
    assert result.counts[0, [0, 2]].tolist() == [0, 1]
    assert isinstance(result.scores, RelationScores)
    assert (result.scores.micro.tp, result.scores.micro.fn) == (0, 1)


def test_consistency_learns_to_tell_own_evidence_from_anothers(tmp_path: Path) -> None:
    posts = [*told_by_evidence(24, "train"), *told_by_evidence(4, "dev", 24)]
    store = MemoryStore(posts, 0)
    settings = train_settings(
        epochs=15, mismatch=0.5, consistency_weight=2.0, head_learning_rate=1e-2, batch_size=8
    )
    train(store, "entities", model_settings(), settings, tmp_path)
    own, other = store.features("dev-24"), store.features("dev-25")
    guesses = load_run(tmp_path).predict([own, own._replace(evidence=other.evidence)])

    assert guesses[0].evidence_weights[0] > 2 * guesses[1].evidence_weights[0]


def test_embeddings_of_another_size_are_refused_with_both(tmp_path: Path) -> None:
    store = relation_store()
    train(store, "relations", model_settings(), train_settings(epochs=1), tmp_path / "run")
    store.manifest.embedding_dim = 7

    with pytest.raises(
        InputError, match=r"embeddings have 7 numbers.* with 6\. .*observe\.encoder"
    ):
        evaluate(tmp_path / "run", store)


def test_who_is_to_see_no_evidence_sees_none_of_others(tmp_path: Path) -> None:
    seen: list[Batch] = []
    settings = train_settings(epochs=2, mismatch=0.9, evidence="none")
    with pytest.MonkeyPatch.context() as patch:
        forward = Extractor.forward

        def watched(network: Extractor, batch: Batch) -> Losses:
            seen.append(batch)
            return forward(network, batch)

        patch.setattr(Extractor, "forward", watched)
        train(small_store(), "entities", model_settings(), settings, tmp_path / "run")

    assert seen
    assert not any(batch.groups or batch.text_mask.any() for batch in seen)


def test_best_weights_are_never_ahead_of_the_position_that_knows_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on elsewhere takes the steps since the checkpoint another way."""
    out = tmp_path / "run"
    best: list[tuple[int, int]] = []

    def looking(step: int, total: int, warmup: float) -> float:
        if (out / WEIGHTS).exists():
            held, note = read_tensors(out / CHECKPOINT)
            assert isinstance(note, dict)
            there = read_tensors(out / WEIGHTS)[0]
            same = all(torch.equal(held[f"model.{name}"], there[name]) for name in there)
            best.append((step, note["progress"]["best_epoch"] if same else -1))
            monkeypatch.undo()
        return rate_at(step, total, warmup)

    monkeypatch.setattr("model.training.optimizer.rate_at", looking)
    settings = train_settings(epochs=2)
    train(small_store(), "entities", model_settings(), settings, out, save_every_s=1e9)

    # Ten posts in batches of four: the fourth step is the first after the epoch.
    assert best == [(3, 1)]


def test_a_run_loads_from_wherever_it_was_moved_and_predicts_the_same(tmp_path: Path) -> None:
    store = small_store()
    train(store, "entities", model_settings(), train_settings(), tmp_path / "here")
    before = load_run(tmp_path / "here").predict([store.features("test-14")])

    (tmp_path / "here").rename(tmp_path / "there")

    assert load_run(tmp_path / "there").predict([store.features("test-14")]) == before


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("run.json", b"{}", "is not a run of this version"),
        ("run.json", b"\x80\x04cposix\nsystem\n", "is not a run of this version"),
        ("encoder/config.json", b'{"model_type": "no-such"}', "does not describe a text encoder"),
        ("encoder/config.json", b"[]", "does not describe a text encoder"),
        ("model.safetensors", b"\x80\x04cposix\nsystem\n", "cannot be read as safetensors"),
    ],
)
def test_a_hostile_run_folder_is_refused_by_file(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    train(small_store(), "entities", model_settings(), train_settings(epochs=1), tmp_path)
    (tmp_path / name).write_bytes(data)

    with pytest.raises(InputError, match=message):
        load_run(tmp_path)


def test_weights_that_cannot_be_had_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no-such-encoder.*Set model\.text_encoder to a folder"):
        make_parts(tmp_path, text_encoder=str(tmp_path / "no-such-encoder"))


def test_windows_beyond_the_encoders_positions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ask for 201 pieces at once.*positions for 128"):
        make_parts(tmp_path, max_pieces=100, max_evidence_pieces=100)


@pytest.mark.parametrize(
    ("config", "offset"),
    [(transformers.BertConfig, 0), (transformers.RobertaConfig, 2), (transformers.MPNetConfig, 2)],
)
def test_the_largest_window_is_the_last_that_an_encoder_takes(config: Any, offset: int) -> None:
    small = config(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=24,
    )
    encoder = TextEncoder(transformers.AutoModel.from_config(small))

    assert largest_window(encoder) == 24 - offset
    for length, fits in ((24 - offset, True), (25 - offset, False)):
        pieces = torch.full((1, length), 5)
        with nullcontext() if fits else pytest.raises((IndexError, RuntimeError)):
            encoder(pieces, torch.ones_like(pieces, dtype=torch.bool), torch.zeros_like(pieces))


def test_an_unknown_fusion_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="synthesis, text_only"):
        make_parts(tmp_path, fusion="sinthesis")


def test_a_store_without_a_split_names_it(tmp_path: Path) -> None:
    store = MemoryStore(told_by_evidence(4, "train"), 0)

    with pytest.raises(InputError, match="no examples in split 'dev'"):
        train(store, "entities", model_settings(), train_settings(), tmp_path)


def test_every_parameter_is_in_one_group_of_the_optimizer(tmp_path: Path) -> None:
    network = make_parts(tmp_path).network
    optimizer = make_optimizer(network, train_settings())

    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters())


def test_the_rate_rises_and_falls_to_zero() -> None:
    rates = [rate_at(step, 100, 0.1) for step in range(101)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == 0.0


def test_the_tiny_encoder_is_one_folder() -> None:
    assert (Path(tiny_encoder()) / "model.safetensors").exists()
