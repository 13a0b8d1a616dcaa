"""Items of evidence, and the post's own views, as `synthesis` selects among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cache.records import LEVELS, MODALITIES, STREAMS

# Stream numbers, then the post's own photo and regions (model.collate).
_LEVEL_OF: Final = [LEVELS.index(level) for level, _ in STREAMS] + [0, 1]
_MODALITY_OF: Final = [MODALITIES.index(modality) for _, modality in STREAMS] + [1, 1]
_ORIGIN_OF: Final = [0] * len(STREAMS) + [1, 1]


@dataclass(frozen=True, slots=True)
class Items:
    """Items of one modality, ready for selection.

    Attributes:
        logits: from words.
        values: what a word reads; images say the same to every word, and have one unit.
        summary: for visual queries, and for other items.
        key: by which a word knows where an item comes from.
        odds: log-odds of consistency.
        prior: log of the store's consistency.
        judged: True where ``odds`` is of a real evidence item.
        mask: True where the item is real.
        stream: index into ``STREAMS``; 6 for the photo, 7 for regions.
    """

    logits: Float[Tensor, "windows heads units items"]
    values: Float[Tensor, "windows _units items dim"]
    summary: Float[Tensor, "windows items dim"]
    key: Float[Tensor, "windows items dim"]
    odds: Float[Tensor, "windows items"]
    prior: Float[Tensor, "windows items"]
    judged: Bool[Tensor, "windows items"]
    mask: Bool[Tensor, "windows items"]
    stream: Int[Tensor, "windows items"]


class StreamEmbedding(nn.Module):
    """Level, modality and origin (retrieved, or the post's own) of an item as one vector."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        sizes = (len(LEVELS), len(MODALITIES), 2)
        self.level, self.modality, self.origin = (nn.Embedding(size, dim) for size in sizes)
        for table in (self.level, self.modality, self.origin):
            nn.init.normal_(table.weight, std=0.02)
        self.parts: Tensor
        parts = torch.tensor([_LEVEL_OF, _MODALITY_OF, _ORIGIN_OF])
        self.register_buffer("parts", parts, persistent=False)

    def forward(self, stream: Int[Tensor, "*items"]) -> Float[Tensor, "*items dim"]:
        """Return a vector for each stream number."""
        level, modality, origin = self.parts[:, stream]
        total: Tensor = self.level(level) + self.modality(modality) + self.origin(origin)
        return total
