"""The method's equations, against loops over words, items, tokens and heads."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from model_helpers import ALL_STREAMS, make_parts, stored
from torch import Tensor

from cache.reader import features_of
from cache.records import LEVELS, MODALITIES, STREAMS, Span, StoredExample
from model.batch import Batch, EvidenceGroup
from model.build import Parts
from model.fusion.cross_stream import CrossStream
from model.fusion.synthesis import Synthesis

READINGS = ("separate", "joint")
TASKS = ("entities", "relations")
PHOTO = len(STREAMS)
# A word that meets its own name reads from one token before it to four behind it.
AROUND = range(-1, 5)

# The first text names one of the two mentions, "velora"; the second has room on neither side.
FULL = ("velora sings in club", ALL_STREAMS, True)
POSTS = (FULL, ("quill sings", ALL_STREAMS[:2], False), ("tamber", ALL_STREAMS[3:], True))


def made(folder: Path, task: str, reading: str, **changes: Any) -> Parts:
    labels = ("None", "in") if task == "relations" else ("O", "B-LOC", "I-LOC")
    return make_parts(
        folder, task=task, labels=labels, evidence_reading=reading, match_bonus=3.0, **changes
    )


def batch_of(parts: Parts, posts: Sequence[tuple[str, Any, bool]], task: str) -> Batch:
    """Return a batch of (words, evidence, whether there is a photo)."""
    mentions = (Span(0, 1), Span(0, 1)) if task == "relations" else None
    examples: list[StoredExample] = [
        stored(f"post {n}", words, kept=kept, photo=photo, mentions=mentions, relation="in")
        for n, (words, kept, photo) in enumerate(posts)
    ]
    return parts.collator([parts.preparer.prepare(features_of(each)) for each in examples])


def words_of(parts: Parts, batch: Batch) -> Tensor:
    states = parts.network.encoder(batch.pieces, batch.mask, torch.zeros_like(batch.pieces))
    words: Tensor = states.gather(1, batch.starts[..., None].expand(-1, -1, states.shape[-1]))
    return words


def system(parts: Parts) -> Synthesis:
    fusion = parts.network.fusion
    assert isinstance(fusion, Synthesis)
    return fusion


close = functools.partial(torch.testing.assert_close, rtol=1e-4, atol=2e-5)


# the slow reference


@dataclass
class Item:
    """What the words [units] of one post can read from one item, for each head."""

    logits: list[list[float]]
    values: list[Tensor]
    summary: Tensor
    odds: float
    prior: float
    stream: int


def heads_of(vector: Tensor, fusion: Synthesis) -> tuple[Tensor, ...]:
    return vector.chunk(fusion.size.heads)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def slow_odds(judge: Any, post: Tensor, item: Tensor, features: Tensor) -> float:
    """Log-odds of c_j = sigmoid(cos(pool(X) W_x, pool(E_j) W_e) / tau + f(features))."""
    alike = cosine(judge.post.weight @ post, judge.item.weight @ item)
    return alike / math.exp(float(judge.log_temperature)) + float(judge.features(features))


def slow_text(
    parts: Parts, batch: Batch, words: list[Tensor], group: EvidenceGroup, row: int
) -> Item:
    """Attention of every word over the tokens of one text, encoded without any padding."""
    fusion, window, slot = system(parts), int(group.window[row]), int(group.slot[row])
    reader, real = fusion.reader, int(group.mask[row].sum())
    pieces = [t[row : row + 1, :real] for t in (group.pieces, group.mask, group.segments)]
    states = parts.network.encoder(*pieces)[0]
    places = [t for t in range(real) if group.is_evidence[row, t]]
    tokens = [reader.norm(states[t]) for t in places]
    keys = [int(group.keys[row, t]) for t in places]
    mentions = [int(key) for key in batch.mention_keys[window] if key]
    named = sum(key in keys for key in mentions) / max(len(mentions), 1)
    logits, values = [], []
    for number, word in enumerate(words):
        mine = int(batch.unit_keys[window, number])
        query = heads_of(reader.query.weight @ reader.norm(word), fusion)
        wanted, read = [], []
        for head in range(fusion.size.heads):
            bonus = float(reader.match_bonus[head])
            each = []
            for token, key in zip(tokens, keys, strict=True):
                product = query[head] @ heads_of(reader.key.weight @ token, fusion)[head]
                matches = mine != 0 and mine == key
                each.append(float(product) / math.sqrt(len(query[head])) + bonus * matches)
            mean = sum(math.exp(logit) for logit in each) / len(each)
            share = math.log(mean) + bonus * named + float(batch.text_share[window, slot])
            wanted.append(share)
            shares = reader.spread[head].softmax(0).tolist()
            total = torch.zeros(len(query[head]))
            for match, logit in enumerate(each):
                weight = math.exp(logit) / (mean * len(each))
                for offset, moved in zip(AROUND, shares, strict=True):
                    if 0 <= match + offset < len(tokens):
                        value = reader.value.weight @ tokens[match + offset]
                        total += moved * weight * heads_of(value, fusion)[head]
            read.append(total)
        logits.append(wanted)
        values.append(torch.cat(read))
        if fusion.size.joint:
            values[-1] = values[-1] + states[batch.starts[window, number]] - word
    summary = torch.stack(tokens).mean(0)
    odds = 0.0
    if fusion.size.consistency:
        post = torch.stack(words).mean(0)
        features = batch.text_features[window, slot]
        odds = slow_odds(fusion.text_consistency, post, summary, features)
        if fusion.size.joint:
            odds += float(fusion.pair_consistency.weight[0] @ states[0])
    prior, stream = float(batch.text_prior[window, slot]), int(batch.text_stream[window, slot])
    return Item(logits, values, summary, odds, prior, stream)


def slow_image(fusion: Synthesis, batch: Batch, words: list[Tensor], at: tuple[int, int]) -> Item:
    """A retrieved image, the photo or a region: one vector for every word."""
    state = fusion.visual(batch.visual[at])
    key = heads_of(state, fusion)
    logits = [
        [float(s) * cosine(q, k) for s, q, k in zip(fusion.sight, query, key, strict=True)]
        for query in (heads_of(fusion.query.weight @ fusion.norm(w), fusion) for w in words)
    ]
    odds = 0.0
    if fusion.size.consistency:
        post, judge = torch.stack(words).mean(0), fusion.visual_consistency
        odds = slow_odds(judge, post, state, batch.visual_features[at])
    prior, stream = float(batch.visual_prior[at]), int(batch.visual_stream[at])
    return Item(logits, [state] * len(words), state, odds, prior, stream)


def slow_stream(fusion: Synthesis, stream: int) -> Tensor:
    """What is known of an item by where it comes from."""
    level, modality = STREAMS[stream] if stream < PHOTO else (LEVELS[stream - PHOTO], "image")
    tables = fusion.streams
    return (
        tables.level.weight[LEVELS.index(level)]
        + tables.modality.weight[MODALITIES.index(modality)]
        + tables.origin.weight[int(stream >= PHOTO)]
    )


def slow_belief(fusion: Synthesis, item: Item) -> float:
    """Consistency as a log; nothing of the post's own."""
    if item.stream >= PHOTO or not fusion.size.consistency:
        return 0.0
    return math.log(1 / (1 + math.exp(-item.odds))) + float(fusion.trust) * item.prior


