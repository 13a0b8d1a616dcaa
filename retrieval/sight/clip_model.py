"""Encoders of open_clip: loading them, and their towers as forward passes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, Final, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from cache.errors import InputError
from retrieval.sight.encoder_source import EncoderSource

Preprocess = Callable[[Image.Image], Tensor]
Tokenize = Callable[[list[str]], Tensor]

_PRECISION: Final = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
# Most sentences of a post, and most headlines, are no longer than this.
_SHORT_CONTEXT: Final = 32


class ImageTower(Protocol):
    """What the image towers of open_clip share: ResNets, transformers, and those of timm."""

    image_size: int | tuple[int, int]

    def forward_intermediates(
        self, x: Tensor, *, intermediates_only: bool
    ) -> dict[str, list[Tensor]]:
        """Return the maps of all stages as ``image_intermediates``."""
        ...


class Clip(Protocol):
    """What all models of open_clip share."""

    visual: ImageTower

    def encode_image(self, image: Tensor) -> Tensor:
        """Return a vector for each preprocessed image."""
        ...

    def encode_text(self, text: Tensor) -> Tensor:
        """Return a vector for each row of tokens."""
        ...


def load_clip(
    source: EncoderSource, dtype: torch.dtype, device: torch.device
) -> tuple[Clip, Preprocess]:
    """Return a model of open_clip in evaluation mode, and what makes its input of an image.

    Raises:
        InputError: weights and configuration do not belong together.
    """
    with warnings.catch_warnings():
        # What open_clip and timm deprecate among themselves is nothing the user can act on.
        warnings.simplefilter("ignore")
        import open_clip

        try:
            model, _, preprocess = open_clip.create_model_and_transforms(
                source.model,
                pretrained=source.pretrained,
                precision=_PRECISION[dtype],
                device=device,
                weights_only=True,
            )
        except Exception as error:  # open_clip, timm, safetensors and torch raise all kinds
            raise InputError(
                f"cannot load encoder {source.model} with weights {source.pretrained or 'inside'}"
                f": {error}. Check that weights and configuration belong together, or set "
                "observe.encoder=none."
            ) from error
    model.eval()
    return model, preprocess


def load_tokenizer(source: EncoderSource) -> Tokenize:
    """Return what makes rows of tokens of texts.

    Raises:
        InputError: it is not to be had.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import open_clip

        try:
            tokenizer: Tokenize = open_clip.get_tokenizer(source.model)
        except Exception as error:  # some tokenizers are fetched from a hub
            raise InputError(
                f"cannot load the tokenizer of encoder {source.model}: {error}. Use an encoder "
                "with open_clip's own tokenizer (such as ViT-B-32), or a local-dir: that holds it."
            ) from error
    return tokenizer


def image_side(model: Clip) -> int:
    """Return how many pixels of the shorter side of an image a model looks at."""
    size = model.visual.image_size
    return size if isinstance(size, int) else max(size)


def for_short_texts(model: Any, tokenize: Tokenize) -> tuple[int, Any] | None:
    """Return a number of tokens, and ``model`` for texts of no more; None where it has no such.

    In the text tower of CLIP a token sees those before it, and the vector is read at the end of
    the text, so what follows changes nothing: a text of 20 tokens need not be computed as one of
    77. Weights are shared with ``model``.
    """
    import open_clip

    if not (type(model) is open_clip.CLIP and isinstance(tokenize, open_clip.SimpleTokenizer)):
        return None
    mask: Tensor | None = model.attn_mask
    if mask is None or model.text_pool_type != "argmax" or len(mask) <= _SHORT_CONTEXT:
        return None
    short = copy.copy(model)
    places = nn.Parameter(model.positional_embedding[:_SHORT_CONTEXT], requires_grad=False)
    short._parameters = {**model._parameters, "positional_embedding": places}
    mask = mask[:_SHORT_CONTEXT, :_SHORT_CONTEXT]
    short._buffers = {**model._buffers, "attn_mask": mask}
    return _SHORT_CONTEXT, short


def num_tokens(rows: Tensor) -> Tensor:
    """Return how many tokens each of ``rows``, ``[n, context]`` with zeros at the end, has."""
    # Zero is also a token, an exclamation mark, but none that ends a text.
    places = torch.arange(1, rows.shape[1] + 1)
    return ((rows != 0) * places).amax(dim=1)
