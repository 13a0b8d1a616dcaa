"""The seam between the network and a fusion system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from model.batch import Batch


@dataclass(frozen=True, slots=True)
class FusionSize:
    """What a system must know of its surroundings.

    Attributes:
        dim: of word states.
        visual_dim: of image embeddings; 0 where the store has none.
        heads: of attention.
        dropout: of what was read.
        joint: evidence texts are encoded together with the post.
        match_bonus: see `ModelSettings`.
    """

    dim: int
    visual_dim: int
    heads: int
    dropout: float
    joint: bool
    match_bonus: float


@runtime_checkable
class Encode(Protocol):
    """The text encoder: pieces, mask, segments -> states, all [rows, pieces(, dim)]."""

    def __call__(self, pieces: Tensor, mask: Tensor, segments: Tensor) -> Tensor:
        """Return contextual states."""
        ...


class Fused(NamedTuple):
    """What a system returns.

    Attributes:
        words: [windows, units, dim] fused states.
        text_weights: [windows, units, texts] attention on each textual item, or None.
        visual_weights: [windows, units, images] the same for visual items, or None.
        consistency: log-odds of each real evidence item that it belongs to the post; or None.
        consistency_target: what ``consistency`` is trained towards; or None.
    """

    words: Tensor
    text_weights: Tensor | None = None
    visual_weights: Tensor | None = None
    consistency: Tensor | None = None
    consistency_target: Tensor | None = None


class Fusion(nn.Module):
    """A system. ``reads_evidence`` False spares the work of preparing evidence for it."""

    reads_evidence: bool = True

    def forward(self, words: Tensor, batch: Batch, encode: Encode) -> Fused:
        """Return the fused states of ``words`` [windows, units, dim]."""
        raise NotImplementedError
