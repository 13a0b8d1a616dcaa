"""A linear-chain conditional random field over the labels of words (Lafferty et al. 2001).

The score of a label sequence ``y`` for emissions ``e`` is
``start[y1] + sum_t e[t, yt] + sum_t step[y(t-1), yt] + end[yT]``, and its probability the softmax
of that over all sequences. Everything is computed in float32, also under autocast: the sums run
over the whole sentence, where bfloat16 would lose the differences that decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from model.bio import may_follow, may_start

# Far below any score a network emits, so that a forbidden step is never decoded, yet finite:
# annotations that break the rule must not give an infinite loss.
FORBIDDEN: Final = -1e4


class LinearChainCRF(nn.Module):
    """Scores, decodes and marginalises label sequences of a batch of sentences.

    In every method ``mask`` is True for real words, which come first in their row; a row may have
    one word or none. What stands in the padding of ``emissions`` and ``tags`` changes nothing.
    """

    def __init__(
        self,
        num_labels: int,
        *,
        starts: Sequence[bool] | None = None,
        steps: Sequence[Sequence[bool]] | None = None,
    ) -> None:
        """Start from small random transition scores.

        Args:
            num_labels: size of the label set.
            starts: for each label whether a sequence may begin with it; None allows all.
            steps: ``steps[i][j]`` is whether label j may follow label i; None allows all.
        """
        super().__init__()
        self.start_scores = nn.Parameter(torch.empty(num_labels).uniform_(-0.1, 0.1))
        self.end_scores = nn.Parameter(torch.empty(num_labels).uniform_(-0.1, 0.1))
        self.step_scores = nn.Parameter(torch.empty(num_labels, num_labels).uniform_(-0.1, 0.1))
        self.start_penalty: Tensor
        self.step_penalty: Tensor
        start_penalty = torch.zeros(num_labels)
        if starts is not None:
            start_penalty[~torch.tensor(starts)] = FORBIDDEN
        step_penalty = torch.zeros(num_labels, num_labels)
        if steps is not None:
            step_penalty[~torch.tensor(steps)] = FORBIDDEN
        # Derived from the label set, so no part of a checkpoint.
        self.register_buffer("start_penalty", start_penalty, persistent=False)
        self.register_buffer("step_penalty", step_penalty, persistent=False)

    @classmethod
    def for_bio(cls, labels: Sequence[str]) -> LinearChainCRF:
        """Return a field over BIO labels that never decodes an ``I-`` that continues nothing."""
        return cls(len(labels), starts=may_start(labels), steps=may_follow(labels))

    def nll(
        self,
        emissions: Float[Tensor, "batch words labels"],
        tags: Int[Tensor, "batch words"],
        mask: Bool[Tensor, "batch words"],
    ) -> Float[Tensor, " batch"]:
        """Return minus the log-probability of ``tags``, in nats; 0 for an empty sentence."""
        if emissions.shape[1] == 0:
            return emissions.new_zeros(emissions.shape[0], dtype=torch.float32)
        with torch.autocast(emissions.device.type, enabled=False):
            start, step, end = self._scores()
            emissions = _real_words(emissions, mask)
            log_partition = self._log_partition(emissions, mask)
            tags = tags.long().masked_fill(~mask, 0)
            at_words = emissions.gather(2, tags[:, :, None])[:, :, 0]
            last = tags.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0))[:, 0]
            score = (
                start[tags[:, 0]]
                + at_words.sum(1)
                + (step[tags[:, :-1], tags[:, 1:]] * mask[:, 1:]).sum(1)
                + end[last]
            )
            return (log_partition - score) * mask[:, 0]

    @torch.no_grad()
    def decode(
        self,
        emissions: Float[Tensor, "batch words labels"],
        mask: Bool[Tensor, "batch words"],
    ) -> list[list[int]]:
        """Return the most probable label indices (Viterbi), one list per sentence, unpadded."""
        batch, words, num_labels = emissions.shape
        if words == 0:
            return [[] for _ in range(batch)]
        with torch.autocast(emissions.device.type, enabled=False):
            start, step, end = self._scores()
            emissions = _real_words(emissions, mask)
            best = start + emissions[:, 0]
            stay = torch.arange(num_labels, device=emissions.device).expand(batch, -1)
            came_from: list[Tensor] = []
            for word in range(1, words):
                value, previous = (best[:, :, None] + step).max(1)
                real = mask[:, word, None]
                best = torch.where(real, value + emissions[:, word], best)
                # Padding points at itself, so that one walk back serves rows of any length.
                came_from.append(torch.where(real, previous, stay))
            tag = (best + end).argmax(1, keepdim=True)
        path = [tag]
        for previous in reversed(came_from):
            path.append(previous.gather(1, path[-1]))
        rows: list[list[int]] = torch.cat(path[::-1], dim=1).tolist()
        lengths: list[int] = mask.sum(1).tolist()
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]

    def marginals(
        self,
        emissions: Float[Tensor, "batch words labels"],
        mask: Bool[Tensor, "batch words"],
    ) -> Float[Tensor, "batch words labels"]:
        """Return the probability of each label at each word (sums to 1); 0 in the padding."""
        words = emissions.shape[1]
        if words == 0:
            return emissions.float()
        with torch.autocast(emissions.device.type, enabled=False):
            _, step, end = self._scores()
            emissions = _real_words(emissions, mask)
            forward = self._forward(emissions, mask)
            after = end.expand_as(forward[0])
            backward = [after]
            for word in range(words - 1, 0, -1):
                coming = (step + (emissions[:, word] + after)[:, None, :]).logsumexp(2)
                after = torch.where(mask[:, word, None], coming, after)
                backward.append(after)
            joint = torch.stack(forward, 1) + torch.stack(backward[::-1], 1)
            return joint.softmax(2) * mask[:, :, None]

    @torch.no_grad()
    def held(
        self,
        emissions: Float[Tensor, "batch words labels"],
        mask: Bool[Tensor, "batch words"],
        allowed: Bool[Tensor, "batch words labels"],
    ) -> Float[Tensor, " batch"]:
        """Return the probability that each word has one of the labels ``allowed`` to it.

        The log-sum over those sequences minus that over all (Culotta & McCallum 2004, constrained
        forward-backward). What is allowed in the padding changes nothing.
        """
        if emissions.shape[1] == 0:
            return emissions.new_ones(emissions.shape[0], dtype=torch.float32)
        with torch.autocast(emissions.device.type, enabled=False):
            emissions = _real_words(emissions, mask)
            forbidden = ~allowed & mask[:, :, None]
            among = self._log_partition(emissions.masked_fill(forbidden, -torch.inf), mask)
            share = (among - self._log_partition(emissions, mask)).exp().clamp(max=1)
            return share.where(mask[:, 0], 1.0)

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores of starting, stepping and ending, with the forbidden ones lowered."""
        start = self.start_scores.float() + self.start_penalty.float()
        step = self.step_scores.float() + self.step_penalty.float()
        return start, step, self.end_scores.float()

    def _log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the log-sum of all sequences, [batch]."""
        return (self._forward(emissions, mask)[-1] + self._scores()[2]).logsumexp(1)

    def _forward(self, emissions: Tensor, mask: Tensor) -> list[Tensor]:
        """Return per word the log-sum of all prefixes by last label; padding repeats the last."""
        start, step, _ = self._scores()
        alpha = start + emissions[:, 0]
        alphas = [alpha]
        for word in range(1, emissions.shape[1]):
            grown = (alpha[:, :, None] + step).logsumexp(1) + emissions[:, word]
            alpha = torch.where(mask[:, word, None], grown, alpha)
            alphas.append(alpha)
        return alphas


def _real_words(emissions: Tensor, mask: Tensor) -> Tensor:
    """Return float32 emissions with zeros in the padding, where NaN times 0 would be NaN."""
    return emissions.float().masked_fill(~mask[:, :, None], 0)
