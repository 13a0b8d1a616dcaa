"""The law that measured times follow: ``a + b n^c``, by least squares, with its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

_POWERS: Final = np.round(np.arange(0.3, 2.5001, 0.01), 2)


@dataclass(frozen=True, slots=True)
class Law:
    """``fixed + factor * n ** power`` seconds for ``n`` posts.

    Attributes:
        fixed: seconds, not negative.
        factor: seconds, not negative.
        power: of the number of posts.
        error: the largest deviation from a measured time, as a share of it.
    """

    fixed: float
    factor: float
    power: float
    error: float

    def __call__(self, number: float) -> float:
        """Return the seconds for so many."""
        return float(self.fixed + self.factor * number**self.power)

    def __str__(self) -> str:
        """Return it as a formula."""
        return f"{self.fixed:.3g} + {self.factor:.3g} n^{self.power:.2f} s (+-{self.error:.0%})"


def fit(numbers: Sequence[float], seconds: Sequence[float]) -> Law:
    """Return the law whose relative deviations have the least squares.

    Args:
        numbers: at least three different ones, or the law says nothing.
        seconds: measured for each; all positive.
    """
    n, measured = np.asarray(numbers, float), np.asarray(seconds, float)
    if len(set(numbers)) < 3 or (measured <= 0).any():
        raise ValueError(f"no law can be fitted to {list(seconds)} at {list(numbers)}")
    laws = [_with_power(n, measured, float(power)) for power in _POWERS]
    return min(laws, key=lambda pair: pair[0])[1]


def held_out_error(numbers: Sequence[float], seconds: Sequence[float]) -> float:
    """Return how far the law of all but the largest is from the largest, as a share of it."""
    law = fit(numbers[:-1], seconds[:-1])
    return abs(law(numbers[-1]) / seconds[-1] - 1)


def _with_power(
    n: np.ndarray[tuple[int], np.dtype[np.float64]],
    measured: np.ndarray[tuple[int], np.dtype[np.float64]],
    power: float,
) -> tuple[float, Law]:
    """Return the sum of squares, and the best law of a power; neither part is negative."""
    columns = np.stack([1 / measured, n**power / measured], axis=1)
    best = np.linalg.lstsq(columns, np.ones(len(n)), rcond=None)[0]
    candidates = [best] if (best >= 0).all() else []
    for alone in (0, 1):
        column = columns[:, alone]
        part = np.zeros(2)
        part[alone] = max(0.0, column.sum() / (column @ column))
        candidates.append(part)
    squares = [float(((columns @ one - 1) ** 2).sum()) for one in candidates]
    place = int(np.argmin(squares))
    fixed, factor = map(float, candidates[place])
    error = float(np.abs(columns @ candidates[place] - 1).max())
    return squares[place], Law(fixed, factor, power, error)
