"""The seam between the network and a fusion system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
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
    """The text encoder; see `model.encoders.TextEncoder.forward`."""

    def __call__(
        self,
        pieces: Int[Tensor, "rows pieces"],
        mask: Bool[Tensor, "rows pieces"],
        segments: Int[Tensor, "rows pieces"],
    ) -> Float[Tensor, "rows pieces dim"]:
        """Return contextual states."""
        ...


class Fused(NamedTuple):
    """What a system returns.

    Attributes:
        words: fused states; of a mixture those of all experts side by side.
        text_weights: attention on each textual item.
        visual_weights: the same for visual items.
        consistency: log-odds of each real evidence item that it belongs to the post.
        consistency_target: what ``consistency`` is trained towards.
        gate: share in [0, 1] of what was read that enters the word; None: all.
    """

    words: Float[Tensor, "windows units dims"]
    text_weights: Float[Tensor, "windows units texts"] | None = None
    visual_weights: Float[Tensor, "windows units images"] | None = None
    consistency: Float[Tensor, " items"] | None = None
    consistency_target: Float[Tensor, " items"] | None = None
    gate: Float[Tensor, "windows units"] | None = None


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

    def forward(
        self, words: Float[Tensor, "windows units dim"], batch: Batch, encode: Encode
    ) -> Fused:
        """Return the fused states of ``words``."""
        raise NotImplementedError
