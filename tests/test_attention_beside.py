"""Keys and values beside those of the text, against attention by loops."""

from __future__ import annotations

import pytest
import torch
import transformers
from model_helpers import tiny_encoder
from slow_bert import slow_attention, slow_bert
from torch import Tensor, nn

from cache.errors import InputError
from model.attention import attend_beside
from model.encoders import Beside, KeysValues, TextEncoder, load_pretrained, suit_device

ROWS, HEADS, PIECES, HEAD, EXTRA = 3, 2, 5, 4, 3


class Fixed:
    """The same keys and values in every layer; remembers who asked."""

    def __init__(self, heads: int, head: int, present: Tensor, seed: int = 0) -> None:
        chance = torch.Generator().manual_seed(seed)
        shape = (len(present), heads, present.shape[1], head)
        self.keys = torch.randn(shape, generator=chance)
        self.values = torch.randn(shape, generator=chance)
        self.present = present
        self.asked: list[tuple[int, Tensor, Tensor, Tensor]] = []

    def __call__(self, layer: int, keys: Tensor, values: Tensor, mask: Tensor) -> KeysValues:
        self.asked.append((layer, keys, values, mask))
        return KeysValues(self.keys, self.values, self.present)


class OneLayer(nn.Module):
    layer_idx = 0


