"""MEGA: the graph of the words aligned with the graph of the regions, by structure and meaning.

``A = sigmoid(softmax(W_q P (W_k H)^T / sqrt(d)) W_v H)`` is what each region P attends to among
the words H, ``B = R H`` what stands in the sentence where the region stands in the photo: R says
how much the nodes of the two graphs are built alike (`model.fusion.graph_alignment`). Both go
through ``W [A; B]``, over all regions, and through a gate into the words; the head finds them
there: a relation in its two mentions, entities in every word. A post without regions passes
unchanged, to the bit.

Zheng et al., ACM MM 2021. What the original has and this has not: ten objects of a scene-graph
model whose code was not released (here: the store's regions, joined where they overlap); R
computed beforehand by a program of its own, its five best words of each object, not normalised
(here: all words, summing to 1); attention on padding; a sum over objects (here: the mean, so that
posts with many regions do not shout); relations alone, by ``W [h_head; h_tail; y]``. Regions
direct the reading and are not read: what enters the words is made of words, as in the original.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cache.errors import InputError
from cache.region_graph import REGION_RELATIONS
from model.batch import Batch
from model.encoders import TextEncoder
from model.fusion.base import Encode, Fused, Fusion, FusionSize
from model.fusion.graph_alignment import (
    signatures,
    structural_alignment,
    tree_edges,
    without_loops,
)

_OVERLAPS: Final = 1 << REGION_RELATIONS.index("overlaps")
_GATE_AT_START: Final = -1.0


class Mega(Fusion):
    """Structural and semantic alignment of words and regions."""

    evidence = "none"
    needs = ("parse", "region_graph")

    def __init__(self, size: FusionSize, encoder: TextEncoder) -> None:
        super().__init__(size, encoder)
        if not size.visual_dim:
            raise InputError(
                "the fusion system 'mega' reads vectors of regions, but the store has no image "
                "embeddings. Build it with observe.encoder set to a model, or take another system."
            )
        dim = size.dim
        self.regions = nn.Sequential(nn.Linear(size.visual_dim, dim), nn.LayerNorm(dim))
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)
        self.aligned = nn.Linear(2 * dim, dim)
        self.gate = nn.Linear(2 * dim, dim)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, _GATE_AT_START)
        self.dropout = nn.Dropout(size.dropout)

    def forward(
        self, words: Float[Tensor, "windows units dim"], batch: Batch, encode: Encode
    ) -> Fused:
        """Return words with what the post's regions aligned to; unchanged where there are none."""
        if not batch.region_mask.any():
            return Fused(words)
        # A region looks at the whole post, however many windows that is.
        units = words.flatten(0, 1)[batch.joined]
        apart = self._by_meaning(units, batch), self._by_structure(units, batch)
        each = self.aligned(torch.cat(apart, dim=-1)).float()
        present = batch.region_mask[..., None]
        mean = (each * present).sum(dim=1) / present.sum(dim=1).clamp(min=1)
        read = mean[batch.owner][:, None].expand_as(words)
        gate = torch.sigmoid(self.gate(torch.cat([words, read], dim=-1)).float())
        # Of a post without regions the mean is 0, which adds nothing.
        return Fused(words + self.dropout(gate * read), gate=gate.mean(dim=-1))

    def _by_meaning(
        self, units: Float[Tensor, "posts words dim"], batch: Batch
    ) -> Float[Tensor, "posts regions dim"]:
        """Return ``A``: what each region attends to among the words of its post."""
        query = self.query(self.regions(batch.regions))
        logits = (query @ self.key(units).transpose(1, 2)).float() / math.sqrt(query.shape[-1])
        weights = logits.masked_fill(~batch.joined_mask[:, None], -torch.inf).softmax(dim=-1)
        attended: Tensor = (weights @ self.value(units).float()).float()
        return attended.sigmoid()

    @staticmethod
    def _by_structure(
        units: Float[Tensor, "posts words dim"], batch: Batch
    ) -> Float[Tensor, "posts regions dim"]:
        """Return ``B = R H``: the words that stand in their graph as each region does in its."""
        shares = structural_alignment(
            region_signatures(batch), unit_signatures(batch), batch.joined_mask
        )
        return (shares @ units).float()


def unit_signatures(batch: Batch) -> Float[Tensor, "posts words bins"]:
    """Return the signature of the token of each unit in the dependency tree of its post."""
    parse = batch.arrays["parse"]
    # A row per unit at least, so that the tokens of a post without a parse are there too.
    room = max(batch.joined.shape[1] - parse.mask.shape[1], 0)
    heads = nn.functional.pad(parse.values.long().view_as(parse.mask), (0, room), value=-1)
    found = signatures(tree_edges(heads, nn.functional.pad(parse.mask, (0, room))))
    token = token_of_unit(batch)
    return found.gather(1, token[..., None].expand(*token.shape, found.shape[-1]))


def token_of_unit(batch: Batch) -> Int[Tensor, "posts words"]:
    """Return the token of each unit; of a marker the token that it opens or closes."""
    token = batch.unit_token.flatten()[batch.joined]
    is_token = (token >= 0) & batch.joined_mask
    before = is_token.cumsum(dim=1) - is_token.long()
    place = torch.arange(token.shape[1], device=token.device)
    opens = (place == batch.head_unit[:, None]) | (place == batch.tail_unit[:, None])
    of_marker = torch.where(opens, before, before - 1)
    return torch.where(is_token, token, of_marker).masked_fill(~batch.joined_mask, 0)


def region_signatures(batch: Batch) -> Float[Tensor, "posts regions bins"]:
    """Return the signature of each region that has a vector, in the graph of what overlaps."""
    graph = batch.arrays["region_graph"]
    size, device = graph.mask.shape[1], graph.mask.device
    # Of a batch without any graph not even the second axis is known.
    relations = graph.values.long() if size else graph.mask.new_zeros(len(graph.mask), 0, 0).long()
    overlap = (relations & _OVERLAPS) != 0
    found = signatures(without_loops(overlap | overlap.transpose(1, 2)))
    # The graph is of all regions; one row more stands for a region that is not in it.
    found = nn.functional.pad(found, (0, 0, 0, 1))
    rows = torch.full(batch.region_mask.shape, size)
    for row, post in zip(rows, batch.posts, strict=True):
        row[: len(post.region_indices)] = torch.tensor(post.region_indices)
    rows = rows.clamp(max=size).to(device)
    return found.gather(1, rows[..., None].expand(*rows.shape, found.shape[-1]))