def slow_vote(fusion: Synthesis, item: Item, views: list[Tensor]) -> float:
    """The vote of photo and regions for an item of evidence."""
    if item.stream >= PHOTO or not views:
        return 0.0
    query = fusion.view_query.weight @ torch.stack(views).mean(0)
    return float(fusion.vote) * cosine(fusion.view_key.weight @ item.summary, query)


def slow_reasoning(fusion: Synthesis, items: list[Item]) -> list[Tensor]:
    """What each item learns from all of them, more from those that are believed."""
    layer = fusion.cross_stream
    known = [layer.norm(item.summary + slow_stream(fusion, item.stream)) for item in items]
    keys = [heads_of(layer.key.weight @ item, fusion) for item in known]
    values = [heads_of(layer.value.weight @ item, fusion) for item in known]
    learned = []
    for mine in known:
        query, read = heads_of(layer.query.weight @ mine, fusion), []
        for head in range(fusion.size.heads):
            scale = math.sqrt(len(query[head]))
            logits = [
                float(query[head] @ key[head]) / scale + slow_belief(fusion, item)
                for key, item in zip(keys, items, strict=True)
            ]
            shares = torch.tensor(logits).softmax(0)
            read.append((shares[:, None] * torch.stack([v[head] for v in values])).sum(0))
        learned.append(layer.out.weight @ torch.cat(read))
    return learned


