"""Reasoning across streams: items of evidence read each other before words select among them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from model.fusion.reading import by_head


class CrossStream(nn.Module):
    """One layer of attention between all items of a post: texts, images, photo and regions.

    ``c_i = W_o concat_h sum_j softmax_j(q_i^h . k_j^h / sqrt(dim / heads) + b_j) v_j^h``, with
    ``q, k, v`` linear in the normalised items and ``b_j`` the belief in item ``j``: what does not
    belong to the post tells the others little. ``j`` runs over all items of the post. ``W_o``
    starts at zero, so that a training starts with items that do not know of each other.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query, self.key, self.value = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.out = nn.Linear(dim, dim, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(
        self,
        items: Float[Tensor, "windows items dim"],
        belief: Float[Tensor, "windows items"],
        mask: Bool[Tensor, "windows items"],
    ) -> Float[Tensor, "windows items dim"]:
        """Return what each item learns from all of them; zeros where ``mask`` is False."""
        items = self.norm(items)
        query, key, value = (
            by_head(make(items), self.heads).transpose(1, 2)
            for make in (self.query, self.key, self.value)
        )
        # Padding sees itself, for it would have nothing to attend to.
        itself = torch.eye(items.shape[1], dtype=torch.bool, device=items.device)
        bias = belief[:, None, :].masked_fill(~(mask[:, None, :] | itself), -torch.inf)
        read = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias[:, None].to(query.dtype)
        )
        learned: Tensor = self.out(read.transpose(1, 2).flatten(2)).float()
        return learned * mask[..., None]
