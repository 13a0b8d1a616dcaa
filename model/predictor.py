"""A trained run at work on new posts, with the weight that each piece of evidence had."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cache.reader import Features, features_of
from cache.records import StoredExample
from model.build import Parts, parts_of, place
from model.collate import Shown
from model.data import PreparedPost, Task
from model.device import choose_device
from model.heads import EntityGuess
from model.run import Run
from model.scoring.attribution import Looked, decisive_words, evidence_weights, look
from model.scoring.evaluation import predict_posts
from model.scoring.temperature import read_temperature


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a post says.

    Attributes:
        example_id: of the post.
        entities: found entities; empty for relations.
        relations: every relation with its probability, best first; empty for entities.
        evidence_weights: for each kept evidence, in the store's order, how much of it is in the
            decisive words, in [0, 1]: attention times gate (`model.scoring.attribution`).
            Decisive are words of the found entities (all words where none was found), or the
            markers of the two mentions. 0 for evidence that is not read, and for systems that
            give no weights.
        entity_weights: the same for each entity by itself.
    """

    example_id: str
    entities: tuple[EntityGuess, ...]
    relations: tuple[tuple[str, float], ...]
    evidence_weights: tuple[float, ...]
    entity_weights: tuple[tuple[float, ...], ...]


class Predictor:
    """Predicts with one trained run."""

    def __init__(self, parts: Parts, device: torch.device, temperature: float = 1.0) -> None:
        """Predict with ``parts``, whose probabilities are taken at ``temperature``."""
        self.parts = parts
        self.device = device
        self.temperature = temperature

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
        each = functools.partial(look, temperature=self.temperature)
        seen: list[Looked] = predict_posts(
            self.parts, prepared, shown, device=self.device, each=each
        )
        return [
            _prediction(post, found, len(given.evidence))
            for post, found, given in zip(prepared, seen, light, strict=True)
        ]


def load_run(folder: Path | str, *, task: Task | None = None, device: str = "auto") -> Predictor:
    """Return a predictor on the best weights of a run folder; needs no hub.

    Probabilities are taken at the temperature of the run, where one was fitted.

    Args:
        folder: of the run.
        task: of a run that does both, which one; None is the task that it is named by.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: the folder is not a complete run, or the device is not there.
    """
    parts = parts_of(Path(folder), task)
    found = read_temperature(Path(folder), parts.run.task)
    target = choose_device(device)
    place(parts, target)
    return Predictor(parts, target, 1.0 if found is None else found.temperature)


def _prediction(post: PreparedPost, seen: Looked, num_evidence: int) -> Prediction:
    entities = seen.answer if isinstance(seen.answer, tuple) else ()
    relations = tuple(seen.answer) if isinstance(seen.answer, list) else ()
    decisive = decisive_words(post, seen.answer)
    return Prediction(
        example_id=post.example.post.example_id,
        entities=entities,
        relations=relations,
        evidence_weights=evidence_weights(post, seen.weights, decisive, num_evidence),
        entity_weights=tuple(
            evidence_weights(post, seen.weights, range(e.start, e.end), num_evidence)
            for e in entities
        ),
    )
