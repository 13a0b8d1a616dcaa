"""Attention of a text encoder over its own pieces and over what stands beside them.

A visual prefix (HVPNeT) and a second encoder that runs along (IFAformer) are the same thing to a
text layer: more keys and values. They are given through transformers' attention interface, so
that no layer of an encoder has to be written again.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import transformers
from torch import Tensor, nn
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from cache.errors import InputError

_NAME: Final = "ramie_beside"


def attend_beside(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    beside: Any = None,
    beside_mask: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return softmax attention [rows, pieces, heads, dim of a head] over what is beside, and text.

    One softmax over both, computed as two that are merged by the mass that each has: where nothing
    stands beside a row, the other gets none, and the row is that of plain attention to the bit.

    Args:
        module: the attention of one layer; its ``layer_idx`` says which.
        query: [rows, heads, pieces, dim of a head]; so are ``key`` and ``value``.
        key: of the text.
        value: of the text.
        attention_mask: [rows, 1, pieces or 1, pieces], added to the logits.
        scaling: of the logits.
        dropout: of the attention weights.
        beside: a `model.encoders.Beside`, or None for plain attention.
        beside_mask: [rows, pieces] True where a piece of the text is real.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    logits = query @ key.transpose(-1, -2) * scale
    if attention_mask is not None:
        logits = logits + attention_mask
    drop = dropout if module.training else 0.0
    read = _read(logits, value, drop)
    if beside is not None:
        extra = beside(module.layer_idx, key, value, beside_mask)
        seen = query @ extra.keys.to(query.dtype).transpose(-1, -2) * scale
        absent = ~extra.present[:, None, None, :]
        seen = seen.float().masked_fill(absent, torch.finfo(torch.float32).min)
        mass = seen.logsumexp(dim=-1) - logits.float().logsumexp(dim=-1)
        read_beside = _read(seen, extra.values.to(value.dtype), drop)
        merged = read + mass.sigmoid()[..., None] * (read_beside - read)
        read = merged.to(value.dtype)
    return read.transpose(1, 2).contiguous(), None


def _read(logits: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Return the values [..., pieces, dim of a head], weighted by the softmax of the logits."""
    weights = logits.float().softmax(dim=-1).to(value.dtype)
    return nn.functional.dropout(weights, dropout) @ value


def use_attention_beside(encoder: Any) -> None:
    """Have every layer of a `model.encoders.TextEncoder` attend by `attend_beside`.

    Raises:
        InputError: the encoder's layers do not go through transformers' attention interface.
    """
    backbone = encoder.backbone
    if backbone.config._attn_implementation == _NAME:
        return
    numbered = {
        module.layer_idx
        for module in backbone.modules()
        if isinstance(getattr(module, "layer_idx", None), int)
    }
    if numbered == set(range(backbone.config.num_hidden_layers)):
        backbone.set_attn_implementation(_NAME)
    # An encoder that cannot be set only warns, and would ignore what stands beside.
    if backbone.config._attn_implementation != _NAME:
        raise InputError(
            f"the text encoder {backbone.config.model_type!r} does not let keys and values stand "
            "beside its own; use a BERT or RoBERTa encoder, or another fusion system."
        )


transformers.AttentionInterface.register(_NAME, attend_beside)
AttentionMaskInterface.register(_NAME, eager_mask)
