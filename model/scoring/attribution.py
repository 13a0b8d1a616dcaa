"""Which evidence mattered: the weight that a model gave it, beside what withholding it changes.

A weight says where a system looked. Leave-one-out says what it did: the fall of the
log-probability of the model's own answer (and of the annotation) when one piece of evidence is
withheld and the rest stays. The first is free, the second is the reference; whether they agree is
a question to ask of every run (Jain and Wallace 2019).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from cache.records import Span
from model.batch import Batch
from model.bio import labels_of
from model.build import Parts
from model.collate import Shown
from model.data import UNKNOWN_LABEL, Evidences, Item, PreparedPost
from model.heads import EntityHead
from model.mixture import EntityMixture
from model.network import Reading
from model.scoring.encoded_once import encoded_once
from model.scoring.evaluation import Answer, predict_posts
from model.scoring.temperature import head_of, tempered


@dataclass(frozen=True, slots=True)
class ItemEffect:
    """What one piece of evidence did.

    Attributes:
        index: place in the store's list of kept evidence.
        stream: index into ``STREAMS``.
        weight: share in [0, 1] of what the decisive words are made of, see `evidence_weights`;
            None where the system gives none.
        effect: how much less probable the answer is without it, in nats; negative where the
            evidence spoke against the answer.
        gold_effect: the same of the annotation; None where there is none, or its label is one
            that training never showed.
    """

    index: int
    stream: int
    weight: float | None
    effect: float
    gold_effect: float | None


@dataclass(frozen=True, slots=True)
class Attribution:
    """What the evidence of a post did.

    Attributes:
        example_id: of the post.
        answer: what the model says with all evidence.
        log_probability: of the answer (all labels of the sentence at once), in nats.
        gold_log_probability: of the annotation; None as in `ItemEffect`.
        items: the evidence that the model reads, in the store's order.
    """

    example_id: str
    answer: Answer
    log_probability: float
    gold_log_probability: float | None
    items: tuple[ItemEffect, ...]


class Looked(NamedTuple):
    """Answer of the head, and how much of each item entered each word: [words, items] or None."""

    answer: Answer
    weights: Tensor | None


class _Target(NamedTuple):
    """Label indices (entities) or one relation index, of the answer and of the annotation."""

    answer: tuple[int, ...]
    gold: tuple[int, ...] | None


class _Sure(NamedTuple):
    """Log-probability of answer and annotation."""

    answer: float
    gold: float | None


def attribute(
    parts: Parts, posts: Sequence[PreparedPost], *, device: torch.device, progress: bool = False
) -> list[Attribution]:
    """Return what the evidence of each post did.

    Args:
        parts: the network, on ``device``.
        posts: each with its own evidence.
        device: to compute on.
        progress: show a bar where the output is a terminal.
    """
    own = [Shown(post.evidence) for post in posts]
    looks: list[Looked] = predict_posts(parts, posts, own, device=device, each=look)
    targets = {
        post.example.post.example_id: _target(parts, post, seen.answer)
        for post, seen in zip(posts, looks, strict=True)
    }
    # Every post as it is, then once without each item; all copies in one stream of batches.
    read = [_read(parts, post) for post in posts]
    withheld = [(at, index) for at, what in enumerate(read) for index in (None, *_indices(what))]
    copies = [posts[at] for at, _ in withheld]
    shown = [Shown(_without(posts[at].evidence, index)) for at, index in withheld]
    found: list[_Sure] = predict_posts(
        encoded_once(_in_float32(parts)),
        copies,
        shown,
        device=device,
        each=functools.partial(_sure, targets=targets),
        bar=lambda b: tqdm(
            b, "withhold", unit="batch", leave=False, disable=None if progress else True
        ),
    )
    sure: list[dict[int | None, _Sure]] = [{} for _ in posts]
    for (at, index), value in zip(withheld, found, strict=True):
        sure[at][index] = value
    return [_attribution(*row) for row in zip(posts, read, looks, sure, strict=True)]


def look(parts: Parts, batch: Batch, temperature: float = 1.0) -> list[Looked]:
    """Return what is predicted of each post of the batch, and where its words looked."""
    reading = parts.network.read(batch)
    head = head_of(parts.network.head, batch)
    sure = head.predict(reading.words, batch)
    answers: list[Answer] = tempered(head, temperature, reading.words, batch, sure)
    entered = [
        _entered(reading, weights, batch)
        for weights in (reading.fused.text_weights, reading.fused.visual_weights)
    ]
    if all(weights is None for weights in entered):
        return [Looked(answer, None) for answer in answers]
    rows = []
    for row, (post, answer) in enumerate(zip(batch.posts, answers, strict=True)):
        num_words = int(batch.joined_mask[row].sum())
        own = (post.evidence.texts, post.evidence.images if parts.collator.visual_dim else ())
        sides = [
            torch.zeros(num_words, len(items))
            if weights is None
            else weights[row, :num_words, : len(items)]
            for weights, items in zip(entered, own, strict=True)
        ]
        rows.append(Looked(answer, torch.cat(sides, dim=1)))
    return rows


def evidence_weights(
    post: PreparedPost, weights: Tensor | None, words: Sequence[int], num_evidence: int
) -> tuple[float, ...]:
    """Return for each kept piece of evidence how much of it is in ``words``, 0 if it is not read.

    The mean over the words of attention times gate: attention shares out what a word reads, the
    gate says how much of that enters the word. Parts of one long text are added up.

    Args:
        post: who read.
        weights: of `look`.
        words: decisive units of the post; none means all.
        num_evidence: how many pieces the store keeps of the post.
    """
    shares = [0.0] * num_evidence
    if weights is not None and weights.numel():
        mean = (weights[list(words)] if words else weights).mean(dim=0).tolist()
        # Images stand last, and are not among the weights of a model that sees none.
        for item, weight in zip(_items(post.evidence), mean, strict=False):
            shares[item.index] += weight
    return tuple(shares)


def decisive_words(post: PreparedPost, answer: Answer) -> list[int]:
    """Return the units that the answer hangs on: found entities, or the markers of the mentions.

    None stands for all words: where no entity was found, each of them decided it.
    """
    if post.head_unit >= 0:
        return [post.head_unit, post.tail_unit]
    if isinstance(answer, tuple):
        return [word for entity in answer for word in range(entity.start, entity.end)]
    return []


def _entered(reading: Reading, weights: Tensor | None, batch: Batch) -> Tensor | None:
    """Return [posts, words, items]: attention times the gate of the word that reads."""
    if weights is None:
        return None
    gate = reading.fused.gate
    strong = weights if gate is None else weights * gate[..., None]
    return strong.float().flatten(0, 1)[batch.joined].cpu()


def _sure(parts: Parts, batch: Batch, targets: Mapping[str, _Target]) -> list[_Sure]:
    """Return the log-probability of what was answered before, as the batch shows the posts now."""
    head = head_of(parts.network.head, batch)
    words = parts.network.read(batch).words
    wanted = [targets[post.example.post.example_id] for post in batch.posts]
    sides = []
    for rows in ([t.answer for t in wanted], [t.gold or t.answer for t in wanted]):
        if isinstance(head, EntityHead | EntityMixture):
            labels = _padded(rows, batch.joined.shape[1]).to(words.device)
            sides.append(head.log_probability(words, batch, labels).tolist())
        else:
            relations = torch.tensor([index for (index,) in rows], device=words.device)
            sides.append(head.log_probability(words, batch, relations).tolist())
    return [
        _Sure(answer, None if target.gold is None else gold)
        for answer, gold, target in zip(*sides, wanted, strict=True)
    ]


def _in_float32(parts: Parts) -> Parts:
    """Return the same network for exact work: bfloat16 would lose differences of a percent."""
    settings = parts.run.train.model_copy(update={"precision": "float32"})
    return dataclasses.replace(parts, run=parts.run.model_copy(update={"train": settings}))


def _target(parts: Parts, post: PreparedPost, answer: Answer) -> _Target:
    index_of = parts.preparer.index_of
    if isinstance(answer, tuple):
        spans = [Span(entity.start, entity.end, entity.label) for entity in answer]
        names = labels_of(spans, len(post.example.post.tokens))
        given = tuple(index_of[name] for name in names)
        gold = post.labels
    else:
        given = (index_of[answer[0][0]],)
        gold = None if post.relation is None else (post.relation,)
    known = gold is not None and UNKNOWN_LABEL not in gold
    return _Target(given, gold if known else None)


def _attribution(
    post: PreparedPost, read: Evidences, seen: Looked, sure: Mapping[int | None, _Sure]
) -> Attribution:
    whole = sure[None]
    decisive = decisive_words(post, seen.answer)
    kept = 1 + max(_indices(post.evidence), default=-1)
    shares = evidence_weights(post, seen.weights, decisive, kept)
    streams = {item.index: item.stream for item in _items(read)}
    return Attribution(
        example_id=post.example.post.example_id,
        answer=seen.answer,
        log_probability=whole.answer,
        gold_log_probability=whole.gold,
        items=tuple(
            ItemEffect(
                index=index,
                stream=streams[index],
                weight=None if seen.weights is None else shares[index],
                effect=whole.answer - sure[index].answer,
                gold_effect=_difference(whole.gold, sure[index].gold),
            )
            for index in _indices(read)
        ),
    )


def _difference(whole: float | None, reduced: float | None) -> float | None:
    return None if whole is None or reduced is None else whole - reduced


def _items(evidence: Evidences) -> tuple[Item, ...]:
    return (*evidence.texts, *evidence.images)


def _read(parts: Parts, post: PreparedPost) -> Evidences:
    """Return what of its evidence can reach the network: all, texts alone as context, or none."""
    use, prepared = parts.collator.evidence, post.evidence
    return Evidences(
        prepared.texts if use != "none" else (),
        prepared.images if use == "items" else (),
    )


def _indices(evidence: Evidences) -> list[int]:
    """Return the places of the evidence in the store's list; parts of a long text are one."""
    return sorted({item.index for item in _items(evidence)})


def _without(evidence: Evidences, index: int | None) -> Evidences:
    """Return the evidence without one piece of it, all its parts."""
    texts, images = (
        tuple(item for item in items if item.index != index)
        for items in (evidence.texts, evidence.images)
    )
    return Evidences(texts, images)


def _padded(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    out = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        out[index, : len(row)] = torch.tensor(row)
    return out
