"""A network that encodes equal rows of a batch once, for batches that repeat themselves.

Leave-one-out shows the same post many times with nearly the same evidence: the encoder, which is
most of the work, need not read it again each time.
"""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.build import Parts
from model.encoders import Beside, TextEncoder
from model.network import Extractor


class EncodedOnce(TextEncoder):
    """The same encoder, the same states; shares the weights of the one it is made of."""

    def forward(
        self,
        pieces: Int[Tensor, "rows pieces"],
        mask: Bool[Tensor, "rows pieces"],
        segments: Int[Tensor, "rows pieces"],
        beside: Beside | None = None,
    ) -> Float[Tensor, "rows pieces dim"]:
        """Return contextual states as `TextEncoder` does."""
        # What stands beside a row may differ where the row does not.
        if beside is not None:
            return super().forward(pieces, mask, segments, beside)
        rows = torch.stack([pieces, mask.long(), segments], dim=1)
        different, place = torch.unique(rows, dim=0, return_inverse=True)
        pieces, real, segments = different.unbind(dim=1)
        return super().forward(pieces, real.bool(), segments)[place]


def encoded_once(parts: Parts) -> Parts:
    """Return the same network, sharing all weights, for inference on repeated posts."""
    network = parts.network
    encoder = EncodedOnce(network.encoder.backbone)
    copied = Extractor(encoder, network.fusion, network.head)
    return dataclasses.replace(parts, network=copied.train(network.training))
