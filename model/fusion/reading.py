"""How a word reads one evidence text: attention over its tokens, by meaning and by name."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

# A word that meets its own name in a passage wants what stands around it: "Rooney (striker)".
_BEFORE: Final = 1
_AFTER: Final = 4


class TextRead(NamedTuple):
    """What words read from texts.

    Attributes:
        logits: [rows, heads, units] how much each word wants this text, comparable over texts.
        values: [rows, units, dim] what each word reads.
    """

    logits: Tensor
    values: Tensor


class TokenReader(nn.Module):
    """Multi-head attention from words to the tokens of one evidence text.

    Queries and keys start from the same projection, so that attention starts as similarity of
    contextual states; equal names attract each other by a learned bonus, which needs no training
    on the name; and attention is spread to the tokens around the one that matched.
    """

    def __init__(self, dim: int, heads: int, match_bonus: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        nn.init.orthogonal_(self.query.weight)
        nn.init.orthogonal_(self.value.weight, gain=0.5)
        with torch.no_grad():
            self.key.weight.copy_(self.query.weight)
        # 0 takes it away: then nothing is learned about equal names either.
        self.match_bonus = nn.Parameter(torch.full((heads,), match_bonus), bool(match_bonus))
        around = torch.zeros(heads, _BEFORE + 1 + _AFTER)
        around[:, _BEFORE] = 1.0
        self.spread = nn.Parameter(around)

    def forward(
        self,
        words: Float[Tensor, "rows units dim"],
        tokens: Float[Tensor, "rows tokens dim"],
        is_evidence: Bool[Tensor, "rows tokens"],
        word_keys: Int[Tensor, "rows units"],
        token_keys: Int[Tensor, "rows tokens"],
    ) -> TextRead:
        """Return what each word reads of the row's text, and how much it wants it.

        Args:
            words: states of the post's words.
            tokens: states of the row's tokens.
            is_evidence: True at tokens of the evidence; at least one in each row.
            word_keys: `match_key` of the words; 0 matches nothing.
            token_keys: the same of the tokens.
        """
        tokens = self.norm(tokens)
        query = self._split(self.query(self.norm(words)))
        key = self._split(self.key(tokens))
        logits = (query @ key.transpose(-1, -2)).float() / math.sqrt(query.shape[-1])
        match = (word_keys[:, :, None] == token_keys[:, None, :]) & (word_keys[:, :, None] != 0)
        logits = logits + self.match_bonus[None, :, None, None] * match[:, None].float()
        logits = logits.masked_fill(~is_evidence[:, None, None, :], -torch.inf)
        # The mean, not the sum, over tokens: a text is not wanted more for being longer.
        length = is_evidence.sum(dim=1).float().log()
        wanted = logits.logsumexp(dim=-1) - length[:, None, None]
        weights = self._spread(logits.softmax(dim=-1)) * is_evidence[:, None, None, :]
        value = self._split(self.value(tokens))
        values = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        return TextRead(wanted, values.float())

    def _split(self, states: Tensor) -> Tensor:
        """Return [rows, heads, tokens, dim of a head]."""
        return by_head(states, self.heads).transpose(1, 2)

    def _spread(self, weights: Tensor) -> Tensor:
        """Return attention moved to neighbours: what a match at t says of t - 1 ... t + 4."""
        shares = self.spread.softmax(dim=-1)
        size = weights.shape[-1]
        padded = nn.functional.pad(weights, (_AFTER, _BEFORE))
        total = torch.zeros_like(weights)
        for place in range(_BEFORE + 1 + _AFTER):
            # place 0 reads one token before the match, so it takes the weight of the token after.
            start = _AFTER + _BEFORE - place
            share = shares[:, place][None, :, None, None]
            total = total + share * padded[..., start : start + size]
        return total


def by_head(states: Tensor, heads: int) -> Tensor:
    """Return [..., dim] as [..., heads, dim of a head]."""
    return states.reshape(*states.shape[:-1], heads, states.shape[-1] // heads)
