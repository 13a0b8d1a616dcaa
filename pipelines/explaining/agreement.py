"""Do the weights of a model rank its evidence as withholding it does?

The question of Jain and Wallace, "Attention is not explanation" (NAACL 2019), asked of evidence:
a weight that is to explain a prediction has to be large where the item changed the prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_ITEMS: Final = 3
_SAMPLES: Final = 2000
Values = Sequence[float]
Measure = Callable[[Values, Values], float | None]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Mean rank correlation of posts.

    Attributes:
        mean: in [-1, 1]; None where no post could be counted.
        low: lower end of the 95 % bootstrap interval over posts.
        high: upper end.
        posts: how many were counted.
        too_few: posts with fewer than `LEAST_ITEMS` items.
        undecided: posts whose items all have the same weight, or all the same effect.
    """

    mean: float | None
    low: float | None
    high: float | None
    posts: int
    too_few: int
    undecided: int

    def to_json(self) -> dict[str, object]:
        """Return every field by name."""
        return asdict(self)

    def __str__(self) -> str:
        """Return mean and interval, or why there is none."""
        if self.mean is None:
            return f"undefined (no post has {LEAST_ITEMS} items that differ)"
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}], {self.posts} posts"


def agreement(
    pairs: Sequence[tuple[Values, Values]],
    measure: Measure,
    samples: int = _SAMPLES,
    seed: int = 0,
) -> Agreement:
    """Return the mean of ``measure`` over posts, and how sure it is.

    Args:
        pairs: of each post, weights and effects of its items, in the same order.
        measure: `spearman` or `kendall`.
        samples: of the bootstrap, which draws posts with replacement.
        seed: of the bootstrap.
    """
    enough = [pair for pair in pairs if len(pair[0]) >= LEAST_ITEMS]
    found = [value for pair in enough if (value := measure(*pair)) is not None]
    mean = low = high = None
    if found:
        values = np.array(found)
        drawn = np.random.default_rng(seed).integers(len(values), size=(samples, len(values)))
        low, high = map(float, np.percentile(values[drawn].mean(axis=1), [2.5, 97.5]))
        mean = float(values.mean())
    return Agreement(
        mean, low, high, len(found), len(pairs) - len(enough), len(enough) - len(found)
    )


def spearman(left: Values, right: Values) -> float | None:
    """Return Spearman's rank correlation; ties share their mean rank; None where all are tied."""
    one, other = _ranks(left), _ranks(right)
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale else None


def kendall(left: Values, right: Values) -> float | None:
    """Return Kendall's tau-b, which counts a pair that is tied on one side as half of one."""
    one, other = _orders(left), _orders(right)
    scale = float(np.sqrt(float((one * one).sum()) * float((other * other).sum())))
    return float((one * other).sum()) / scale if scale else None


def _ranks(values: Values) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    below = (array[:, None] > array[None]).sum(axis=1)
    equal = (array[:, None] == array[None]).sum(axis=1)
    ranks: NDArray[np.float64] = below + (equal - 1) / 2
    return ranks


def _orders(values: Values) -> NDArray[np.float64]:
    """Return for each pair of items -1, 0 or 1: which of the two is larger."""
    array = np.asarray(values, np.float64)
    return np.sign(array[:, None] - array[None])
