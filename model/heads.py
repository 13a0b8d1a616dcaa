"""What is predicted from fused words: entities by a CRF, a relation by its marked mentions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cache.errors import InputError
from model.batch import Batch
from model.bio import spans_of
from model.crf import LinearChainCRF
from model.data import Task

Prediction = tuple["EntityGuess", ...] | list[tuple[str, float]]


class EntityGuess(NamedTuple):
    """A predicted entity.

    Attributes:
        start: first word.
        end: end-exclusive.
        label: entity type.
        probability: least probable of its words' labels (CRF marginals).
    """

    start: int
    end: int
    label: str
    probability: float


class EntityHead(nn.Module):
    """Linear emissions and a linear-chain CRF over BIO labels."""

    def __init__(self, dim: int, labels: Sequence[str], dropout: float) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.dropout = nn.Dropout(dropout)
        self.emit = nn.Linear(dim, len(labels))
        self.crf = LinearChainCRF.for_bio(labels)

    def loss(self, words: Float[Tensor, "posts words dim"], batch: Batch) -> Tensor:
        """Return the mean negative log-likelihood of a post.

        Raises:
            InputError: a post of the batch has no annotated entities.
        """
        if batch.labels is None:
            raise InputError(_not_annotated(batch, "entities"))
        emissions = self.emit(self.dropout(words)).float()
        return self.crf.nll(emissions, batch.labels, batch.joined_mask).mean()

    @torch.no_grad()
    def predict(
        self, words: Float[Tensor, "posts words dim"], batch: Batch
    ) -> list[tuple[EntityGuess, ...]]:
        """Return the entities of each post."""
        emissions = self.emit(words).float()
        paths = self.crf.decode(emissions, batch.joined_mask)
        sure = self.crf.marginals(emissions, batch.joined_mask).cpu()
        return [self._guess(path, sure[row]) for row, path in enumerate(paths)]

    def _guess(self, path: list[int], sure: Tensor) -> tuple[EntityGuess, ...]:
        chosen = sure[torch.arange(len(path)), torch.tensor(path, dtype=torch.long)].tolist()
        return tuple(
            EntityGuess(s.start, s.end, s.label, min(chosen[s.start : s.end]))
            for s in spans_of([self.labels[index] for index in path])
        )


class RelationHead(nn.Module):
    """``[h_[E1]; h_[E2]; mean of all fused words] -> linear``."""

    def __init__(self, dim: int, labels: Sequence[str], dropout: float) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(3 * dim, len(labels))

    def scores(
        self, words: Float[Tensor, "posts words dim"], batch: Batch
    ) -> Float[Tensor, "posts labels"]:
        """Return the unnormalised score of each relation."""
        rows = torch.arange(len(words), device=words.device)
        mask = batch.joined_mask[..., None]
        mean = (words * mask).sum(dim=1) / mask.sum(dim=1)
        read = torch.cat([words[rows, batch.head_unit], words[rows, batch.tail_unit], mean], -1)
        scores: Tensor = self.classify(self.dropout(read)).float()
        return scores

    def loss(self, words: Float[Tensor, "posts words dim"], batch: Batch) -> Tensor:
        """Return the mean cross-entropy.

        Raises:
            InputError: a post of the batch has no annotated relation.
        """
        if batch.relations is None:
            raise InputError(_not_annotated(batch, "relations"))
        return nn.functional.cross_entropy(self.scores(words, batch), batch.relations)

    @torch.no_grad()
    def predict(
        self, words: Float[Tensor, "posts words dim"], batch: Batch
    ) -> list[list[tuple[str, float]]]:
        """Return for each post all relations with their probability, most probable first."""
        probabilities = self.scores(words, batch).softmax(dim=-1).tolist()
        return [
            sorted(zip(self.labels, row, strict=True), key=lambda pair: -pair[1])
            for row in probabilities
        ]


def make_head(
    task: Task, dim: int, labels: Sequence[str], dropout: float
) -> EntityHead | RelationHead:
    """Return the head of a task."""
    kind = EntityHead if task == "entities" else RelationHead
    return kind(dim, labels, dropout)


def _not_annotated(batch: Batch, what: str) -> str:
    ids = [post.example.post.example_id for post in batch.posts]
    return f"among {', '.join(ids[:5])} are posts without annotated {what}; leave them out."
