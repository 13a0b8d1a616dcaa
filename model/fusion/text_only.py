"""The baseline: words as the text encoder left them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from model.batch import Batch
from model.fusion.base import Encode, Fused, Fusion, FusionSize


class TextOnly(Fusion):
    """Reads no evidence and no photo."""

    reads_evidence = False

    def __init__(self, size: FusionSize) -> None:
        super().__init__()

    def forward(
        self, words: Float[Tensor, "windows units dim"], batch: Batch, encode: Encode
    ) -> Fused:
        """Return ``words`` unchanged."""
        return Fused(words)