def slow_words(parts: Parts, batch: Batch, window: int) -> tuple[Tensor, Tensor, list[float]]:
    """Return fused words [units, dim], weights [units, items], and log-odds of the evidence."""
    fusion, number = system(parts), int(batch.unit_mask[window].sum())
    words = list(words_of(parts, batch)[window, :number])
    texts = {
        int(group.slot[row]): slow_text(parts, batch, words, group, row)
        for group in batch.groups
        for row in range(len(group.window))
        if group.window[row] == window
    }
    images = [
        slow_image(fusion, batch, words, (window, image))
        for image in range(batch.visual_mask.shape[1])
        if batch.visual_mask[window, image]
    ]
    items = [texts[slot] for slot in sorted(texts)] + images
    learned = [torch.zeros_like(words[0]) for _ in items]
    if fusion.size.cross_stream:
        learned = slow_reasoning(fusion, items)
    views = [item.summary for item in images if item.stream >= PHOTO]
    fused, weights = [], []
    for place, word in enumerate(words):
        query = heads_of(fusion.query.weight @ fusion.norm(word), fusion)
        read, mean = [], torch.zeros(len(items))
        for head in range(fusion.size.heads):
            logits = []
            for item, more in zip(items, learned, strict=True):
                by_stream = heads_of(slow_stream(fusion, item.stream) + more, fusion)[head]
                biased = float(query[head] @ by_stream) / math.sqrt(len(by_stream))
                belief = slow_belief(fusion, item) + slow_vote(fusion, item, views)
                logits.append(item.logits[place][head] + biased + belief)
            shares = torch.tensor([*logits, float(fusion.null[head])]).softmax(0)[:-1]
            mean += shares / fusion.size.heads
            values = [
                heads_of(item.values[place] + more, fusion)[head]
                for item, more in zip(items, learned, strict=True)
            ]
            read.append((shares[:, None] * torch.stack(values)).sum(0))
        whole = torch.cat(read)
        gate = torch.sigmoid(fusion.gate(torch.cat([word, whole])))
        fused.append(word + gate * whole)
        weights.append(mean)
    judged = [item.odds for item in items if item.stream < PHOTO]
    return torch.stack(fused), torch.stack(weights), judged


@torch.no_grad()
@pytest.mark.parametrize("cross_stream", [True, False])
@pytest.mark.parametrize("consistency", [True, False])
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("task", TASKS)
def test_words_read_what_the_equations_say(
    tmp_path: Path, task: str, reading: str, consistency: bool, cross_stream: bool
) -> None:
    parts = made(tmp_path, task, reading, consistency=consistency, cross_stream=cross_stream)
    batch = batch_of(parts, POSTS, task)

    fused = system(parts)(words_of(parts, batch), batch, parts.network.encoder)

    assert fused.text_weights is not None
    assert fused.visual_weights is not None
    for window in range(len(POSTS)):
        words, weights, _ = slow_words(parts, batch, window)
        close(fused.words[window, : len(words)], words)
        read = [
            fused.text_weights[window, : len(words)][:, batch.text_mask[window]],
            fused.visual_weights[window, : len(words)][:, batch.visual_mask[window]],
        ]
        close(torch.cat(read, dim=1), weights)


@torch.no_grad()
@pytest.mark.parametrize("reading", READINGS)
def test_every_evidence_item_is_judged_by_the_equation(tmp_path: Path, reading: str) -> None:
    parts = made(tmp_path, "entities", reading)
    batch = batch_of(parts, [FULL], "entities")

    fused = system(parts)(words_of(parts, batch), batch, parts.network.encoder)

    assert fused.consistency is not None
    odds = torch.tensor(slow_words(parts, batch, 0)[2])
    assert len(odds) == len(ALL_STREAMS)
    close(fused.consistency, odds, atol=1e-4)


