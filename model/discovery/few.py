"""Few labels, many posts: what a semi-supervised system gets, and its two baselines.

A share of the training split is annotated; the rest takes part without its annotations, or not at
all. The baseline learns from the annotated share alone, another from the whole split, both with as
many steps as the system's classifier, and for all of them dev chooses the weights. (Dev is
annotated in full, which is more than a user with a few labels has; the comparison is fair, the
level is not.)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from cache.errors import InputError
from cache.reader import Features
from model.data import PreparedPost
from model.discovery.classify import Lesson, PairClassifier, Teacher
from model.discovery.pairs import PairNetwork, PairReader, Pairs
from model.discovery.settings import MetaSreSettings
from model.scoring.metrics import find_none_label, relation_scores


class Taught(NamedTuple):
    """A classifier, and how it was chosen.

    Attributes:
        classifier: with the weights that did best on dev.
        dev_f1: what they reached, in [0, 1].
    """

    classifier: PairClassifier
    dev_f1: float


@dataclass(frozen=True, slots=True, eq=False)
class FewLabels:
    """What a semi-supervised system is given.

    Attributes:
        relations: names of the classes, in their order.
        labelled: annotated posts.
        unlabelled: posts without annotations.
        dev: annotated posts that choose the weights.
        dev_relations: their relations; one that no annotated post has is missed.
    """

    relations: tuple[str, ...]
    labelled: Lesson
    unlabelled: Sequence[PreparedPost]
    dev: Sequence[PreparedPost]
    dev_relations: tuple[str, ...]

    def classifier(self, reader: PairReader) -> PairClassifier:
        """Return a new classifier on pretrained weights."""
        network: PairNetwork = reader.network()
        classifier = PairClassifier(network, len(self.relations), reader.parts.run.model.dropout)
        return classifier.to(reader.device)

    @property
    def none(self) -> str | None:
        """Return the label for "no relation" among those of annotated posts, or None."""
        return find_none_label([*self.relations, *self.dev_relations])

    def name(self, classes: Int[np.ndarray, " posts"]) -> list[str]:
        """Return the names of ``classes``."""
        return [self.relations[index] for index in classes.tolist()]


def relation_of(post: Features) -> str:
    """Return the annotated relation.

    Raises:
        InputError: nobody annotated it.
    """
    relation = post.example.relation
    if relation is None:
        raise InputError(
            f"example {post.example.post.example_id} is not annotated with a relation; "
            "leave it out of the store, or annotate it."
        )
    return relation


def few_labels(
    reader: PairReader,
    train: Sequence[Features],
    dev: Sequence[Features],
    share: float,
    unlabelled: float,
) -> FewLabels:
    """Return a random ``share`` of ``train`` with its annotations, and more of it without.

    Smaller shares of the same seed are part of larger ones.

    Args:
        reader: what tokenises, and the seed.
        train: the annotated training split.
        dev: another annotated split.
        share: of ``train`` that is annotated, in (0, 1]; at least one post.
        unlabelled: of ``train`` that takes part without annotations, as far as there is so much.
    """
    chance = np.random.default_rng([reader.train.seed, 5])
    order = chance.permutation(len(train))
    count = max(1, round(share * len(train)))
    kept = [train[index] for index in order[:count]]
    rest = [train[index] for index in order[count : count + round(unlabelled * len(train))]]
    relations = tuple(sorted({relation_of(post) for post in kept}))
    classes = np.array([relations.index(relation_of(post)) for post in kept], np.int64)
    return FewLabels(
        relations=relations,
        labelled=Lesson.sure(reader.prepare(Pairs(kept)), classes),
        unlabelled=reader.prepare(Pairs(rest)),
        dev=reader.prepare(Pairs(dev)),
        dev_relations=tuple(relation_of(post) for post in dev),
    )


def supervised(reader: PairReader, few: FewLabels, settings: MetaSreSettings) -> Taught:
    """Return the classifier that learned from the annotated posts alone."""
    torch.manual_seed(reader.train.seed)
    classifier = few.classifier(reader)
    rounds = settings.increments + 1
    teacher, best = Teacher(reader, classifier, rounds * settings.steps), Best(reader, few)
    for number in range(rounds):
        teacher.teach(few.labelled, settings.steps, f"round {number}")
        best.offer(classifier)
    return best.taught(classifier)


class Best:
    """Keeps the weights that did best on dev."""

    def __init__(self, reader: PairReader, few: FewLabels) -> None:
        self.reader, self.few = reader, few
        self.f1 = -1.0
        self.weights: dict[str, Tensor] = {}

    def offer(self, classifier: PairClassifier) -> float:
        """Return dev micro F1, and remember the weights where it is the best so far."""
        found = guesses(self.reader, self.few, classifier, self.few.dev)
        f1 = micro_f1(self.few.dev_relations, found, self.few.none)
        if f1 > self.f1:
            self.f1 = f1
            self.weights = copy.deepcopy(classifier.state_dict())
        return f1

    def taught(self, classifier: PairClassifier) -> Taught:
        """Return ``classifier`` with the best weights."""
        classifier.load_state_dict(self.weights)
        return Taught(classifier, self.f1)


def guesses(
    reader: PairReader,
    few: FewLabels,
    classifier: PairClassifier,
    posts: Sequence[PreparedPost],
) -> list[str]:
    """Return the likeliest relation of each post."""
    return few.name(reader.look(classifier, posts).argmax(dim=1).numpy())


def micro_f1(wanted: Sequence[str], found: Sequence[str], none: str | None) -> float:
    """Return micro F1 over every relation but ``none``, in [0, 1]."""
    return relation_scores(wanted, found, none).micro.f1
