"""HVPNeT: a visual prefix in every layer of the text encoder.

The photo and each of its regions are views; a view has features of several stages of an image
tower (its pyramid), pooled to a few positions. Each stage is projected to keys and values of the
text encoder, ``c_i = W2_i tanh(W1_i LN(f_i))``. Text layer ``l`` mixes the stages of a view by a
gate of its own, ``g^l = softmax(LeakyReLU(W_l [mean_i c_i]))``, ``kv^l = sum_i g^l_i c_i``; the
positions of all views then stand before the pieces of the text as keys and values.

Chen et al., Findings of NAACL 2022. Their code does otherwise, and here it is as the paper means:
it projects all stages together and cuts the result in four, so that a gate does not choose between
stages; it cuts a prefix token from 960 channels of all positions instead of one position; it
splits heads without moving their axis, so that each head gets other positions; it shows an image
of zeros for a region that is not there; and it keeps the classifier out of the optimizer. Ours are
the normalisation of features, whose scale depends on the tower, a bottleneck as wide as the text
encoder (theirs: 800 for 768), and any number of regions (theirs: three).
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cache.errors import InputError
from model.batch import Batch, Stacked
from model.encoders import Beside, KeysValues, TextEncoder
from model.fusion.base import Encode, Fused, Fusion, FusionSize
from model.fusion.reading import by_head

_SLOPE: Final = 0.01  # of LeakyReLU below zero; torch's default, as in theirs


class HVPNeT(Fusion):
    """Words as the text encoder left them, which has seen photo and regions in every layer."""

    evidence = "none"
    needs = ("pyramid",)
    stands_beside = True

    def __init__(self, size: FusionSize, encoder: TextEncoder) -> None:
        """Start with random projections.

        Raises:
            InputError: the store has no pyramid of any photo.
        """
        super().__init__(size, encoder)
        shape = size.shapes["pyramid"]
        if not (shape.stages and shape.dims):
            raise InputError(
                "the fusion system 'hvpnet' reads photos, but the store has a pyramid of none. "
                "Build the store of posts with photos, or set model.fusion to text_only."
            )
        self.channels = list(shape.stages)
        self.heads = size.encoder_heads
        self.stages = nn.ModuleList(_stage(channels, size.dim) for channels in shape.stages)
        summary = shape.dims[0] * 2 * size.dim
        self.gates = nn.ModuleList(
            nn.Linear(summary, len(shape.stages)) for _ in range(size.layers)
        )

    def beside(self, batch: Batch) -> Beside | None:
        """Return the prefix of every layer; None where no post has a photo."""
        pyramid: Stacked = batch.arrays["pyramid"]
        if not pyramid.mask.any():
            return None
        parts = torch.split(pyramid.values, self.channels, dim=-1)
        projected = [stage(part) for stage, part in zip(self.stages, parts, strict=True)]
        return _Prefix(
            torch.stack(projected, dim=2), pyramid.mask, batch.owner, self.gates, self.heads
        )

    def forward(
        self, words: Float[Tensor, "windows units dim"], batch: Batch, encode: Encode
    ) -> Fused:
        """Return ``words`` unchanged: they have seen the prefix already."""
        return Fused(words)


class _Prefix:
    """Keys and values of photo and regions, mixed anew for every layer."""

    def __init__(
        self,
        stages: Float[Tensor, "posts views stages positions keys_values"],
        views: Tensor,
        owner: Tensor,
        gates: nn.ModuleList,
        heads: int,
    ) -> None:
        """Keep what every layer is mixed of.

        Args:
            stages: keys, then values, of each position of a view.
            views: [posts, views] True where there is one.
            owner: [rows] which post a row of the text is of.
            gates: one per layer.
            heads: of the text encoder.
        """
        self.stages, self.owner, self.gates, self.heads = stages, owner, gates, heads
        self.summary = stages.mean(dim=2).flatten(2)
        self.present = views.repeat_interleave(stages.shape[3], dim=1)[owner]

    def __call__(self, layer: int, keys: Tensor, values: Tensor, mask: Tensor) -> KeysValues:
        """Return the prefix of ``layer``; it does not depend on the text."""
        scores = nn.functional.leaky_relu(self.gates[layer](self.summary).float(), _SLOPE)
        gate = scores.softmax(dim=-1)[..., None, None]
        mixed = (gate * self.stages).sum(dim=2).flatten(1, 2)[self.owner]
        mixed_keys, mixed_values = by_head(mixed, 2 * self.heads).transpose(1, 2).chunk(2, dim=1)
        return KeysValues(mixed_keys, mixed_values, self.present)


def _stage(channels: int, dim: int) -> nn.Module:
    """Return the projection of one stage to keys and values."""
    return nn.Sequential(
        nn.LayerNorm(channels), nn.Linear(channels, dim), nn.Tanh(), nn.Linear(dim, 2 * dim)
    )
