"""What must hold for every network, whatever its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from model_helpers import ALL_STREAMS, evidence, make_parts, stored

from cache.reader import features_of
from cache.records import Evidence, Span, StoredExample
from model.build import Parts
from model.collate import Shown
from model.network import Reading

READINGS = ("separate", "joint")


def read(parts: Parts, examples: list[StoredExample]) -> Reading:
    posts = [parts.preparer.prepare(features_of(example)) for example in examples]
    with torch.no_grad():
        return parts.network.read(parts.collator(posts))


@pytest.mark.parametrize("cross_stream", [False, True])
@pytest.mark.parametrize("reading", READINGS)
def test_padding_changes_nothing(
    tmp_path: Path, reading: str, cross_stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Texts of any length in one group.
    monkeypatch.setattr("model.evidence_rows._PASS_COST", 1 << 20)
    parts = make_parts(tmp_path, evidence_reading=reading, cross_stream=cross_stream)
    short = stored("short", "velora sings", kept=ALL_STREAMS[:3], photo=True)
    long = stored("long", "the person in the club sings a river quill", kept=ALL_STREAMS)
    bare = stored("bare", "quill")

    alone = read(parts, [short]).words[0]
    assert alone.shape[0] == 2
    together = read(parts, [bare, short, long]).words[1, :2]

    torch.testing.assert_close(together, alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize("cross_stream", [False, True])
@pytest.mark.parametrize("reading", READINGS)
def test_without_evidence_and_photo_it_is_text_only_to_the_bit(
    tmp_path: Path, reading: str, cross_stream: bool
) -> None:
    bare = [stored("a", "velora sings in the club"), stored("b", "quill")]
    mixed = [bare[0], stored("c", "tamber sings", kept=ALL_STREAMS, photo=True)]
    full = make_parts(tmp_path / "full", evidence_reading=reading, cross_stream=cross_stream)
    plain = make_parts(tmp_path / "plain", fusion="text_only")
    shared = {k: v for k, v in full.network.state_dict().items() if not k.startswith("fusion.")}
    plain.network.load_state_dict(shared)

    assert torch.equal(read(full, bare).words, read(plain, bare).words)
    assert torch.equal(read(full, mixed).words[0], read(plain, mixed).words[0])
    assert not torch.allclose(read(full, mixed).words[1], read(plain, mixed).words[1], atol=1e-3)


@pytest.mark.parametrize("cross_stream", [False, True])
@pytest.mark.parametrize("reading", READINGS)
def test_the_order_of_items_changes_nothing_but_the_order_of_weights(
    tmp_path: Path, reading: str, cross_stream: bool
) -> None:
    parts = make_parts(tmp_path, evidence_reading=reading, cross_stream=cross_stream)
    order = [6, 2, 0, 5, 1, 4, 3]
    shuffled = [ALL_STREAMS[index] for index in order]

    before = read(parts, [stored("a", "velora sings", kept=ALL_STREAMS, photo=True)])
    after = read(parts, [stored("a", "velora sings", kept=shuffled, photo=True)])

    torch.testing.assert_close(after.words, before.words, rtol=0, atol=2e-6)
    assert before.fused.text_weights is not None
    assert after.fused.text_weights is not None
    texts = [i for i, item in enumerate(ALL_STREAMS) if item.hit.modality == "text"]
    places = [texts.index(index) for index in order if index in texts]
    torch.testing.assert_close(
        after.fused.text_weights, before.fused.text_weights[..., places], rtol=0, atol=2e-6
    )


def test_an_inconsistent_item_is_hardly_read(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)
    post = stored("a", "velora sings", kept=ALL_STREAMS[:1])
    fusion = parts.network.fusion
    bias = fusion.get_parameter("text_consistency.features.2.bias")
    with torch.no_grad():
        bias.fill_(20.0)
        believed = read(parts, [post]).fused.text_weights
        bias.fill_(-20.0)
        doubted = read(parts, [post]).fused.text_weights

    assert believed is not None
    assert doubted is not None
    assert (believed > 0.01).all()
    assert (doubted < 1e-3).all()


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("task", ["entities", "relations"])
def test_every_parameter_gets_a_gradient(tmp_path: Path, task: str, reading: str) -> None:
    mentions = (Span(0, 1), Span(1, 2)) if task == "relations" else None
    labels = ("None", "in") if task == "relations" else ("O", "B-LOC", "I-LOC")
    parts = make_parts(
        tmp_path, task=task, labels=labels, evidence_reading=reading, cross_stream=True
    )
    example = stored(
        "a",
        "velora sings in the club",
        kept=ALL_STREAMS,
        photo=True,
        entities=(Span(0, 2, "LOC"),),
        relation="in",
        mentions=mentions,
    )
    posts = [parts.preparer.prepare(features_of(example))]

    losses = parts.network(parts.collator(posts))
    (losses.task + losses.consistency).backward()

    silent = [
        name
        for name, parameter in parts.network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


def test_inconsistent_evidence_is_read_less_unless_it_is_shown_to_another_post(
    tmp_path: Path,
) -> None:
    parts = make_parts(tmp_path, evidence_reading="separate")

    def weight(consistency: float | None, *, own: bool = True) -> float:
        text = evidence("sentence", "text", 0, "the river", consistency=consistency)
        image = evidence("image", "image", 0, seed=1, consistency=None)
        post = parts.preparer.prepare(features_of(stored("a", "velora", kept=[text, image])))
        with torch.no_grad():
            fused = parts.network.read(parts.collator([post], [Shown(post.evidence, own)])).fused
        assert fused.text_weights is not None
        return float(fused.text_weights[0, 0, 0])

    assert weight(0.05) < 0.9 * weight(0.9)
    assert weight(1.0) == weight(None)
    assert weight(0.05, own=False) == weight(None)


def test_a_name_in_the_passage_attracts_the_same_name_in_the_post(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, evidence_reading="separate")
    with torch.no_grad():
        parts.network.fusion.get_parameter("reader.match_bonus").fill_(30.0)
    kept = [
        evidence("sentence", "text", 0, "the river"),
        evidence("sentence", "text", 1, "#Velora"),
    ]
    weights = read(parts, [stored("a", "velora sings", kept=kept)]).fused.text_weights

    assert weights is not None
    assert weights[0, 0, 1] > 0.9
    assert weights[0, 1, 1] < 0.9


def test_without_a_bonus_equal_names_never_attract(tmp_path: Path) -> None:
    fusion = make_parts(tmp_path, match_bonus=0.0).network.fusion
    bonus = fusion.get_parameter("reader.match_bonus")

    assert not bonus.any()
    assert not bonus.requires_grad


def test_one_believed_text_gives_words_the_state_they_have_beside_it(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, evidence_reading="joint", visual_dim=0)
    fusion = parts.network.fusion
    with torch.no_grad():
        for name, value in (("gate.weight", 0.0), ("gate.bias", 50.0), ("null", -1e4)):
            fusion.get_parameter(name).fill_(value)
        fusion.get_parameter("reader.value.weight").fill_(0.0)
    post = parts.preparer.prepare(features_of(stored("a", "velora sings", kept=ALL_STREAMS[:1])))
    batch = parts.collator([post])
    (group,) = batch.groups
    with torch.no_grad():
        beside = parts.network.encoder(group.pieces, group.mask, group.segments)
        words = parts.network.read(batch).words

    torch.testing.assert_close(words[0], beside[0, batch.starts[0]], rtol=0, atol=2e-6)


def test_evidence_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, max_evidence=1)
    post = parts.preparer.prepare(features_of(stored("a", "velora", kept=ALL_STREAMS)))

    assert [item.index for item in post.evidence.texts] == [0, 2, 4]
    assert [item.index for item in post.evidence.images] == [1, 3, 6]


def test_items_without_text_or_vector_are_not_read(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)
    empty = evidence("image", "text", 0, "  \u200b ")
    post = parts.preparer.prepare(features_of(stored("a", "velora", kept=[empty])))

    assert post.evidence.texts == ()
    assert np.isfinite(read(parts, [stored("a", "velora", kept=[empty])]).words.numpy()).all()


@pytest.mark.parametrize("kept", [ALL_STREAMS[:1], ALL_STREAMS[1:2], ()])
def test_posts_that_have_only_texts_only_images_or_nothing_are_read(
    kept: Sequence[Evidence], tmp_path: Path
) -> None:
    # Found on the sample world: a batch without any text beside photos could not be shaped.
    parts = make_parts(tmp_path)
    post = parts.preparer.prepare(features_of(stored("a", "velora sings", kept=kept)))
    words = parts.network.read(parts.collator([post])).words
    assert words.isfinite().all()
