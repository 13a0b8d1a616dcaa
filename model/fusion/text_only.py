"""The baseline: words as the text encoder left them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from model.batch import Batch
from model.fusion.base import Encode, Fused, Fusion


class TextOnly(Fusion):
    """Reads no evidence and no photo."""

    evidence = "none"

    def forward(
        self, words: Float[Tensor, "windows units dim"], batch: Batch, encode: Encode
    ) -> Fused:
        """Return ``words`` unchanged."""
        return Fused(words)
