"""The whole network: text encoder, fusion system, head."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.batch import Batch
from model.encoders import TextEncoder
from model.fusion.base import Fused, Fusion
from model.heads import EntityHead, RelationHead
from model.joint_head import JointHead
from model.mixture import EntityMixture, RelationMixture

Head = EntityHead | RelationHead | EntityMixture | RelationMixture


class Reading(NamedTuple):
    """Fused words of the posts, with the windows of a post behind each other.

    Attributes:
        words: [posts, words, dim]; of a mixture [posts, words, experts * dim].
        fused: what the fusion system returned, still by window.
    """

    words: Tensor
    fused: Fused


class Losses(NamedTuple):
    """What training lowers.

    Attributes:
        task: mean over the posts.
        consistency: mean over the evidence items that were judged; None where there are none.
        judged: how many those are.
    """

    task: Tensor
    consistency: Tensor | None
    judged: int = 0


class Extractor(nn.Module):
    """Reads a batch; ``head`` decides whether entities or relations come out."""

    def __init__(self, encoder: TextEncoder, fusion: Fusion, head: Head | JointHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.fusion = fusion
        self.head = head

    def read(self, batch: Batch) -> Reading:
        """Return fused words."""
        segments = torch.zeros_like(batch.pieces)
        states = self.encoder(batch.pieces, batch.mask, segments, self.fusion.beside(batch))
        starts = batch.starts[..., None].expand(*batch.starts.shape, states.shape[-1])
        fused: Fused = self.fusion(states.gather(1, starts), batch, self.encoder)
        return Reading(fused.words.flatten(0, 1)[batch.joined], fused)

    def forward(self, batch: Batch) -> Losses:
        """Return the losses of an annotated batch."""
        reading = self.read(batch)
        odds, target = reading.fused.consistency, reading.fused.consistency_target
        consistency, judged = None, 0
        if odds is not None and target is not None:
            consistency = nn.functional.binary_cross_entropy_with_logits(odds, target)
            judged = len(odds)
        return Losses(self.head.loss(reading.words, batch), consistency, judged)
