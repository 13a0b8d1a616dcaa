"""The two losses of hierarchical exemplar contrast, and what they need beside a network.

Names of the formulas: ``q`` is a view's unit vector from the fast encoder, ``k`` another view's
from the slow one, ``c`` an exemplar, ``tau`` the temperature and ``phi`` a concentration.
He et al., CVPR 2020 (MoCo) for queue and momentum; Li et al., ICLR 2021 (PCL) for concentrations.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

# Clusters far tighter or wider than the rest count as tight or wide as these quantiles.
_TIGHTEST, _WIDEST = 0.1, 0.9


class Queue:
    """Unit vectors of the pairs seen last, oldest overwritten first.

    Attributes:
        vectors: [filled, dim]; None before the first.
        posts: [filled] whose they are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.vectors: Tensor | None = None
        self.posts = torch.zeros(0, dtype=torch.long)

    def push(self, vectors: Float[Tensor, "posts dim"], posts: Int[Tensor, " posts"]) -> None:
        """Add the vectors of ``posts``."""
        joined = vectors if self.vectors is None else torch.cat([self.vectors, vectors])
        self.vectors = joined[-self.size :]
        self.posts = torch.cat([self.posts, posts])[-self.size :]

    def of(self, posts: Int[Tensor, " posts"]) -> Bool[Tensor, "posts filled"]:
        """Return which vectors are of which post: it is not to be told apart from itself."""
        return posts[:, None] == self.posts


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move the slow encoder after the fast one: ``slow = m slow + (1 - m) fast``."""
    for kept, moved in zip(slow.parameters(), fast.parameters(), strict=True):
        kept.lerp_(moved, 1 - momentum)


def instance_loss(
    views: Float[Tensor, "posts dim"],
    partners: Float[Tensor, "posts dim"],
    others: Float[Tensor, "others dim"] | None,
    temperature: float,
    same: Bool[Tensor, "posts others"] | None = None,
) -> Tensor:
    """Return InfoNCE: ``-log exp(q.k/tau) / (exp(q.k/tau) + sum_o exp(q.o/tau))``, the mean.

    Args:
        views: q.
        partners: k, other views of the same posts.
        others: vectors of other posts; None for the other partners of the batch.
        temperature: tau.
        same: True where one of ``others`` is of the post itself after all, and does not count.
    """
    own = (views * partners).sum(dim=1, keepdim=True)
    if others is None:
        logits = views @ partners.T
        target = torch.arange(len(views), device=views.device)
        return nn.functional.cross_entropy(logits / temperature, target)
    logits = torch.cat([own, views @ others.T], dim=1) / temperature
    if same is not None:
        logits[:, 1:] = logits[:, 1:].masked_fill(same, -torch.inf)
    target = torch.zeros(len(views), dtype=torch.long, device=views.device)
    return nn.functional.cross_entropy(logits, target)


def exemplar_loss(
    views: Float[Tensor, "posts dim"],
    exemplars: Float[Tensor, "exemplars dim"],
    assigned: Int[Tensor, " posts"],
    concentration: Float[Tensor, " exemplars"],
    kept: Float[Tensor, " exemplars"] | None = None,
) -> Tensor:
    """Return ``-log exp(q.c_s/phi_s) / sum_j exp(q.c_j/phi_j)``, the mean over posts.

    Args:
        views: q.
        exemplars: c of one layer.
        assigned: s, which exemplar speaks for each post.
        concentration: phi.
        kept: 0 for exemplars that nobody is told apart from this time; all count unless given.
    """
    logits = views @ exemplars.T / concentration
    if kept is not None:
        own = nn.functional.one_hot(assigned, len(exemplars)).bool()
        logits = logits.masked_fill((kept == 0) & ~own, -torch.inf)
    return nn.functional.cross_entropy(logits, assigned)


def concentrations(
    vectors: Float[Tensor, "posts dim"],
    exemplars: Float[Tensor, "exemplars dim"],
    assigned: Int[Tensor, " posts"],
    smoothing: float,
    temperature: float,
) -> Float[Tensor, " exemplars"]:
    """Return ``phi_c = sum_z |z - c| / (Z log(Z + alpha))``, scaled to the mean ``temperature``.

    A small or wide cluster gets a large phi, which pulls less. One that holds its exemplar only
    has no width of its own and takes the largest of the others.

    Args:
        vectors: z.
        exemplars: c.
        assigned: which exemplar speaks for each post.
        smoothing: alpha.
        temperature: the mean afterwards.
    """
    distances = (vectors - exemplars[assigned]).norm(dim=1)
    sums = torch.zeros(len(exemplars)).index_add_(0, assigned, distances)
    sizes = torch.bincount(assigned, minlength=len(exemplars)).float()
    phi = sums / (sizes.clamp(min=1) * (sizes + smoothing).log())
    wide = phi[(sizes > 1) & (phi > 0)]
    if not len(wide):
        return torch.full_like(phi, temperature)
    phi = torch.where((sizes > 1) & (phi > 0), phi, wide.max())
    phi = phi.clamp(float(phi.quantile(_TIGHTEST)), float(phi.quantile(_WIDEST)))
    return phi * (temperature / phi.mean())
