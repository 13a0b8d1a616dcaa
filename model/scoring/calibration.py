"""Is a probability of 0.8 right eight times in ten? Measured, and mended with one temperature.

Guo et al., "On calibration of modern neural networks" (ICML 2017): a network that is too sure is
mended by dividing all its scores by one number, fitted on dev, which leaves what it predicts as
it is. Adaptive bins are those of Nixon et al. (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from cache.errors import InputError

NUM_BINS: Final = 15
# Beyond these a probability is 0, 1 or even chances whatever the scores say.
LOWEST: Final = 0.05
HIGHEST: Final = 20.0
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
# Of the logarithm of the temperature: far finer than a dev set can tell.
_TOLERANCE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of similar probability.

    Attributes:
        low: end of the bin, exclusive (inclusive at 0).
        high: the other end, inclusive.
        count: answers in it.
        confidence: their mean probability; 0 where there are none.
        accuracy: share of them that is right; 0 where there are none.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the probabilities of answers are from how often they are right; all in [0, 1].

    Attributes:
        count: answers.
        confidence: their mean probability.
        accuracy: share that is right.
        ece: expected calibration error: mean over answers of |accuracy - confidence| of their
            bin, in bins of equal width.
        adaptive_ece: the same in bins that hold equally many answers.
        brier: mean squared difference between the probability and 1 (right) or 0 (wrong).
        bins: of equal width, also those that are empty.
        adaptive_bins: of equal count; fewer where many answers have the same probability.
    """

    count: int
    confidence: float
    accuracy: float
    ece: float
    adaptive_ece: float
    brier: float
    bins: tuple[Bin, ...]
    adaptive_bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, object]:
        """Return every field by name."""
        return asdict(self)

    def to_table(self) -> str:
        """Return the reliability table in Markdown, in percent, without the empty bins."""
        lines = ["| probability | answers | mean | right |", "| ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {100 * b.low:.1f} to {100 * b.high:.1f} | {b.count} | {100 * b.confidence:.1f} "
            f"| {100 * b.accuracy:.1f} |"
            for b in self.bins
            if b.count
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        """Return one line in percent points."""
        return (
            f"ECE {100 * self.ece:.1f} (adaptive {100 * self.adaptive_ece:.1f}), "
            f"Brier {self.brier:.3f}: {100 * self.accuracy:.1f} % right at a mean probability of "
            f"{100 * self.confidence:.1f} %, {self.count} answers"
        )


def calibration(
    probabilities: Float[np.ndarray, " answers"],
    right: Bool[np.ndarray, " answers"],
    num_bins: int = NUM_BINS,
) -> Calibration | None:
    """Return how well probabilities tell what is right; None where nothing was answered.

    Args:
        probabilities: of each answer, in [0, 1].
        right: whether it is.
        num_bins: of either kind.

    Raises:
        InputError: no bins, or a probability outside [0, 1].
    """
    if num_bins < 1 or not bool(np.all((probabilities >= 0) & (probabilities <= 1))):
        raise InputError(
            f"{num_bins} bins of values from {probabilities.min(initial=1):g} to "
            f"{probabilities.max(initial=0):g}: calibration needs a bin, and values in [0, 1]."
        )
    if not len(probabilities):
        return None
    edges = np.linspace(0, 1, num_bins + 1)
    adaptive = _equal_counts(probabilities, num_bins)
    bins, adaptive_bins = (_bins(probabilities, right, e) for e in (edges, adaptive))
    return Calibration(
        count=len(probabilities),
        confidence=float(probabilities.mean()),
        accuracy=float(right.mean()),
        ece=_expected_error(bins),
        adaptive_ece=_expected_error(adaptive_bins),
        brier=float(np.square(probabilities - right).mean()),
        bins=bins,
        adaptive_bins=adaptive_bins,
    )


def fit_temperature(nll: Callable[[float], float]) -> float:
    """Return the temperature in [`LOWEST`, `HIGHEST`] at which ``nll`` is smallest.

    Golden-section search over the logarithm: the negative log-likelihood of a softmax, and of a
    CRF, is convex in the inverse temperature, so it has one valley.

    Args:
        nll: the negative log-likelihood of the annotations at a temperature.
    """
    low, high = math.log(LOWEST), math.log(HIGHEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = nll(math.exp(left)), nll(math.exp(right))
    while high - low > _TOLERANCE:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = nll(math.exp(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = nll(math.exp(right))
    return math.exp((low + high) / 2)


def _equal_counts(values: Float[np.ndarray, " answers"], num_bins: int) -> np.ndarray:
    """Return the edges of bins of equally many answers; equal values share a bin."""
    ends: Int[np.ndarray, " bins"] = np.arange(1, num_bins + 1) * len(values) // num_bins
    inner = np.sort(values)[ends[ends > 0] - 1]
    return np.unique(np.concatenate([[0.0], inner]))


def _bins(
    probabilities: Float[np.ndarray, " answers"],
    right: Bool[np.ndarray, " answers"],
    edges: np.ndarray,
) -> tuple[Bin, ...]:
    """Return the bins ``(edges[i], edges[i + 1]]``; what is at the lowest edge is in the first."""
    if len(edges) == 1:  # every probability is 0
        edges = np.concatenate([edges, edges])
    place = np.clip(np.searchsorted(edges, probabilities, side="left") - 1, 0, len(edges) - 2)
    size = len(edges) - 1
    counts = np.bincount(place, minlength=size)
    confidence, accuracy = (
        np.bincount(place, weights=values.astype(np.float64), minlength=size)
        / np.maximum(counts, 1)
        for values in (probabilities, right)
    )
    rows = zip(edges[:-1], edges[1:], counts, confidence, accuracy, strict=True)
    return tuple(
        Bin(float(low), float(high), int(n), float(sure), float(hit))
        for low, high, n, sure, hit in rows
    )


def _expected_error(bins: tuple[Bin, ...]) -> float:
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / total