@torch.no_grad()
def test_without_anything_to_read_but_a_worthless_null_slot_weights_sum_to_one(
    tmp_path: Path,
) -> None:
    parts = made(tmp_path, "entities", "joint")
    batch = batch_of(parts, [FULL], "entities")
    words, totals = words_of(parts, batch), []
    for null in (-1e4, 0.0, 1e4):
        system(parts).null.fill_(null)
        fused = system(parts)(words, batch, parts.network.encoder)
        assert fused.text_weights is not None
        assert fused.visual_weights is not None
        totals.append(fused.text_weights.sum(-1) + fused.visual_weights.sum(-1))

    torch.testing.assert_close(totals[0], torch.ones_like(totals[0]))
    assert ((totals[1] > 0.01) & (totals[1] < 0.99)).all()
    assert not totals[2].any()


@pytest.mark.parametrize("reading", READINGS)
def test_a_gradient_reaches_each_item_of_each_stream(tmp_path: Path, reading: str) -> None:
    parts = made(tmp_path, "entities", reading)
    batch = batch_of(parts, [FULL], "entities")
    batch = replace(batch, visual=batch.visual.requires_grad_())
    seen: list[Tensor] = []

    def encode(pieces: Tensor, mask: Tensor, segments: Tensor) -> Tensor:
        states: Tensor = parts.network.encoder(pieces, mask, segments).detach().requires_grad_()
        seen.append(states)
        return states

    words = words_of(parts, batch).detach()
    (system(parts)(words, batch, encode).words ** 2).sum().backward()

    reached = set()
    for group, states in zip(batch.groups, seen, strict=True):
        assert states.grad is not None
        for row, slot in enumerate(group.slot.tolist()):
            if states.grad[row, group.is_evidence[row]].abs().max() > 1e-6:
                reached.add((int(batch.text_stream[0, slot]), slot))
    assert batch.visual.grad is not None
    for image, stream in enumerate(batch.visual_stream[0].tolist()):
        if batch.visual.grad[0, image].abs().max() > 1e-6:
            reached.add((stream, image))
    assert {stream for stream, _ in reached} == {*range(len(STREAMS)), PHOTO, PHOTO + 1}
    assert len(reached) == batch.text_mask.sum() + batch.visual_mask.sum()


def test_items_learn_from_all_streams_and_from_the_posts_own_photo(tmp_path: Path) -> None:
    parts = made(tmp_path, "entities", "separate", cross_stream=True)
    batch = batch_of(parts, [FULL], "entities")
    layer = system(parts).cross_stream
    told: list[Tensor] = []

    def keep(_: Any, inputs: tuple[Tensor, ...], learned: Tensor) -> None:
        told.extend(torch.autograd.grad(learned[0, 0].sum(), inputs[0]))

    with layer.register_forward_hook(keep):
        system(parts)(words_of(parts, batch), batch, parts.network.encoder)

    streams = torch.cat([batch.text_stream, batch.visual_stream], dim=1)[0].tolist()
    heard = {streams[item] for item, grad in enumerate(told[0][0]) if grad.abs().max() > 1e-6}
    assert heard == {*range(len(STREAMS)), PHOTO, PHOTO + 1}


@torch.no_grad()
def test_items_say_nothing_to_each_other_at_the_start_of_a_training(tmp_path: Path) -> None:
    apart, together = (
        made(tmp_path / str(cross), "entities", "joint", cross_stream=cross)
        for cross in (False, True)
    )
    together.network.load_state_dict(apart.network.state_dict(), strict=False)
    untrained = CrossStream(system(together).size.dim, system(together).size.heads)
    system(together).cross_stream.load_state_dict(untrained.state_dict())
    batch = batch_of(apart, POSTS, "entities")

    one, other = (
        system(parts)(words_of(parts, batch), batch, parts.network.encoder).words
        for parts in (apart, together)
    )

    torch.testing.assert_close(other, one)
