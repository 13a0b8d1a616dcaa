"""The seam between the network and a fusion system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from cache.records import FeatureSet
from model.batch import Batch, EvidenceUse
from model.encoders import Beside, TextEncoder
from model.run import FeatureShape


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
        consistency: weight evidence by its consistency with the post.
        cross_stream: items of evidence read each other.
        layers: of the text encoder.
        encoder_heads: attention heads of the text encoder.
        shapes: of the feature sets that the system needs.
    """

    dim: int
    visual_dim: int
    heads: int
    dropout: float
    joint: bool
    match_bonus: float
    consistency: bool = True
    cross_stream: bool = False
    layers: int = 1
    encoder_heads: int = 1
    shapes: Mapping[FeatureSet, FeatureShape] = field(default_factory=dict)


@runtime_checkable
class Encode(Protocol):
    """The text encoder: pieces, mask, segments -> states, all [rows, pieces(, dim)]."""

    def __call__(self, pieces: Tensor, mask: Tensor, segments: Tensor) -> Tensor:
        """Return contextual states."""
        ...


class Fused(NamedTuple):
    """What a system returns.

    Attributes:
        words: [windows, units, dim] fused states; of a mixture those of all experts side by side,
            [windows, units, experts * dim].
        text_weights: [windows, units, texts] attention on each textual item, or None.
        visual_weights: [windows, units, images] the same for visual items, or None.
        consistency: log-odds of each real evidence item that it belongs to the post; or None.
        consistency_target: what ``consistency`` is trained towards; or None.
        gate: [windows, units] share in [0, 1] of what was read that enters the word; None: all.
    """

    words: Tensor
    text_weights: Tensor | None = None
    visual_weights: Tensor | None = None
    consistency: Tensor | None = None
    consistency_target: Tensor | None = None
    gate: Tensor | None = None


class Fusion(nn.Module):
    """A system.

    Attributes:
        evidence: how it reads textual evidence; ``none`` spares the work of preparing any.
        needs: feature sets of the store that it reads.
        experts: 1, or how many experts stand side by side in ``Fused.words``; their predictions
            are mixed by the head.
        tasks: 2 for a system that finds entities and relations by one network.
        pretrained: names of its modules that start from pretrained weights, and are trained at
            the rate of the text encoder.
        stands_beside: whether `beside` gives keys and values to the text encoder.
        weighs_consistency: whether ``model.consistency`` has it learn from another post's evidence
            what does not belong to a post.
    """

    evidence: EvidenceUse = "items"
    needs: tuple[FeatureSet, ...] = ()
    experts: int = 1
    tasks: int = 1
    pretrained: tuple[str, ...] = ()
    stands_beside: bool = False
    weighs_consistency: bool = False

    def __init__(self, size: FusionSize, encoder: TextEncoder) -> None:
        """Start a system; ``encoder`` is the network's, for those that need another like it."""
        super().__init__()

    @property
    def reads_evidence(self) -> bool:
        """Whether it reads retrieved evidence."""
        return self.evidence != "none"

    def beside(self, batch: Batch) -> Beside | None:
        """Return keys and values for every layer of the encoding of ``batch.pieces``, or None."""
        return None

    def forward(self, words: Tensor, batch: Batch, encode: Encode) -> Fused:
        """Return the fused states of ``words`` [windows, units, dim]."""
        raise NotImplementedError
