"""MoRe: retrieved texts as context of the post, read by one expert per retriever.

Each expert encodes ``[CLS] x [SEP] t_1 [SEP] ... t_k [SEP]`` and keeps the states of the post's
words: the text expert with what the sentence found, the image expert with what the photo and its
regions found. The head mixes what the two hold for probable (`model.mixture`).

Wang et al., Findings of EMNLP 2022. Theirs reads titles and introductions for the whole photo;
here the image expert also reads what regions found: every system is given the same evidence.
Neither sees the photo itself, nor retrieved images.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from model.batch import Batch
from model.encoders import TextEncoder
from model.evidence_rows import NUM_EXPERTS
from model.fusion.base import Encode, Fused, Fusion, FusionSize


class MoRe(Fusion):
    """Two experts side by side; each has an encoder of its own."""

    evidence = "context"
    experts = NUM_EXPERTS
    pretrained = ("image_encoder",)

    def __init__(self, size: FusionSize, encoder: TextEncoder) -> None:
        super().__init__(size, encoder)
        self.dim = size.dim
        self.image_encoder = copy.deepcopy(encoder)

    def forward(
        self, words: Float[Tensor, "windows units dim"], batch: Batch, encode: Encode
    ) -> Fused:
        """Return [windows, units, 2 * dim]: the words as text and image expert read them."""
        # The text expert reads with the encoder of the network, so without texts of its own it
        # leaves the words as they are; the image expert reads every window by itself.
        both = torch.cat([words, torch.zeros_like(words)], dim=-1)
        for group in batch.groups:
            # All rows of a group belong to one expert.
            expert = int(group.slot[0])
            encoder = self.image_encoder if expert else encode
            states = encoder(group.pieces, group.mask, group.segments)
            starts = batch.starts[group.window]
            read = states.gather(1, starts[..., None].expand(*starts.shape, self.dim))
            part = slice(expert * self.dim, (expert + 1) * self.dim)
            both[group.window, :, part] = read
        return Fused(both)
