"""A trained run at work on new posts, with the weight that each piece of evidence had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cache.reader import Features, features_of
from cache.records import StoredExample
from model.batch import Batch
from model.build import Parts, load_parts, place
from model.collate import Shown
from model.data import PreparedPost
from model.device import choose_device
from model.evaluation import Answer, predict_posts
from model.heads import EntityGuess
from model.run import Run


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a post says.

    Attributes:
        example_id: of the post.
        entities: found entities; empty for relations.
        relations: every relation with its probability, best first; empty for entities.
        evidence_weights: for each kept evidence, in the store's order, the share of attention in
            [0, 1] that decisive words gave it: words of the found entities (of all words where
            none was found), or the markers of the two mentions. 0 for evidence that is not read.
        entity_weights: the same for each entity by itself.
    """

    example_id: str
    entities: tuple[EntityGuess, ...]
    relations: tuple[tuple[str, float], ...]
    evidence_weights: tuple[float, ...]
    entity_weights: tuple[tuple[float, ...], ...]


class _Seen(NamedTuple):
    """Answer of the head, and attention [words, items] over texts, then images."""

    answer: Answer
    attention: Tensor


class Predictor:
    """Predicts with one trained run."""

    def __init__(self, parts: Parts, device: torch.device) -> None:
        self.parts = parts
        self.device = device

    @property
    def run(self) -> Run:
        """What was trained, and how."""
        return self.parts.run

    def predict(self, posts: Sequence[StoredExample | Features]) -> list[Prediction]:
        """Return what each post says; annotations, where there are any, are not looked at.

        Raises:
            InputError: a post without words, or without the two mentions that relations need.
        """
        light = [p if isinstance(p, Features) else features_of(p) for p in posts]
        prepared = [self.parts.preparer.prepare(post) for post in light]
        shown = [Shown(post.evidence) for post in prepared]
        seen = predict_posts(self.parts, prepared, shown, device=self.device, each=_look)
        return [
            _prediction(post, found, len(given.evidence))
            for post, found, given in zip(prepared, seen, light, strict=True)
        ]


def load_run(folder: Path | str, *, device: str = "auto") -> Predictor:
    """Return a predictor on the best weights of a run folder; needs no hub.

    Raises:
        InputError: the folder is not a complete run, or the device is not there.
    """
    parts = load_parts(Path(folder))
    target = choose_device(device)
    place(parts, target)
    return Predictor(parts, target)


def _look(parts: Parts, batch: Batch) -> list[_Seen]:
    reading = parts.network.read(batch)
    answers: list[Answer] = list(parts.network.head.predict(reading.words, batch))
    weights = [
        w for w in (reading.fused.text_weights, reading.fused.visual_weights) if w is not None
    ]
    if not weights:
        return [_Seen(answer, torch.zeros(0, 0)) for answer in answers]
    texts, images = (w.float().flatten(0, 1)[batch.joined].cpu() for w in weights)
    seen = []
    for row, (post, answer) in enumerate(zip(batch.posts, answers, strict=True)):
        num_words = int(batch.joined_mask[row].sum())
        own = post.evidence
        parts_of_row = [
            texts[row, :num_words, : len(own.texts)],
            images[row, :num_words, : len(own.images)] if parts.collator.visual_dim else None,
        ]
        seen.append(_Seen(answer, torch.cat([p for p in parts_of_row if p is not None], dim=1)))
    return seen


def _prediction(post: PreparedPost, seen: _Seen, num_evidence: int) -> Prediction:
    entities = seen.answer if isinstance(seen.answer, tuple) else ()
    relations = tuple(seen.answer) if isinstance(seen.answer, list) else ()
    if post.head_unit >= 0:
        decisive = [post.head_unit, post.tail_unit]
    else:
        decisive = [word for e in entities for word in range(e.start, e.end)]
    return Prediction(
        example_id=post.example.post.example_id,
        entities=entities,
        relations=relations,
        evidence_weights=_weights(post, seen.attention, decisive, num_evidence),
        entity_weights=tuple(
            _weights(post, seen.attention, list(range(e.start, e.end)), num_evidence)
            for e in entities
        ),
    )


def _weights(
    post: PreparedPost, attention: Tensor, words: list[int], num_evidence: int
) -> tuple[float, ...]:
    """Return the mean attention of ``words`` (all, for none) on each kept evidence."""
    weights = [0.0] * num_evidence
    if attention.numel():
        mean = (attention[words] if words else attention).mean(dim=0).tolist()
        items = (*post.evidence.texts, *post.evidence.images)
        for item, weight in zip(items, mean, strict=False):
            weights[item.index] = weight
    return tuple(weights)
