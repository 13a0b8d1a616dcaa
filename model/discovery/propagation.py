"""Exemplars in layers, by messages between points that say who would speak well for whom.

Affinity propagation (Frey and Dueck, Science 2007): point i tells k its *responsibility*, how well
k suits as exemplar beside all others; k tells i its *availability*, how many others it would speak
for. A *preference* for being an exemplar decides how many there are; here it is searched for, so
that a layer has about as many exemplars as asked. Each coarser layer propagates among the
exemplars of the finer one, every one weighing as much as the points it speaks for, so that the
exemplars of a layer are among those of the finer one. Points join the nearest exemplar of each
layer: two of one fine cluster may part in a coarser one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_MOST_ROUNDS: Final = 200
_STABLE_ROUNDS: Final = 15
_SEARCHES: Final = 12
# Equal similarities make messages swing for ever; this share of their spread breaks the ties.
_JITTER: Final = 1e-6


class Layer(NamedTuple):
    """One granularity of a hierarchical clustering.

    Attributes:
        exemplars: index of the points that speak for a cluster.
        assigned: for each point the place of its exemplar in ``exemplars``.
    """

    exemplars: Tensor
    assigned: Tensor


def propagate(
    similarities: Float[Tensor, "points points"],
    preference: float,
    *,
    damping: float,
    masses: Float[Tensor, " points"] | None = None,
) -> Int[Tensor, " exemplars"]:
    """Return the points that the messages agree on as exemplars; at least one.

    Args:
        similarities: of row to column, on any scale; the diagonal is not read.
        preference: of every point to be an exemplar, on the same scale.
        damping: share of a message that stays from round to round.
        masses: how many equal points each one stands for (1 unless given).
    """
    count = len(similarities)
    mass = torch.ones(count) if masses is None else masses
    scores = similarities * mass[:, None]
    scores.fill_diagonal_(preference)
    responsibility, availability = torch.zeros_like(scores), torch.zeros_like(scores)
    rows = torch.arange(count)
    before, unchanged = torch.zeros(count, dtype=torch.bool), 0
    for _ in range(_MOST_ROUNDS):
        claims = availability + scores
        best, place = claims.max(dim=1)
        claims[rows, place] = -torch.inf
        rival = best[:, None].expand(count, count).clone()
        rival[rows, place] = claims.max(dim=1).values
        responsibility.mul_(damping).add_((scores - rival).mul_(1 - damping))
        support = responsibility.clamp(min=0)
        support[rows, rows] = responsibility[rows, rows]
        offer = support.sum(dim=0)[None] - support
        own = offer.diagonal().clone()
        offer.clamp_(max=0)
        offer[rows, rows] = own
        availability.mul_(damping).add_(offer.mul_(1 - damping))
        elected = (availability + responsibility).diagonal() > 0
        unchanged = unchanged + 1 if torch.equal(elected, before) and elected.any() else 0
        before = elected
        if unchanged >= _STABLE_ROUNDS:
            break
    if not before.any():
        # Nobody was elected: the one that speaks best for all.
        return scores.sum(dim=0).argmax()[None]
    return before.nonzero()[:, 0]


def exemplar_layers(
    points: Float[Tensor, "points dim"],
    counts: tuple[int, ...],
    *,
    basis: int,
    damping: float,
    seed: int,
) -> list[Layer]:
    """Return one layer for each of ``counts``, from fine to coarse; none finer than the basis.

    Args:
        points: unit vectors.
        counts: about how many exemplars each layer is to have, falling.
        basis: exemplars are chosen among this many points; the others join the most similar one.
        damping: see `propagate`.
        seed: which points are the basis, and how ties are broken.
    """
    chance = torch.Generator().manual_seed(seed)
    speakers = torch.randperm(len(points), generator=chance)[:basis].sort().values
    masses = torch.ones(len(speakers))
    layers: list[Layer] = []
    for wanted in counts:
        # As many exemplars as speakers would be no layer of its own.
        if wanted >= len(speakers):
            continue
        # Cosine less 1, so that similarities are what affinity propagation expects: distances
        # with a minus, where no partner is better than oneself.
        similarities = points[speakers] @ points[speakers].T - 1
        chosen = _about(similarities, wanted, masses, damping, chance)
        speakers = speakers[chosen]
        assigned = (points @ points[speakers].T).argmax(dim=1)
        masses = torch.bincount(assigned, minlength=len(speakers)).float().clamp(min=1)
        masses = masses / masses.mean()
        layers.append(Layer(speakers, assigned))
    return layers


def _about(
    similarities: Tensor, wanted: int, masses: Tensor, damping: float, chance: torch.Generator
) -> Tensor:
    """Return exemplars, their number as near to ``wanted`` as bisecting the preference gets."""
    noise = torch.randn(similarities.shape, generator=chance)
    similarities = similarities + _JITTER * similarities.std() * noise
    # With the lowest preference one exemplar is best; with the highest, everybody is one.
    low, high = float((similarities * masses[:, None]).sum(dim=0).min()), 0.0
    best: Tensor | None = None
    for _ in range(_SEARCHES):
        preference = -((low * high) ** 0.5) if high < 0 else low / 16
        found = propagate(similarities, preference, damping=damping, masses=masses)
        if best is None or abs(len(found) - wanted) < abs(len(best) - wanted):
            best = found
        if len(found) == wanted:
            break
        if len(found) > wanted:
            high = preference
        else:
            low = preference
    assert best is not None
    return best