def drawn() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return query, key, value, and an additive mask that hides the last pieces of row 1."""
    chance = torch.Generator().manual_seed(3)
    query, key, value = torch.randn(3, ROWS, HEADS, PIECES, HEAD, generator=chance)
    mask = torch.zeros(ROWS, 1, 1, PIECES)
    mask[1, ..., 3:] = torch.finfo(torch.float32).min
    return query, key, value, mask


def joined(states: Tensor) -> Tensor:
    """Return [heads, items, head] as [items, dim]."""
    return states.transpose(0, 1).flatten(1)


def test_it_is_one_softmax_over_what_stands_beside_and_the_text() -> None:
    query, key, value, mask = drawn()
    present = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    beside = Fixed(HEADS, HEAD, present)

    read, _ = attend_beside(OneLayer().eval(), query, key, value, mask, beside=beside)

    for row in range(ROWS):
        text = mask[row, 0, 0] == 0
        keys = torch.cat([joined(beside.keys[row])[present[row]], joined(key[row])[text]])
        values = torch.cat([joined(beside.values[row])[present[row]], joined(value[row])[text]])
        for piece in range(PIECES):
            expected = slow_attention(joined(query[row])[piece], keys, values, HEADS)
            torch.testing.assert_close(read[row, piece].flatten(), expected)


def test_a_row_with_nothing_beside_it_reads_as_if_there_were_no_other_rows_to_the_bit() -> None:
    query, key, value, mask = drawn()
    present = torch.tensor([[True] * EXTRA, [False] * EXTRA, [True] * EXTRA])
    beside = Fixed(HEADS, HEAD, present)
    beside.keys[1] *= 1e4  # what stands in the padding means nothing

    read, _ = attend_beside(OneLayer().eval(), query, key, value, mask, beside=beside)
    plain, _ = attend_beside(OneLayer().eval(), query, key, value, mask)

    assert torch.equal(read[1], plain[1])
    assert not torch.allclose(read[0], plain[0], atol=1e-2)


def test_the_gradient_of_a_row_with_nothing_beside_it_is_finite() -> None:
    query, key, value, mask = drawn()
    beside = Fixed(HEADS, HEAD, torch.zeros(ROWS, EXTRA, dtype=torch.bool))
    beside.values.requires_grad_()
    query.requires_grad_()

    read, _ = attend_beside(OneLayer().eval(), query, key, value, mask, beside=beside)
    read.square().sum().backward()  # type: ignore[no-untyped-call]

    assert query.grad is not None
    assert query.grad.isfinite().all()
    assert query.grad.any()
    assert beside.values.grad is not None
    assert not beside.values.grad.any()


@torch.no_grad()
def test_attention_weights_are_dropped_in_training_only() -> None:
    query, key, value, mask = (part[:1].expand(3000, *part.shape[1:]) for part in drawn())
    beside = Fixed(HEADS, HEAD, torch.ones(1, EXTRA, dtype=torch.bool))

    def read(module: nn.Module, dropout: float) -> Tensor:
        torch.manual_seed(0)
        return attend_beside(module, query, key, value, mask, dropout=dropout, beside=beside)[0]

    plain = read(OneLayer().train(), 0.0)
    dropped = read(OneLayer().train(), 0.2)

    assert torch.equal(read(OneLayer().eval(), 0.2), plain)
    assert not torch.allclose(dropped[0], plain[0], atol=1e-2)
    torch.testing.assert_close(dropped.mean(dim=0), plain[0], rtol=0, atol=0.05)


def encode(encoder: TextEncoder, beside: Beside | None) -> Tensor:
    """Return the states of two rows, the second of which has two pieces of padding."""
    pieces = torch.tensor([[2, 9, 12, 30, 3], [2, 20, 3, 0, 0]])
    with torch.no_grad():
        states: Tensor = encoder(pieces, pieces != 0, torch.zeros_like(pieces), beside)
    return states


def test_every_layer_of_a_bert_reads_what_stands_beside_it() -> None:
    encoder, _ = load_pretrained(tiny_encoder(), 1)
    encoder.eval()
    present = torch.tensor([[True, True, False], [True, True, True]])
    beside = Fixed(2, 16, present)

    states = encode(encoder, beside)

    assert [layer for layer, *_ in beside.asked] == [0, 1]
    for row, pieces in enumerate(([2, 9, 12, 30, 3], [2, 20, 3])):
        extra = tuple(joined(part[row])[present[row]] for part in (beside.keys, beside.values))
        asked: list[tuple[Tensor, Tensor]] = []

        def slow(layer: int, keys: Tensor, values: Tensor, asked=asked, extra=extra):  # type: ignore[no-untyped-def]
            asked.append((keys, values))
            return extra

        expected = slow_bert(encoder.backbone, torch.tensor(pieces), slow)
        torch.testing.assert_close(states[row, : len(pieces)], expected, rtol=0, atol=2e-5)
        for (keys, values), (_, *given, mask) in zip(asked, beside.asked, strict=True):
            assert mask[row].tolist() == [place < len(pieces) for place in range(5)]
            for expected, found in zip((keys, values), given, strict=True):
                found = joined(found[row])[: len(pieces)]
                torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_an_encoder_that_was_not_told_beforehand_does_not_ignore_what_stands_beside() -> None:
    encoder, _ = load_pretrained(tiny_encoder(), 1)
    encoder.eval()
    beside = Fixed(2, 16, torch.ones(2, EXTRA, dtype=torch.bool))
    suit_device(encoder, torch.device("cpu"))
    plain = encode(encoder, None)

    seen = encode(encoder, beside)
    suit_device(encoder, torch.device("cpu"), beside=True)

    assert not torch.allclose(seen, plain, atol=1e-2)
    assert torch.equal(encode(encoder, beside), seen)
    assert torch.equal(encode(encoder, None), plain)


def test_a_roberta_lets_keys_and_values_stand_beside() -> None:
    config = transformers.RobertaConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    encoder = TextEncoder(transformers.RobertaModel(config, add_pooling_layer=False)).eval()
    beside = Fixed(2, 8, torch.tensor([[True] * EXTRA, [False] * EXTRA]))
    plain = encode(encoder, None)

    seen = encode(encoder, beside)

    assert [layer for layer, *_ in beside.asked] == [0, 1, 2]
    assert not torch.allclose(seen[0], plain[0], atol=1e-2)
    torch.testing.assert_close(seen[1, :3], plain[1, :3], rtol=0, atol=2e-6)


def test_an_encoder_that_cannot_is_refused_by_name() -> None:
    config = transformers.DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2)
    encoder = TextEncoder(transformers.DistilBertModel(config))

    with pytest.raises(InputError, match=r"'distilbert'.*use a BERT or RoBERTa encoder"):
        suit_device(encoder, torch.device("cpu"), beside=True)


def test_under_bfloat16_states_stay_near() -> None:
    encoder, _ = load_pretrained(tiny_encoder(), 1)
    encoder.eval()
    beside = Fixed(2, 16, torch.ones(2, EXTRA, dtype=torch.bool))
    plain = encode(encoder, beside)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = encode(encoder, beside)

    assert half.dtype == torch.float32
    torch.testing.assert_close(half, plain, rtol=0, atol=0.1)
