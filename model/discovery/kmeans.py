"""K-means with careful seeding: the baseline, and where other clusterings start from."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_MOST_ROUNDS: Final = 100


class Clustering(NamedTuple):
    """Where clusters lie, and which one each point is in.

    Attributes:
        centres: [clusters, dim].
        assigned: [points] index of the nearest centre.
        inertia: sum of squared distances to it.
    """

    centres: Tensor
    assigned: Tensor
    inertia: float


def k_means(
    points: Float[Tensor, "points dim"], clusters: int, seed: int, starts: int = 10
) -> Clustering:
    """Return the tightest of ``starts`` clusterings (Arthur and Vassilvitskii, 2007; Lloyd, 1982).

    With fewer points than clusters, there are as many clusters as points.
    """
    chance = torch.Generator().manual_seed(seed)
    count = min(clusters, len(points))
    found = [_lloyd(points, _seeded(points, count, chance)) for _ in range(starts)]
    return min(found, key=lambda clustering: clustering.inertia)


def nearest(
    points: Float[Tensor, "points dim"], centres: Float[Tensor, "clusters dim"]
) -> Int[Tensor, " points"]:
    """Return the index of the centre nearest to each point."""
    return torch.cdist(points, centres).argmin(dim=1)


def _seeded(points: Tensor, count: int, chance: torch.Generator) -> Tensor:
    """Return centres drawn one by one, far points more likely (k-means++)."""
    first = int(torch.randint(len(points), (1,), generator=chance))
    chosen = [first]
    far = (points - points[first]).square().sum(dim=1)
    while len(chosen) < count:
        # All points are where a centre is already: any of them will do.
        weights = far if far.sum() > 0 else torch.ones_like(far)
        chosen.append(int(torch.multinomial(weights.cpu(), 1, generator=chance)))
        far = torch.minimum(far, (points - points[chosen[-1]]).square().sum(dim=1))
    return points[chosen]


def _lloyd(points: Tensor, centres: Tensor) -> Clustering:
    assigned = nearest(points, centres)
    for _ in range(_MOST_ROUNDS):
        sums = torch.zeros_like(centres).index_add_(0, assigned, points)
        counts = torch.bincount(assigned, minlength=len(centres))[:, None]
        # An empty cluster stays where it was; it may win points back.
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
        again = nearest(points, centres)
        if torch.equal(again, assigned):
            break
        assigned = again
    inertia = float((points - centres[assigned]).square().sum())
    return Clustering(centres, assigned, inertia)
