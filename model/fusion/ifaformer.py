"""IFAformer: a vision encoder beside the text encoder; in every layer, each sees the other.

At layer ``l`` the text attends to ``[K, V of the vision stream at l; K, V of the text]``, and the
vision stream to ``[K, V of the text at l; K, V of the vision stream]``: both are brought into one
space without a loss that says how (implicit feature alignment). Of the last vision layer only keys
and values are needed, for nobody reads what would come after it.

Li et al., AAAI 2023 (student abstract), and DeepKE's example. Theirs gives the text visual *keys*
as values, ignores the whole photo, and reads test photos from the folder of training. Two things
are simplified: the vision stream is not CLIP's pretrained layers over pixels, but layers of the
text encoder's size, from random weights, over the stored grid of the photo; and a region is its
stored vector, where theirs is the patches of a crop.
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cache.errors import InputError
from model.batch import Batch
from model.encoders import Beside, KeysValues, TextEncoder
from model.fusion.base import Encode, Fused, Fusion, FusionSize
from model.fusion.reading import by_head

# Positions of a grid that can be told apart: 32 x 32, a large photo in patches of 32 pixels.
_MAX_POSITIONS: Final = 1024
_STD: Final = 0.02  # of embeddings at the start, as in BERT and CLIP


class IFAformer(Fusion):
    """Words as the text encoder left them, which has seen the vision stream in every layer."""

    evidence = "none"
    needs = ("grid",)
    stands_beside = True

    def __init__(self, size: FusionSize, encoder: TextEncoder) -> None:
        """Start a vision stream of as many layers as the text encoder has.

        Raises:
            InputError: the store has no grid of any photo.
        """
        super().__init__(size, encoder)
        shape = size.shapes["grid"]
        if not shape.dims:
            raise InputError(
                "the fusion system 'ifaformer' reads photos, but the store has a grid of none. "
                "Build the store of posts with photos, or set model.fusion to text_only."
            )
        dim = size.dim
        self.patch = nn.Linear(shape.dims[0], dim)
        self.position = nn.Embedding(_MAX_POSITIONS, dim)
        nn.init.normal_(self.position.weight, std=_STD)
        self.sees_regions = size.visual_dim > 0
        if self.sees_regions:
            # The biases of the two projections say which of the two a token is.
            self.region = nn.Linear(size.visual_dim, dim)
        self.norm = nn.LayerNorm(dim)
        inner = int(getattr(encoder.config, "intermediate_size", 4 * dim))
        last = size.layers - 1
        self.layers = nn.ModuleList(
            VisionLayer(dim, inner, size.encoder_heads, size.dropout, last=layer == last)
            for layer in range(size.layers)
        )

    def beside(self, batch: Batch) -> Beside | None:
        """Return the vision stream of the batch; None where no post has anything to see.

        Raises:
            InputError: a grid has more positions than can be told apart.
        """
        grid = batch.arrays["grid"]
        tokens, present = [], []
        if grid.mask.any():
            tokens.append(self.patch(grid.values) + self._places(grid.values.shape[1]))
            present.append(grid.mask)
        if self.sees_regions and batch.region_mask.any():
            tokens.append(self.region(batch.regions))
            present.append(batch.region_mask)
        if not tokens:
            return None
        states = self.norm(torch.cat(tokens, dim=1).float())
        seen = torch.cat(present, dim=1)
        return _VisionStream(self.layers, states[batch.owner], seen[batch.owner])

    def forward(
        self, words: Float[Tensor, "windows units dim"], batch: Batch, encode: Encode
    ) -> Fused:
        """Return ``words`` unchanged: they have seen the vision stream already."""
        return Fused(words)

    def _places(self, count: int) -> Tensor:
        if count > _MAX_POSITIONS:
            raise InputError(
                f"a grid of {count} positions is more than the {_MAX_POSITIONS} that ifaformer "
                "can tell apart; build the store with an encoder of larger patches."
            )
        return self.position.weight[:count]


class VisionLayer(nn.Module):
    """One layer of the vision stream, normalised before each part as in CLIP."""

    def __init__(self, dim: int, inner: int, heads: int, dropout: float, *, last: bool) -> None:
        """Start a layer with random weights.

        Args:
            dim: of states.
            inner: of the feed-forward part.
            heads: of the text encoder, because keys and values are shared with it.
            dropout: of what each part adds.
            last: nothing comes after it, so it has keys and values only.
        """
        super().__init__()
        self.heads, self.last = heads, last
        self.norm = nn.LayerNorm(dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        if not last:
            self.query = nn.Linear(dim, dim)
            self.out = nn.Linear(dim, dim)
            self.feed = nn.Sequential(
                nn.LayerNorm(dim), nn.Linear(dim, inner), nn.GELU(), nn.Linear(inner, dim)
            )
            self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        states: Float[Tensor, "rows seen dim"],
        present: Bool[Tensor, "rows seen"],
        text: KeysValues,
    ) -> tuple[KeysValues, Float[Tensor, "rows seen dim"] | None]:
        """Return what the text attends to, and the next layer's input (None of the last layer).

        Args:
            states: the layer's input.
            present: True where there is something.
            text: keys and values of the text in the same layer; some in each row are present.
        """
        normal = self.norm(states)
        own = KeysValues(self._split(self.key(normal)), self._split(self.value(normal)), present)
        if self.last:
            return own, None
        keys, values = (torch.cat([text[i], own[i].to(text[i].dtype)], dim=2) for i in (0, 1))
        read = nn.functional.scaled_dot_product_attention(
            self._split(self.query(normal)).to(keys.dtype),
            keys,
            values,
            attn_mask=torch.cat([text.present, present], dim=1)[:, None, None, :],
        )
        states = states + self.dropout(self.out(read.transpose(1, 2).flatten(2)))
        return own, states + self.dropout(self.feed(states))

    def _split(self, states: Tensor) -> Tensor:
        """Return [rows, heads, items, dim of a head]."""
        return by_head(states, self.heads).transpose(1, 2)


class _VisionStream:
    """The vision stream beside one encoding of the text: each layer asks for its turn."""

    def __init__(self, layers: nn.ModuleList, states: Tensor, present: Tensor) -> None:
        """Start before the first layer.

        Args:
            layers: one `VisionLayer` per layer of the text encoder.
            states: [rows, seen, dim] of grid positions and regions.
            present: [rows, seen] True where there is one.
        """
        self.layers, self.present = layers, present
        # Input of each layer. None is overwritten: with checkpointing, a layer of the text asks a
        # second time in the backward pass, and must be given what it was given before.
        self.inputs = [states]

    def __call__(self, layer: int, keys: Tensor, values: Tensor, mask: Tensor) -> KeysValues:
        """Return keys and values of vision layer ``layer``, and take the stream past it."""
        text = KeysValues(keys, values, mask)
        own, after = self.layers[layer](self.inputs[layer], self.present, text)
        if after is not None and len(self.inputs) == layer + 1:
            self.inputs.append(after)
        seen: KeysValues = own
        return seen
