"""Leave-one-out against reading every reduced post by itself, for every fusion system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from model_helpers import ALL_STREAMS, MemoryStore, evidence, make_parts, stored
from torch import Tensor, nn

from cache.records import STREAMS, Span
from model.bio import labels_of
from model.build import Parts
from model.collate import Shown
from model.data import Evidences, PreparedPost
from model.fusion import SYSTEMS
from model.heads import EntityHead
from model.scoring.attribution import attribute, decisive_words, evidence_weights, look
from model.scoring.encoded_once import encoded_once
from model.scoring.evaluation import prepare_split

CPU = torch.device("cpu")
ALONE = tuple(name for name in SYSTEMS if name != "joint")  # which needs a second task
# What can reach each system; hvpnet and ifaformer see the post's photo, and no evidence.
READ = {"synthesis": ("text", "image"), "more": ("text",)}
RELATIONS = ("None", "in", "sings")
LONG = "velora sings in the club of tamber " * 3
MENTIONS = (Span(0, 1), Span(2, 3))
POSTS = [
    stored("all", "velora sings in quill", kept=ALL_STREAMS, photo=True, split="test"),
    stored("bare", "the river", split="test", entities=(Span(1, 2, "LOC"),)),
    stored(
        "long",
        "velora the tamber river in the club " * 4,
        kept=[*ALL_STREAMS[:3], evidence("sentence", "text", 0, LONG, 8)],
        split="test",
        entities=(Span(0, 1, "PER"), Span(2, 4, "LOC")),
    ),
    stored("image", "quill", kept=ALL_STREAMS[1:2], photo=True, entities=None, split="test"),
    stored(
        "unknown", "a club", kept=ALL_STREAMS[:2], entities=(Span(1, 2, "MISC"),), split="test"
    ),
]
PAIRS = [
    stored(
        "one", "velora in tamber", kept=ALL_STREAMS, relation="in", mentions=MENTIONS, split="test"
    ),
    stored(
        "two",
        "velora sings tamber",
        kept=ALL_STREAMS[4:],
        photo=True,
        relation="None",
        mentions=MENTIONS,
        split="test",
    ),
]


def prepared(parts: Parts, entities: bool) -> list[PreparedPost]:
    return prepare_split(parts, MemoryStore(POSTS if entities else PAIRS), "test")


@torch.no_grad()
def alone(parts: Parts, post: PreparedPost, evidence: Evidences, target: Sequence[int]) -> float:
    """Return the log-probability of ``target`` where the post is read by itself."""
    batch = parts.collator([post], [Shown(evidence)])
    words = parts.network.read(batch).words
    wanted = torch.tensor([list(target)])
    if parts.run.task == "relations":
        wanted = wanted[0]
    return float(parts.network.head.log_probability(words, batch, wanted))


def target_of(parts: Parts, post: PreparedPost, answer: object) -> list[int]:
    if isinstance(answer, tuple):
        spans = [Span(guess.start, guess.end, guess.label) for guess in answer]
        names = labels_of(spans, len(post.example.post.tokens))
    else:
        assert isinstance(answer, list)
        names = [answer[0][0]]
    return [parts.preparer.index_of[name] for name in names]


def without(shown: Evidences, index: int) -> Evidences:
    texts, images = (
        tuple(item for item in items if item.index != index)
        for items in (shown.texts, shown.images)
    )
    return Evidences(texts, images)


@pytest.mark.parametrize("task", ["entities", "relations"])
@pytest.mark.parametrize("fusion", ALONE)
def test_leave_one_out_is_what_a_post_read_alone_without_each_item_says(
    fusion: str, task: str, tmp_path: Path
) -> None:
    labels = {} if task == "entities" else {"labels": RELATIONS}
    parts = make_parts(tmp_path, task=task, fusion=fusion, **labels)  # type: ignore[arg-type]
    posts = prepared(parts, task == "entities")
    effects = 0
    for post, found in zip(posts, attribute(parts, posts, device=CPU), strict=True):
        target = target_of(parts, post, found.answer)
        whole = alone(parts, post, post.evidence, target)
        assert found.log_probability == pytest.approx(whole, abs=1e-4)
        items = (*post.evidence.texts, *post.evidence.images)
        read = {item.index for item in items if STREAMS[item.stream][1] in READ.get(fusion, ())}
        assert [item.index for item in found.items] == sorted(read)
        for item in found.items:
            reduced = alone(parts, post, without(post.evidence, item.index), target)
            assert item.effect == pytest.approx(whole - reduced, abs=1e-4)
            effects += abs(item.effect) > 1e-3
    # Else nothing was compared.
    assert (effects > 0) == (fusion in READ)


def test_the_annotation_is_judged_where_its_labels_are_known(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)
    posts = prepared(parts, entities=True)
    found = {a.example_id: a for a in attribute(parts, posts, device=CPU)}
    by_id = {post.example.post.example_id: post for post in posts}
    for name in ("image", "unknown"):
        assert found[name].gold_log_probability is None
        assert all(item.gold_effect is None for item in found[name].items)
    post = by_id["long"]
    assert post.labels is not None
    whole = alone(parts, post, post.evidence, post.labels)
    assert found["long"].gold_log_probability == pytest.approx(whole, abs=1e-4)
    for item in found["long"].items:
        reduced = alone(parts, post, without(post.evidence, item.index), post.labels)
        assert item.gold_effect == pytest.approx(whole - reduced, abs=1e-4)


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_a_weight_is_attention_times_gate_of_the_decisive_words(task: str, tmp_path: Path) -> None:
    labels = {} if task == "entities" else {"labels": RELATIONS}
    parts = make_parts(tmp_path, task=task, **labels)  # type: ignore[arg-type]
    posts = prepared(parts, task == "entities")
    for post, found in zip(posts, attribute(parts, posts, device=CPU), strict=True):
        batch = parts.collator([post])
        with torch.no_grad():
            fused = parts.network.read(batch).fused
        if not found.items:
            continue
        assert fused.text_weights is not None
        assert fused.visual_weights is not None
        assert fused.gate is not None
        # [windows, units] to the words of the post, window by window.
        order = batch.joined[0, batch.joined_mask[0]].tolist()
        decisive = decisive_words(post, found.answer) or range(len(order))
        expected = dict.fromkeys((item.index for item in found.items), 0.0)
        sides = (
            (post.evidence.texts, fused.text_weights),
            (post.evidence.images, fused.visual_weights),
        )
        for items, weights in sides:
            for slot, item in enumerate(items):
                for word in decisive:
                    window, unit = divmod(order[word], weights.shape[1])
                    share = float(weights[window, unit, slot] * fused.gate[window, unit])
                    expected[item.index] += share / len(decisive)
        for effect in found.items:
            assert effect.weight == pytest.approx(expected[effect.index], abs=1e-5)
            assert 0 < expected[effect.index] < 1


def test_a_system_without_weights_reports_none_rather_than_zero(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, fusion="more")
    found = attribute(parts, prepared(parts, entities=True), device=CPU)
    assert {item.weight for post in found for item in post.items} == {None}


def test_all_parts_of_a_long_text_are_one_item(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, evidence_budget=60, max_evidence_pieces=8)
    posts = prepared(parts, entities=True)
    post = next(p for p in posts if p.example.post.example_id == "long")
    indices = [item.index for item in post.evidence.texts]
    assert len(set(indices)) < len(indices)
    found = attribute(parts, [post], device=CPU)[0]
    assert [item.index for item in found.items] == sorted(
        {*indices, *(i.index for i in post.evidence.images)}
    )
    target = target_of(parts, post, found.answer)
    for item in found.items:
        reduced = alone(parts, post, without(post.evidence, item.index), target)
        assert item.effect == pytest.approx(found.log_probability - reduced, abs=1e-4)
    with torch.no_grad():
        seen = look(parts, parts.collator([post]))[0]
    assert seen.weights is not None
    weights = evidence_weights(post, seen.weights, [], 4)
    assert sum(weights) == pytest.approx(float(seen.weights.mean(dim=0).sum()), abs=1e-5)


class RowCounter:
    """Counts the rows that an encoder's backbone reads."""

    def __init__(self, backbone: nn.Module) -> None:
        self.rows = 0
        self.handle = backbone.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: nn.Module, args: object, kwargs: dict[str, Tensor]) -> None:
        self.rows += len(kwargs["input_ids"])


def test_equal_rows_are_encoded_once_and_give_the_same_states(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)
    posts = prepared(parts, entities=True) * 3
    batch = parts.collator(posts)
    once = encoded_once(parts)
    with torch.no_grad():
        counter = RowCounter(parts.network.encoder.backbone)
        expected = parts.network.read(batch).words
        plain, counter.rows = counter.rows, 0
        found = once.network.read(batch).words
        counter.handle.remove()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    # Every post is there three times, and equal rows have equal length, so they share a group.
    assert counter.rows * 3 == plain


def test_explaining_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)
    parts.network.train()
    before = {name: tensor.clone() for name, tensor in parts.network.state_dict().items()}
    attribute(parts, prepared(parts, entities=True), device=CPU)
    assert parts.network.training
    assert all(torch.equal(before[name], t) for name, t in parts.network.state_dict().items())
    assert isinstance(parts.network.head, EntityHead)
    assert all(parameter.grad is None for parameter in parts.network.parameters())
