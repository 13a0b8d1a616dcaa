"""A mixture of experts over what each of them holds for probable.

``p = sum_e g_e p_e``, with gates ``g = softmax(W [mean(x_1); mean(x_2)])`` of the post as each
expert reads it. Entities are mixed on the posterior marginals of the experts' CRFs, relations on
their class probabilities (Wang et al. 2022, MoRe, section 3.4). The paper trains each expert by
itself and the mixture afterwards; here all are trained at once: to the loss of the mixture comes
the mean loss of the experts, so that each stays a model of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from model.batch import Batch
from model.crf import LinearChainCRF
from model.heads import (
    EntityGuess,
    EntityHead,
    RelationHead,
    guesses_of,
    sorted_relations,
    spans_of_paths,
)

_LEAST = 1e-12


class _Mixture(nn.Module):
    """Gates over experts that stand side by side in the states of words.

    Probabilities are weighted by products and sums, not by a matrix product: that would be done
    in bfloat16 under autocast, in which 0.998 and 1 are the same.
    """

    experts: nn.ModuleList

    def __init__(self, dim: int, experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(experts * dim, experts)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def gates(self, words: Tensor, batch: Batch) -> Float[Tensor, "posts experts"]:
        """Return the share of each expert; equal shares at the start of training."""
        mask = batch.joined_mask[..., None]
        mean = (words * mask).sum(dim=1) / mask.sum(dim=1)
        shares: Tensor = self.gate(mean).float().softmax(dim=-1)
        return shares

    def _parts(self, words: Tensor) -> list[tuple[Any, Tensor]]:
        """Return each expert with the states that it reads."""
        return list(zip(self.experts, words.chunk(len(self.experts), dim=-1), strict=True))


class EntityMixture(_Mixture):
    """Mixes the marginals of one CRF per expert; decodes under the rules of BIO alone."""

    def __init__(self, dim: int, labels: Sequence[str], dropout: float, experts: int) -> None:
        super().__init__(dim, experts)
        self.labels = tuple(labels)
        self.experts = nn.ModuleList(EntityHead(dim, labels, dropout) for _ in range(experts))
        self.rules = LinearChainCRF.for_bio(labels)
        for scores in self.rules.parameters():
            nn.init.zeros_(scores)
            scores.requires_grad_(False)

    def loss(self, words: Float[Tensor, "posts words dims"], batch: Batch) -> Tensor:
        """Return the mean negative log-probability of a post, plus the mean loss of an expert.

        Raises:
            InputError: a post of the batch has no annotated entities.
        """
        apart = [head.loss(part, batch) for head, part in self._parts(words)]
        assert batch.labels is not None
        mixed = -self.log_probability(words, batch, batch.labels).mean()
        return mixed + torch.stack(apart).mean()

    def log_probability(
        self,
        words: Float[Tensor, "posts words dims"],
        batch: Batch,
        labels: Int[Tensor, "posts words"],
    ) -> Float[Tensor, " posts"]:
        """Return the log-probability of ``labels``: the sum over the mixed marginals of words."""
        held = self.marginals(words, batch).gather(2, labels.clamp(min=0)[..., None])[..., 0]
        logs: Tensor = held.clamp(min=_LEAST).log() * batch.joined_mask
        return logs.sum(dim=1)

    def marginals(
        self, words: Float[Tensor, "posts words dims"], batch: Batch
    ) -> Float[Tensor, "posts words labels"]:
        """Return the mixed probability of each label at each word; 0 in the padding."""
        each = [head.marginals(part, batch) for head, part in self._parts(words)]
        shares = self.gates(words, batch)[:, :, None, None]
        return (shares * torch.stack(each, dim=1)).sum(dim=1)

    @torch.no_grad()
    def predict(
        self, words: Float[Tensor, "posts words dims"], batch: Batch
    ) -> list[tuple[EntityGuess, ...]]:
        """Return the entities of each post."""
        mixed = self.marginals(words, batch)
        mask = batch.joined_mask
        paths = self.rules.decode(mixed.clamp(min=_LEAST).log(), mask)
        return guesses_of(
            spans_of_paths(paths, self.labels),
            self.labels,
            mask,
            lambda rows, allowed: held_apart(mixed[rows], mask[rows], allowed),
        )


def held_apart(
    marginals: Float[Tensor, "rows words labels"],
    mask: Bool[Tensor, "rows words"],
    allowed: Bool[Tensor, "rows words labels"],
) -> Float[Tensor, " rows"]:
    """Return the probability that each word has a label ``allowed`` to it, words independent."""
    of_word = (marginals * allowed).sum(dim=-1).masked_fill(~mask, 1.0)
    return of_word.prod(dim=-1).clamp(max=1)


class RelationMixture(_Mixture):
    """Mixes the class probabilities of one classifier per expert."""

    def __init__(self, dim: int, labels: Sequence[str], dropout: float, experts: int) -> None:
        super().__init__(dim, experts)
        self.labels = tuple(labels)
        self.experts = nn.ModuleList(RelationHead(dim, labels, dropout) for _ in range(experts))

    def loss(self, words: Float[Tensor, "posts words dims"], batch: Batch) -> Tensor:
        """Return the mean negative log-probability, plus the mean loss of an expert.

        Raises:
            InputError: a post of the batch has no annotated relation.
        """
        apart = [head.loss(part, batch) for head, part in self._parts(words)]
        assert batch.relations is not None
        mixed = -self.log_probability(words, batch, batch.relations).mean()
        return mixed + torch.stack(apart).mean()

    def log_probability(
        self,
        words: Float[Tensor, "posts words dims"],
        batch: Batch,
        relations: Int[Tensor, " posts"],
    ) -> Float[Tensor, " posts"]:
        """Return the log-probability of one relation per post."""
        held = self.probabilities(words, batch).gather(1, relations.clamp(min=0)[:, None])[:, 0]
        logs: Tensor = held.clamp(min=_LEAST).log()
        return logs

    def probabilities(
        self, words: Float[Tensor, "posts words dims"], batch: Batch
    ) -> Float[Tensor, "posts labels"]:
        """Return the mixed probability of each relation."""
        each = [head.probabilities(part, batch) for head, part in self._parts(words)]
        return (self.gates(words, batch)[:, :, None] * torch.stack(each, dim=1)).sum(dim=1)

    @torch.no_grad()
    def predict(
        self, words: Float[Tensor, "posts words dims"], batch: Batch
    ) -> list[list[tuple[str, float]]]:
        """Return for each post all relations with their probability, most probable first."""
        return sorted_relations(self.labels, self.probabilities(words, batch))
