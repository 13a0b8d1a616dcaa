"""A BERT for one row, by the equations: loops over layers, pieces and heads, nothing shared."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Layer, then keys and values of the text [pieces, dim]; returns those beside it [extra, dim].
SlowBeside = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


def slow_attention(query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Return what one query [dim] reads of keys and values [items, dim], head by head."""
    size = len(query) // heads
    read = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        logits = torch.stack([query[part] @ key[part] for key in keys]) / math.sqrt(size)
        weights = logits.softmax(dim=0)
        read.append(sum(w * value[part] for w, value in zip(weights, values, strict=True)))
    return torch.cat([torch.as_tensor(part) for part in read])


@torch.no_grad()
def slow_bert(backbone: Any, pieces: Tensor, beside: SlowBeside | None = None) -> Tensor:
    """Return the states [pieces, dim] of one row without padding."""
    config = backbone.config
    tables = backbone.embeddings
    states = torch.stack(
        [
            tables.word_embeddings.weight[piece]
            + tables.position_embeddings.weight[place]
            + tables.token_type_embeddings.weight[0]
            for place, piece in enumerate(pieces.tolist())
        ]
    )
    states = tables.LayerNorm(states)
    for number, layer in enumerate(backbone.encoder.layer):
        own = layer.attention.self
        keys, values = own.key(states), own.value(states)
        all_keys, all_values = keys, values
        if beside is not None:
            extra_keys, extra_values = beside(number, keys, values)
            all_keys, all_values = torch.cat([extra_keys, keys]), torch.cat([extra_values, values])
        rows = []
        for state in states:
            read = slow_attention(
                own.query(state), all_keys, all_values, config.num_attention_heads
            )
            attended = layer.attention.output.LayerNorm(state + layer.attention.output.dense(read))
            inner = nn.functional.gelu(layer.intermediate.dense(attended))
            rows.append(layer.output.LayerNorm(attended + layer.output.dense(inner)))
        states = torch.stack(rows)
    return states
