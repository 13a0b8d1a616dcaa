"""How much the nodes of two graphs are built alike: xNetMF signatures, without any training.

The signature of a node u counts the nodes around it by their degree,
``d_u = sum_{k=1..K} alpha^(k-1) d_u^k``, where ``d_u^k[i]`` is how many nodes at exactly k steps
from u have a degree in [2^i, 2^(i+1)). Two nodes are alike by ``exp(-gamma |d_u - d_v|^2)``
(Heimann et al. 2018, REGAL, equations 1 and 2; their constants).
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_HOPS: Final = 2
_ALPHA: Final = 0.01
_GAMMA: Final = 1.0
# Degrees from 2^7 on count together: no sentence or photo has such nodes more than once or twice.
_BINS: Final = 8


def tree_edges(
    heads: Int[Tensor, "graphs tokens"], mask: Bool[Tensor, "graphs tokens"]
) -> Bool[Tensor, "graphs tokens tokens"]:
    """Return True between each token and its head, both ways; in the padding there are none.

    Args:
        heads: index of each token's head; less than 0 for a root.
        mask: True where a token is real.
    """
    tokens = heads.shape[1]
    inside = mask & (heads >= 0) & (heads < mask.sum(dim=1, keepdim=True))
    places = torch.arange(tokens, device=heads.device)
    to_head = (heads[:, :, None] == places) & inside[:, :, None]
    return without_loops(to_head | to_head.transpose(1, 2))


def without_loops(edges: Bool[Tensor, "graphs nodes nodes"]) -> Bool[Tensor, "graphs nodes nodes"]:
    """Return ``edges`` less those from a node to itself."""
    return edges & ~torch.eye(edges.shape[1], dtype=torch.bool, device=edges.device)


def signatures(edges: Bool[Tensor, "graphs nodes nodes"]) -> Float[Tensor, "graphs nodes bins"]:
    """Return ``d_u`` of every node; zeros for one that has no edge.

    Args:
        edges: symmetric, without loops.
    """
    # Counts are exact in float32; in bfloat16 they would not be.
    with torch.autocast(edges.device.type, enabled=False):
        steps = edges.float()
        degree = steps.sum(dim=2)
        bins = degree.clamp(min=1).log2().floor().long().clamp(max=_BINS - 1)
        by_degree = torch.nn.functional.one_hot(bins, _BINS).float()
        reached = torch.eye(edges.shape[1], dtype=torch.bool, device=edges.device).expand_as(edges)
        frontier, total = reached, torch.zeros_like(by_degree)
        for hop in range(_HOPS):
            frontier = (frontier.float() @ steps > 0) & ~reached
            total = total + _ALPHA**hop * (frontier.float() @ by_degree)
            reached = reached | frontier
        return total


def structural_alignment(
    left: Float[Tensor, "graphs lefts bins"],
    right: Float[Tensor, "graphs rights bins"],
    mask: Bool[Tensor, "graphs rights"],
) -> Float[Tensor, "graphs lefts rights"]:
    """Return how much each left node is like each right one, as shares that sum to 1.

    Args:
        left: signatures.
        right: signatures.
        mask: True where a right node is real; at least one in each graph.
    """
    distance = (left[:, :, None] - right[:, None]).square().sum(dim=-1)
    # exp(-gamma d) over its sum, which may underflow, is a softmax, which may not.
    return (-_GAMMA * distance).masked_fill(~mask[:, None], -torch.inf).softmax(dim=-1)
