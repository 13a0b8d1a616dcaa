"""Retrieved texts as context: what each expert reads, and what it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from model_helpers import (
    ALL_STREAMS,
    MemoryStore,
    evidence,
    make_parts,
    model_settings,
    stored,
    train_settings,
)
from torch import Tensor

from cache.reader import features_of
from cache.records import Evidence, Span, StoredExample
from model.build import Parts, load_parts
from model.encoders import TextEncoder
from model.fusion.base import FusionSize
from model.fusion.more import MoRe
from model.heads import EntityHead, RelationHead
from model.scoring.evaluation import evaluate
from model.training import train
from model.training.optimizer import make_optimizer

DIM = 32
SENTENCE = "the person in the club sings"
OF_SENTENCE = [item for item in ALL_STREAMS if item.hit.level == "sentence"]
OF_PHOTO = [item for item in ALL_STREAMS if item.hit.level != "sentence"]
MENTIONS = (Span(1, 2), Span(4, 5))


def more(tmp_path: Path, task: str = "entities", **changes: Any) -> Parts:
    labels = ("None", "in") if task == "relations" else ("O", "B-LOC", "I-LOC")
    return make_parts(tmp_path, task=task, labels=labels, fusion="more", **changes)


def image_encoder(parts: Parts) -> TextEncoder:
    """Return the encoder of the image expert, whose weights `make_parts` has filled with noise."""
    assert isinstance(parts.network.fusion, MoRe)
    return parts.network.fusion.image_encoder


def read(parts: Parts, examples: Sequence[StoredExample]) -> Tensor:
    posts = [parts.preparer.prepare(features_of(example)) for example in examples]
    with torch.no_grad():
        return parts.network.read(parts.collator(posts)).words


def by_hand(parts: Parts, words: str, texts: Sequence[str], expert: int, most: int) -> Tensor:
    """Return the states of words that are one piece each, read before ``texts``."""
    pieces = parts.collator.pieces
    before = [pieces.cls, *(p for (p,) in pieces.of_words(words.split())), pieces.sep]
    row = list(before)
    for text in texts:
        row = [*row, *pieces.passage(text).pieces]
        row = [*row[: most - 1], pieces.sep]
    encoder = image_encoder(parts) if expert else parts.network.encoder
    ids = torch.tensor([row])
    segments = torch.tensor([[0] * len(before) + [1] * (len(row) - len(before))])
    with torch.no_grad():
        states: Tensor = encoder(ids, torch.ones_like(ids, dtype=torch.bool), segments)
    return states[0, 1 : 1 + len(words.split())]


def test_each_expert_reads_the_post_before_its_own_texts_the_best_of_each_stream_first(
    tmp_path: Path,
) -> None:
    parts = more(tmp_path)
    kept = [evidence("image", "text", 1, "quill is a place"), *ALL_STREAMS]
    (words,) = read(parts, [stored("a", SENTENCE, kept=kept)])

    sentence = by_hand(parts, SENTENCE, ["tamber", "quill is a person"], 0, 128)
    of_photo = [
        "velora is a river",
        "the club in the place of the river sings",
        "quill is a place",
    ]
    image = by_hand(parts, SENTENCE, of_photo, 1, 128)
    torch.testing.assert_close(words[:, :DIM], sentence, rtol=0, atol=2e-6)
    torch.testing.assert_close(words[:, DIM:], image, rtol=0, atol=2e-6)


def test_a_context_is_one_row_with_segments_from_the_first_text_on(tmp_path: Path) -> None:
    parts = more(tmp_path)
    pieces = parts.collator.pieces
    post = parts.preparer.prepare(features_of(stored("a", "velora sings", kept=OF_SENTENCE)))
    text, image = sorted(parts.collator([post]).groups, key=lambda group: int(group.slot[0]))

    (cls, sep), (tamber, quill, is_, a, person, velora, sings) = (
        (pieces.cls, pieces.sep),
        pieces.of_words(["tamber", "quill", "is", "a", "person", "velora", "sings"]),
    )
    row = [cls, *velora, *sings, sep, *tamber, sep, *quill, *is_, *a, *person, sep]
    assert text.pieces.tolist() == [row]
    assert text.segments.tolist() == [[0] * 4 + [1] * (len(row) - 4)]
    assert text.mask.all()
    assert image.pieces.tolist() == [row[:4]]
    assert not image.segments.any()
    assert not image.is_evidence.any()


@pytest.mark.parametrize("most", [12, 17, 20])
def test_a_context_ends_where_the_encoder_has_no_more_positions(tmp_path: Path, most: int) -> None:
    parts = more(tmp_path)
    parts.collator.rows.largest_row = most
    (words,) = read(parts, [stored("a", SENTENCE, kept=ALL_STREAMS)])
    of_photo = ["velora is a river", "the club in the place of the river sings"]

    image = by_hand(parts, SENTENCE, of_photo, 1, most)

    torch.testing.assert_close(words[:, DIM:], image, rtol=0, atol=2e-6)
    post = parts.preparer.prepare(features_of(stored("a", SENTENCE, kept=ALL_STREAMS)))
    batch = parts.collator([post])
    for group in batch.groups:
        assert group.pieces.shape[1] <= most
        assert group.pieces[0, -1] == parts.collator.pieces.sep


@pytest.mark.parametrize("most", [8, 9])
def test_without_room_for_a_text_the_post_is_read_alone(tmp_path: Path, most: int) -> None:
    parts = more(tmp_path)
    alone = read(parts, [stored("a", SENTENCE)])
    parts.collator.rows.largest_row = most  # the post itself takes 8

    assert torch.equal(read(parts, [stored("a", SENTENCE, kept=ALL_STREAMS)]), alone)


@pytest.mark.parametrize(("gone", "changed"), [(OF_SENTENCE, 0), (OF_PHOTO, 1)])
def test_evidence_of_one_expert_is_nothing_to_the_other(
    tmp_path: Path, gone: list[Evidence], changed: int
) -> None:
    parts = more(tmp_path)
    kept = [item for item in ALL_STREAMS if item not in gone]
    before = read(parts, [stored("a", SENTENCE, kept=ALL_STREAMS, photo=True)]).chunk(2, dim=-1)
    after = read(parts, [stored("a", SENTENCE, kept=kept, photo=True)]).chunk(2, dim=-1)

    assert torch.equal(before[1 - changed], after[1 - changed])
    assert not torch.allclose(before[changed], after[changed], atol=1e-3)


def test_neither_photo_nor_retrieved_images_are_read(tmp_path: Path) -> None:
    parts = more(tmp_path)
    texts = [item for item in ALL_STREAMS if item.hit.modality == "text"]

    bare = read(parts, [stored("a", SENTENCE, kept=texts)])
    full = read(parts, [stored("a", SENTENCE, kept=ALL_STREAMS, photo=True)])

    assert torch.equal(bare, full)


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_without_evidence_each_expert_is_text_only_of_its_encoder_to_the_bit(
    tmp_path: Path, task: str
) -> None:
    parts = more(tmp_path / "more", task)
    plain = make_parts(tmp_path / "plain", task=task, labels=parts.run.labels, fusion="text_only")
    bare = [
        stored("a", SENTENCE, mentions=MENTIONS, photo=True),
        stored("b", "a river in velora sings the", mentions=MENTIONS),
    ]
    words = read(parts, bare)
    for expert, encoder in enumerate((parts.network.encoder, image_encoder(parts))):
        plain.network.encoder.load_state_dict(encoder.state_dict())
        part = words[..., expert * DIM : (expert + 1) * DIM]
        assert torch.equal(part, read(plain, bare))


def test_a_post_without_evidence_costs_the_first_expert_no_row(tmp_path: Path) -> None:
    parts = more(tmp_path)
    posts = [stored("a", SENTENCE), stored("b", SENTENCE, kept=OF_SENTENCE)]
    batch = parts.collator([parts.preparer.prepare(features_of(post)) for post in posts])

    rows = [(int(s), int(w)) for g in batch.groups for s, w in zip(g.slot, g.window, strict=True)]
    assert sorted(rows) == [(0, 1), (1, 0), (1, 1)]


def test_padding_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Contexts of any length in one group.
    monkeypatch.setattr("model.evidence_rows._PASS_COST", 1 << 20)
    parts = more(tmp_path)
    short = stored("short", "velora sings", kept=ALL_STREAMS[:5])
    long = stored("long", SENTENCE + " a river", kept=ALL_STREAMS)

    alone = read(parts, [short])[0]
    together = read(parts, [stored("bare", "quill"), short, long])[1, :2]

    torch.testing.assert_close(together, alone, rtol=0, atol=2e-6)


def test_every_window_of_a_long_post_reads_the_context(tmp_path: Path) -> None:
    parts = more(tmp_path, max_pieces=8)
    words = "the river in a club " + SENTENCE
    (found,) = read(parts, [stored("a", words, kept=ALL_STREAMS)])

    texts = (
        ["tamber", "quill is a person"],
        [item.hit.text for item in OF_PHOTO if item.hit.text],
    )
    split = words.split()
    for expert, kept in enumerate(texts):
        windows = [" ".join(split[at : at + 6]) for at in (0, 6)]
        expected = torch.cat([by_hand(parts, part, kept, expert, 128) for part in windows])
        part = found[:, expert * DIM : (expert + 1) * DIM]
        torch.testing.assert_close(part, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_every_parameter_gets_a_gradient(tmp_path: Path, task: str) -> None:
    parts = more(tmp_path, task)
    example = stored(
        "a",
        SENTENCE,
        kept=ALL_STREAMS,
        entities=(Span(0, 2, "LOC"),),
        relation="in",
        mentions=MENTIONS if task == "relations" else None,
    )
    losses = parts.network(parts.collator([parts.preparer.prepare(features_of(example))]))
    losses.task.backward()

    silent = [
        name
        for name, parameter in parts.network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert silent == []
    assert losses.consistency is None
    assert not isinstance(parts.network.head, EntityHead | RelationHead)


def test_the_image_expert_starts_as_a_copy_of_the_encoder_and_is_trained_at_its_rate(
    tmp_path: Path,
) -> None:
    network = more(tmp_path).network
    size = FusionSize(DIM, visual_dim=0, heads=2, dropout=0.0, joint=False, match_bonus=0.0)
    fresh = MoRe(size, network.encoder)
    ours = network.encoder.state_dict()
    assert all(torch.equal(w, ours[name]) for name, w in fresh.image_encoder.state_dict().items())
    assert not {id(p) for p in fresh.parameters()} & {id(p) for p in network.encoder.parameters()}

    settings = train_settings(learning_rate=1e-5, head_learning_rate=1e-2)
    optimizer = make_optimizer(network, settings)
    peaks = {id(p): group["peak"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            pretrained = name.startswith(("encoder.", "fusion.image_encoder."))
            assert peaks[id(parameter)] == (1e-5 if pretrained else 1e-2), name


TYPES = ("PER", "LOC")


def told_by(level: str, count: int, split: str, offset: int) -> list[StoredExample]:
    """Return posts about names of letters; one text, found by ``level``, tells the type."""
    posts = []
    for number in range(offset, offset + count):
        # Each name occurs with both types: words alone are right half of the time.
        name = "".join(chr(97 + (number // 2 * step + step) % 26) for step in (3, 5, 7))
        kind = number % 2
        text = f"{name} is a {('person', 'place')[kind]}"
        kept = [
            evidence("sentence", "text", 0, text if level == "sentence" else "the river"),
            evidence("image", "text", 0, text if level == "image" else "the river"),
        ]
        entity = Span(1, 2, TYPES[kind])
        post = stored(
            f"{split}-{number}", f"the {name} sings", kept=kept, entities=(entity,), split=split
        )
        posts.append(post)
    return posts


@pytest.mark.slow
@pytest.mark.parametrize("level", ["sentence", "image"])
def test_what_only_the_evidence_of_one_expert_tells_is_learned_and_saved(
    tmp_path: Path, level: str
) -> None:
    splits = (("train", 24, 0), ("dev", 8, 24), ("test", 8, 32))
    posts = [post for split, count, at in splits for post in told_by(level, count, split, at)]
    store = MemoryStore(posts, visual_dim=0)
    settings = train_settings(epochs=14, learning_rate=3e-3, head_learning_rate=5e-3, mismatch=0.0)

    def f1(fusion: str) -> float:
        model = model_settings(fusion=fusion)
        train(store, "entities", model, settings, tmp_path / fusion, device="cpu")
        return evaluate(tmp_path / fusion, store, "test", device="cpu").f1

    assert f1("more") > 0.9
    assert f1("text_only") < 0.7
    one, other = load_parts(tmp_path / "more"), load_parts(tmp_path / "more")
    assert torch.equal(read(one, posts[:4]), read(other, posts[:4]))
    encoder = one.network.encoder.state_dict()
    image = image_encoder(one).state_dict()
    assert not any(torch.equal(encoder[n], w) for n, w in image.items() if "query.weight" in n)
