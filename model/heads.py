"""What is predicted from fused words: entities by a CRF, a relation by its marked mentions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cache.errors import InputError
from cache.records import Span
from model.batch import Batch
from model.bio import spans_of
from model.crf import LinearChainCRF

Prediction = tuple["EntityGuess", ...] | list[tuple[str, float]]


class EntityGuess(NamedTuple):
    """A predicted entity.

    Attributes:
        start: first word.
        end: end-exclusive.
        label: entity type.
        probability: that exactly these words are an entity of this type.
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
        return -self.log_probability(words, batch, batch.labels).mean()

    def log_probability(
        self,
        words: Float[Tensor, "posts words dim"],
        batch: Batch,
        labels: Int[Tensor, "posts words"],
    ) -> Float[Tensor, " posts"]:
        """Return the log-probability of a sequence of labels for each post."""
        return -self.crf.nll(self.emissions(words), labels, batch.joined_mask)

    def marginals(
        self, words: Float[Tensor, "posts words dim"], batch: Batch
    ) -> Float[Tensor, "posts words labels"]:
        """Return the probability of each label at each word; 0 in the padding."""
        return self.crf.marginals(self.emissions(words), batch.joined_mask)

    def emissions(
        self, words: Float[Tensor, "posts words dim"]
    ) -> Float[Tensor, "posts words labels"]:
        """Return the score of each label at each word."""
        scores: Tensor = self.emit(self.dropout(words)).float()
        return scores

    @torch.no_grad()
    def predict(
        self, words: Float[Tensor, "posts words dim"], batch: Batch
    ) -> list[tuple[EntityGuess, ...]]:
        """Return the entities of each post."""
        emissions = self.emissions(words)
        mask = batch.joined_mask
        return guesses_of(
            spans_of_paths(self.crf.decode(emissions, mask), self.labels),
            self.labels,
            mask,
            lambda rows, allowed: self.crf.held(emissions[rows], mask[rows], allowed),
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
        return -self.log_probability(words, batch, batch.relations).mean()

    def log_probability(
        self,
        words: Float[Tensor, "posts words dim"],
        batch: Batch,
        relations: Int[Tensor, " posts"],
    ) -> Float[Tensor, " posts"]:
        """Return the log-probability of one relation per post."""
        return -nn.functional.cross_entropy(self.scores(words, batch), relations, reduction="none")

    def probabilities(
        self, words: Float[Tensor, "posts words dim"], batch: Batch
    ) -> Float[Tensor, "posts labels"]:
        """Return the probability of each relation."""
        return self.scores(words, batch).softmax(dim=-1)

    @torch.no_grad()
    def predict(
        self, words: Float[Tensor, "posts words dim"], batch: Batch
    ) -> list[list[tuple[str, float]]]:
        """Return for each post all relations with their probability, most probable first."""
        return sorted_relations(self.labels, self.probabilities(words, batch))


def spans_of_paths(
    paths: Sequence[Sequence[int]], labels: Sequence[str]
) -> list[tuple[Span, ...]]:
    """Return the entities of each post's decoded label indices."""
    return [spans_of([labels[index] for index in path]) for path in paths]


def guesses_of(
    found: Sequence[Sequence[Span]],
    labels: Sequence[str],
    mask: Bool[Tensor, "posts words"],
    held: Callable[[Int[Tensor, " spans"], Bool[Tensor, "spans words labels"]], Tensor],
) -> list[tuple[EntityGuess, ...]]:
    """Return the entities of each post, each with its probability.

    Args:
        found: entities of each post.
        labels: of words, in BIO.
        mask: True at real words.
        held: returns [spans] probabilities that each word of the post whose number it is told has
            one of the labels that are allowed to it.
    """
    flat = [(row, span) for row, spans in enumerate(found) for span in spans]
    rows = torch.tensor([row for row, _ in flat], dtype=torch.long, device=mask.device)
    allowed = torch.ones(len(flat), mask.shape[1], len(labels), dtype=torch.bool)
    for at, (_, (start, end, of_type)) in enumerate(flat):
        names = [f"B-{of_type}", *[f"I-{of_type}"] * (end - start - 1)]
        allowed[at, start:end] = torch.tensor(
            [[label == name for label in labels] for name in names]
        )
        # A longer entity is another one: the word after the last must not go on.
        allowed[at, end : end + 1] = torch.tensor([label != f"I-{of_type}" for label in labels])
    sure = iter(held(rows, allowed.to(mask.device)).tolist() if flat else [])
    return [tuple(EntityGuess(*span, next(sure)) for span in spans) for spans in found]


def sorted_relations(
    labels: Sequence[str], probabilities: Float[Tensor, "posts labels"]
) -> list[list[tuple[str, float]]]:
    """Return for each post every relation with its probability, most probable first."""
    return [
        sorted(zip(labels, row, strict=True), key=lambda pair: -pair[1])
        for row in probabilities.tolist()
    ]


def _not_annotated(batch: Batch, what: str) -> str:
    ids = [post.example.post.example_id for post in batch.posts]
    return f"among {', '.join(ids[:5])} are posts without annotated {what}; leave them out."
