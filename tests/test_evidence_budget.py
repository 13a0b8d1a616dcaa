"""Long evidence under a budget of pieces, and the switches that leave evidence out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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

from cache.reader import features_of
from cache.records import LEVELS, MODALITIES, STREAMS, Evidence, Span, StoredExample
from model.build import Parts, load_parts
from model.data import Item, PreparedPost, Preparer
from model.features import item_features
from model.network import Reading
from model.predictor import load_run
from model.scoring.evaluation import evaluate
from model.training import train

# Words of one piece each.
LONG = "the river in a club sings quill person place tamber " * 4
PART = 16


def prepare(parts: Parts, kept: Sequence[Evidence], words: str = "velora sings") -> PreparedPost:
    return parts.preparer.prepare(features_of(stored("a", words, kept=kept, photo=True)))


def read(parts: Parts, kept: Sequence[Evidence]) -> Reading:
    with torch.no_grad():
        return parts.network.read(parts.collator([prepare(parts, kept)]))


def sizes(texts: Sequence[Item]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for item in texts:
        assert item.passage is not None
        found.setdefault(item.index, []).append(len(item.passage.pieces))
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return make_parts(tmp_path_factory.mktemp("plain"))


def with_budget(plain: Parts, budget: int, **changes: object) -> Preparer:
    chosen = plain.run.model.model_copy(update={"evidence_budget": budget, **changes})
    return Preparer(plain.preparer.pieces, "entities", plain.run.labels, chosen)


kept_texts = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(LEVELS),
        st.sampled_from([None, 0.0, 0.2, 0.5, 0.9]),
        st.integers(0, 6),
    ),
    max_size=6,
)


@given(kept_texts, st.integers(0, 150))
@settings(max_examples=80, deadline=None)
def test_the_best_texts_are_read_whole_until_the_budget_is_used_up(
    plain: Parts, texts: list[tuple[int, str, float | None, int]], budget: int
) -> None:
    words = LONG.split() * 2
    kept = [
        evidence(level, "text", rank, " ".join(words[:length]), consistency=consistency)  # type: ignore[arg-type]
        for length, level, consistency, rank in texts
    ]
    features = features_of(stored("a", "velora", kept=kept))
    found = with_budget(plain, budget).prepare(features).evidence.texts
    read_of = {index: sum(parts) for index, parts in sizes(found).items()}
    if not budget:
        cut = {i: min(t[0], PART) for i, t in enumerate(texts) if t[0] and t[3] < 5}
        assert read_of == cut
        return
    order = sorted(
        (0.0 - (0.5 if fits is None else fits), rank, LEVELS.index(level), index)
        for index, (_, level, fits, rank) in enumerate(texts)
        if rank < 5
    )
    left, expected = budget, {}
    for *_, index in order:
        taken = min(texts[index][0], left)
        left -= taken
        if taken:
            expected[index] = taken
    assert read_of == expected
    assert sum(read_of.values()) <= budget


def test_a_long_text_is_read_in_parts_that_share_its_place(plain: Parts) -> None:
    kept = [ALL_STREAMS[1], evidence("sentence", "text", 2, LONG, consistency=0.3)]
    post = with_budget(plain, 100).prepare(features_of(stored("a", "velora", kept=kept)))

    assert sizes(post.evidence.texts) == {1: [16, 16, 8]}
    for item in post.evidence.texts:
        assert (item.rank, item.stream) == (2, STREAMS.index(("sentence", "text")))
        assert item.consistency == pytest.approx(0.3)
    pieces = [
        piece for item in post.evidence.texts if item.passage for piece in item.passage.pieces
    ]
    keys = [key for item in post.evidence.texts if item.passage for key in item.passage.keys]
    whole = plain.preparer.pieces.passages(LONG, 1000)
    assert pieces == [piece for passage in whole for piece in passage.pieces]
    assert keys == [key for passage in whole for key in passage.keys]
    assert len(pieces) == 40


def test_texts_that_fit_are_read_the_same_with_and_without_a_budget(tmp_path: Path) -> None:
    plain = make_parts(tmp_path / "plain")
    budget = make_parts(tmp_path / "budget", evidence_budget=500)
    short = [item for item in ALL_STREAMS if len(item.hit.text) < 20]
    assert all(s == [sum(s)] for s in sizes(prepare(plain, short).evidence.texts).values())

    assert torch.equal(read(plain, short).words, read(budget, short).words)


def test_the_share_of_a_part_is_that_of_its_pieces(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, evidence_budget=100)
    kept = [evidence("sentence", "text", 0, LONG), evidence("image", "text", 0, "quill sings")]
    batch = parts.collator([prepare(parts, kept), prepare(parts, kept[1:])])

    expected = torch.tensor([[0.4, 0.4, 0.2, 1.0], [1.0] * 4]).log()
    torch.testing.assert_close(batch.text_share, expected)
    assert batch.text_share[1].eq(0).all()


def test_a_text_in_parts_is_wanted_as_it_would_be_whole(tmp_path: Path) -> None:
    wanted = []
    for size in (16, 40):
        parts = make_parts(
            tmp_path / str(size),
            evidence_budget=100,
            max_evidence_pieces=size,
            evidence_reading="separate",
            consistency=False,
            visual_dim=0,
        )
        _blind_to_context(parts)
        kept = [evidence("sentence", "text", 0, LONG), evidence("image", "text", 0, "quill sings")]
        fused = read(parts, kept).fused
        assert fused.text_weights is not None
        of_texts = fused.text_weights[0]
        assert of_texts.shape[1] == {16: 4, 40: 2}[size]
        wanted.append(torch.stack([of_texts[:, :-1].sum(dim=1), of_texts[:, -1]], dim=1))

    torch.testing.assert_close(wanted[0], wanted[1], rtol=0, atol=1e-6)


def _blind_to_context(parts: Parts) -> None:
    """Let a token have the same state wherever it stands, or parts would differ from the whole."""
    with torch.no_grad():
        for name, weights in parts.network.encoder.named_parameters():
            if "position_embeddings" in name or "attention.output.dense" in name:
                weights.zero_()


def test_parts_of_a_text_are_one_item_among_the_others(plain: Parts) -> None:
    budget = with_budget(plain, 300)
    kept = [
        evidence("sentence", "text", 0, LONG, 3),
        evidence("image", "text", 0, "quill sings", 5),
        evidence("object", "text", 1, "a river", 8),
    ]
    features = features_of(stored("a", "velora sings", kept=kept, photo=True))
    long, short = budget.prepare(features), with_budget(plain, 0).prepare(features)
    in_parts = item_features(long, long.evidence.texts)
    whole = item_features(short, short.evidence.texts)

    assert len(in_parts) == 5
    # All but the words that a part shares with the post: that is its own.
    embeddings = [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15]
    np.testing.assert_allclose(in_parts[[0, 3, 4]][:, embeddings], whole[:, embeddings], atol=1e-6)
    np.testing.assert_array_equal(in_parts[0][embeddings], in_parts[1][embeddings])


def test_the_weight_of_a_text_is_that_of_all_its_parts(tmp_path: Path) -> None:
    store = MemoryStore([*_far(4, "train", 0, 3), *_far(4, "dev", 4, 3)], visual_dim=0)
    model = model_settings(evidence_budget=100, max_evidence_pieces=8)
    train(store, "entities", model, train_settings(epochs=1), tmp_path, device="cpu")
    parts, predictor = load_parts(tmp_path), load_run(tmp_path, device="cpu")
    text = "the river in a club sings quill person place"
    kept = [ALL_STREAMS[1], evidence("sentence", "text", 0, text), ALL_STREAMS[0]]
    post = stored("a", "velora sings", kept=kept)

    (found,) = predictor.predict([post])

    with torch.no_grad():
        fused = parts.network.read(parts.collator([prepare(parts, kept)])).fused
    assert fused.text_weights is not None
    assert fused.text_weights.shape[-1] == 3
    assert len(found.evidence_weights) == 3
    assert found.evidence_weights[0] == 0
    assert found.evidence_weights[1] > 0
    assert sum(found.evidence_weights) <= 1


def _far(count: int, split: str, offset: int, before: int) -> list[StoredExample]:
    """Return posts whose type stands in their passage behind ``before`` words of no meaning."""
    posts = []
    filler = ("the river in a club sings quill tamber velora " * 20).split()
    for number in range(offset, offset + count):
        # Each name occurs with both types: words alone are right half of the time.
        name = "".join(chr(97 + (number // 2 * step + step) % 26) for step in (3, 5, 7))
        kind = number % 2
        text = f"{' '.join(filler[:before])} {name} a {('person', 'place')[kind]}"
        post = stored(
            f"{split}-{number}",
            f"the {name} sings",
            kept=[evidence("sentence", "text", 0, text)],
            entities=(Span(1, 2, ("PER", "LOC")[kind]),),
            split=split,
        )
        posts.append(post)
    return posts


@pytest.mark.slow
def test_an_answer_at_piece_150_of_a_passage_is_learned_with_a_budget_and_not_without(
    tmp_path: Path,
) -> None:
    splits = (("train", 20, 0), ("dev", 6, 20), ("test", 12, 26))
    store = MemoryStore(
        [post for split, count, at in splits for post in _far(count, split, at, 150)], visual_dim=0
    )
    settings = train_settings(epochs=16, learning_rate=2e-3, head_learning_rate=5e-3, mismatch=0.0)

    def f1(budget: int) -> float:
        model = model_settings(
            max_pieces=16, max_evidence_pieces=64, evidence_budget=budget, match_bonus=6.0
        )
        out = tmp_path / str(budget)
        train(store, "entities", model, settings, out, device="cpu")
        return evaluate(out, store, "test", device="cpu").f1

    assert f1(200) > 0.9
    assert f1(0) < 0.7


# Switches that leave evidence out.


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_levels_and_modalities_leave_out_exactly_their_streams(
    tmp_path: Path, level: str, modality: str
) -> None:
    without = make_parts(
        tmp_path,
        levels=tuple(name for name in LEVELS if name != level),
        modalities=tuple(name for name in MODALITIES if name != modality),
    )
    post = prepare(without, ALL_STREAMS)

    read_indices = {item.index for item in (*post.evidence.texts, *post.evidence.images)}
    expected = {
        index
        for index, item in enumerate(ALL_STREAMS)
        if item.hit.level != level and item.hit.modality != modality
    }
    assert read_indices == expected
    left = [
        item for item in ALL_STREAMS if item.hit.level != level and item.hit.modality != modality
    ]
    assert torch.equal(read(without, ALL_STREAMS).words, read(without, left).words)


def test_without_any_level_the_photo_is_still_seen(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, levels=())
    post = prepare(parts, ALL_STREAMS)
    batch = parts.collator([post])

    assert not batch.groups
    assert batch.visual_stream.tolist() == [[len(STREAMS), len(STREAMS) + 1, len(STREAMS) + 1]]


@pytest.mark.parametrize("reading", ["separate", "joint"])
@pytest.mark.parametrize("task", ["entities", "relations"])
def test_without_consistency_nothing_of_it_is_left_and_everything_else_is_trained(
    tmp_path: Path, task: str, reading: str
) -> None:
    labels = ("None", "in") if task == "relations" else ("O", "B-LOC", "I-LOC")
    parts = make_parts(
        tmp_path, task=task, labels=labels, evidence_reading=reading, consistency=False
    )
    names = [name for name, _ in parts.network.named_parameters()]
    assert not [name for name in names if "consistency" in name or "trust" in name]
    example = stored(
        "a",
        "velora sings in the club",
        kept=ALL_STREAMS,
        photo=True,
        entities=(Span(0, 2, "LOC"),),
        relation="in",
        mentions=(Span(0, 1), Span(1, 2)) if task == "relations" else None,
    )
    losses = parts.network(parts.collator([parts.preparer.prepare(features_of(example))]))
    assert losses.consistency is None
    losses.task.backward()
    silent = [
        name
        for name, parameter in parts.network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


def test_without_consistency_what_is_known_of_an_item_weighs_nothing(tmp_path: Path) -> None:
    weights = {}
    for consistency in (True, False):
        parts = make_parts(tmp_path / str(consistency), consistency=consistency, visual_dim=0)
        for score in (0.01, 1.0):
            kept = [
                evidence("sentence", "text", 0, "the river", consistency=score),
                evidence("image", "text", 0, "a club", consistency=0.5),
            ]
            fused = read(parts, kept).fused
            assert fused.text_weights is not None
            weights[consistency, score] = fused.text_weights
    assert torch.equal(weights[False, 0.01], weights[False, 1.0])
    assert (weights[True, 0.01][..., 0] < weights[True, 1.0][..., 0]).all()


@pytest.mark.parametrize(
    "switch",
    [{"consistency": False}, {"levels": ("image",)}, {"modalities": ("text",)}, {"levels": ()}],
)
def test_a_training_with_a_switch_runs_and_is_loaded_with_it(
    tmp_path: Path, switch: dict[str, object]
) -> None:
    posts = [
        dataclasses.replace(post, evidence=ALL_STREAMS)
        for post in (*_far(4, "train", 0, 1), *_far(4, "dev", 4, 1))
    ]
    store = MemoryStore(posts)
    report = train(
        store,
        "entities",
        model_settings(**switch),
        train_settings(epochs=1),
        tmp_path,
        device="cpu",
    )

    assert report.finished
    parts = load_parts(tmp_path)
    assert parts.run.model == model_settings(**switch)
    assert math.isfinite(float(read(parts, ALL_STREAMS).words.sum()))
    assert parts.run.model.text_encoder == tiny_encoder()
