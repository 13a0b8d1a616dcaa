"""A relation classifier on pairs, and its training for a number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from model.batch import Batch
from model.data import PreparedPost
from model.device import autocast
from model.discovery.pairs import PairNetwork, PairReader, make_optimizer, take_step
from model.training.optimizer import set_rates
from model.training.step import enough_memory


class PairClassifier(nn.Module):
    """``[h_[E1]; h_[E2]] -> Linear -> GELU -> Linear``: both networks of MetaSRE.

    The published code has no activation between the two layers.
    """

    def __init__(self, network: PairNetwork, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.network = network
        self.classify = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(network.dim, network.dim // 2),
            nn.GELU(),
            nn.Linear(network.dim // 2, num_classes),
        )

    def forward(self, batch: Batch) -> Float[Tensor, "posts classes"]:
        """Return the unnormalised score of each class."""
        scores: Tensor = self.classify(self.network(batch)).float()
        return scores


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Posts with the classes that a classifier is to give them.

    Attributes:
        posts: tokenised.
        classes: one for each; annotated, or guessed.
        weights: how much each counts.
    """

    posts: Sequence[PreparedPost]
    classes: Int[np.ndarray, " posts"]
    weights: Float[np.ndarray, " posts"]

    @classmethod
    def sure(cls, posts: Sequence[PreparedPost], classes: Int[np.ndarray, " posts"]) -> Lesson:
        """Return a lesson in which every post counts fully."""
        return cls(posts, classes, np.ones(len(posts)))

    def and_then(self, other: Lesson) -> Lesson:
        """Return this lesson with another one behind it."""
        return Lesson(
            [*self.posts, *other.posts],
            np.concatenate([self.classes, other.classes]),
            np.concatenate([self.weights, other.weights]),
        )


def weighted_loss(
    scores: Float[Tensor, "posts classes"],
    classes: Int[Tensor, " posts"],
    weights: Float[Tensor, " posts"],
) -> Tensor:
    """Return the weighted mean of the cross-entropy."""
    losses = nn.functional.cross_entropy(scores, classes, reduction="none")
    return (weights * losses).sum() / weights.sum()


class Teacher:
    """Trains one classifier; the rates fall to zero over all steps that were announced.

    Args:
        reader: what prepares batches.
        classifier: who learns.
        total: steps that will be taken over all lessons.
    """

    def __init__(self, reader: PairReader, classifier: PairClassifier, total: int) -> None:
        self.reader, self.classifier, self.total = reader, classifier, total
        self.optimizer = make_optimizer([classifier], reader.train)
        self.taken = 0

    def teach(self, lesson: Lesson, steps: int, name: str) -> float:
        """Take ``steps`` steps on batches of ``lesson``; return the mean loss.

        Raises:
            RamieError: loss or gradient are not finite, or there is too little memory; the
                message names the posts or the size of the batch.
        """
        reader = self.reader
        classes, weights = (torch.from_numpy(a) for a in (lesson.classes, lesson.weights))
        self.classifier.train()
        batches = endless(lambda epoch: reader.order(lesson.posts, epoch), self.taken)
        total = 0.0
        for _ in reader.bar(range(steps), name):
            indices = next(batches)
            set_rates(self.optimizer, self.taken, self.total, reader.train.warmup)
            batch = reader.batch([lesson.posts[i] for i in indices])
            with enough_memory(batch, in_parts=False):
                with autocast(reader.device, reader.bfloat16):
                    scores = self.classifier(batch)
                wanted = classes[indices].to(reader.device)
                loss = weighted_loss(scores, wanted, weights[indices].float().to(reader.device))
                take_step(self.optimizer, loss, reader.train, batch.posts)
            self.taken += 1
            total += float(loss.detach())
        return total / steps


def endless(order: Callable[[int], list[list[int]]], first_epoch: int) -> Iterator[list[int]]:
    """Return batches of one epoch after the other."""
    epoch = first_epoch
    while True:
        yield from order(epoch)
        epoch += 1
