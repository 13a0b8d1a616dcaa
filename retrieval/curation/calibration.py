"""From raw agreements to one score that means the same for every encoder, without a label.

A raw cosine says little: one encoder gives 0.2 to what belongs together, another 0.8 to what does
not, and in every space some hits and some posts are close to everything (hubs). So each component
is told in units of its own chance: first against how the same post agrees with hits of other
posts, then against how the same hit agrees with other posts (hubness on both sides, as in cross-
domain similarity local scaling, Conneau et al. 2018). The components are summed as a linear
discriminant between hits with their own post and hits with others would: what two of them say
together does not count twice, and what says nothing does not count. The sum is looked up among
the sums of mismatched pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.curation.agreement import Agreements

Numbers = NDArray[np.float64]
Pattern = tuple[bool, ...]

# Fewer values than this say nothing about chance.
FEWEST: Final = 8
_FEWEST_PAIRS: Final = 64
# Keeps weights finite where two components always agree, and calm where they nearly do.
_RIDGE: Final = 0.1
# Above this quantile of the mismatched pairs a Pareto tail goes on (peaks over threshold), so
# that scores beyond the best mismatched pair still differ. The shape is heavy on purpose: a
# light tail would round to 1 within a few standard deviations.
_TAIL_FROM: Final = 0.99
_TAIL_SHAPE: Final = 0.5
_LEVELS: Final = np.linspace(0.0, _TAIL_FROM, 513)
# A variance of cosines below it is rounding.
_NOTHING: Final = 1e-18
# Scores stay inside (0, 1), so that only the threshold 0 keeps everything, and always does.
_SMALLEST: Final = 1e-6


class Calibration:
    """What agreement by chance looks like for hits of one modality."""

    def __init__(
        self, mismatched: Agreements, matched: Agreements, owners: NDArray[np.intp]
    ) -> None:
        """Learn from the agreements of hits of the reference posts.

        Args:
            mismatched: with all of these posts but their own, ``[components, hits, posts]``; NaN
                for a hit's own post.
            matched: with the post that each was found for, ``[components, hits]``.
            owners: which post that is, ``[hits]``.
        """
        mean, variance = _moments(mismatched, axis=1)
        self._post_level = _mean(mean)
        self._post_mean = _half_way(mean, self._post_level)
        self._post_variance = _mean(variance)
        self._post_scale = _scale(variance, self._post_variance)
        relative = self._relative(mismatched)
        mean, variance = _moments(relative, axis=2)
        self._hit_level = _mean(mean)
        mean = _half_way(mean, self._hit_level)
        self._hit_variance = _mean(variance)
        scale = _scale(variance, self._hit_variance)
        standard = _squeeze((relative - mean[..., None]) / scale[..., None])
        self._chance = standard.reshape(len(standard), -1).T.astype(np.float32)
        self._covariance = _covariance(self._chance)
        own = (matched - self._post_mean[:, owners]) / self._post_scale[:, owners]
        shift, _ = _moments(_squeeze((own - mean) / scale), axis=1)
        self._shift = np.nan_to_num(np.maximum(shift, 0.0))
        self._scales: dict[Pattern, _Scale | None] = {}

    def scores(self, own: Agreements, others: Agreements, chance_of_post: Agreements) -> Numbers:
        """Return for each hit the share of mismatched pairs that agree less; NaN for unknown.

        Args:
            own: agreements of the hits with their post, ``[components, hits]``.
            others: with the reference posts, ``[components, hits, posts]``; NaN leaves one out.
            chance_of_post: of the reference hits with that post, ``[components, reference
                hits]``; NaN leaves one out.
        """
        mean, variance = _moments(chance_of_post, axis=1)
        mean = _half_way(mean[:, None], self._post_level)[:, 0]
        scale = _scale(variance, self._post_variance)
        relative = (own - mean[:, None]) / scale[:, None]
        mean, variance = _moments(self._relative(others), axis=2)
        mean = _half_way(mean, self._hit_level)
        standard = _squeeze((relative - mean) / _scale(variance, self._hit_variance)).T
        known = np.isfinite(standard)
        found = np.full(len(standard), np.nan)
        for row in {tuple(row) for row in known.tolist()}:
            scale_of_sums = self._scale_for(row)
            if scale_of_sums is not None:
                rows = (known == row).all(axis=1)
                found[rows] = scale_of_sums.shares(standard[rows])
        return found

    def _relative(self, values: Agreements) -> Agreements:
        relative: Agreements = values - self._post_mean[:, None]
        relative /= self._post_scale[:, None]
        return relative

    def _scale_for(self, pattern: Pattern) -> _Scale | None:
        if pattern not in self._scales:
            self._scales[pattern] = self._make_scale(pattern)
        return self._scales[pattern]

    def _make_scale(self, pattern: Pattern) -> _Scale | None:
        """Return the scale for hits with these components known; None where chance is unknown.

        Where hardly any mismatched pair has all of them, the rarest is left out.
        """
        places = np.flatnonzero(pattern)
        known = np.isfinite(self._chance)
        while len(places):
            rows = known[:, places].all(axis=1)
            if rows.sum() >= _FEWEST_PAIRS:
                weights = _weights(self._covariance[np.ix_(places, places)], self._shift[places])
                sums = self._chance[np.ix_(rows, places)].astype(np.float64) @ weights
                return _Scale(places, weights, *_quantiles(sums))
            places = np.delete(places, known[:, places].sum(axis=0).argmin())
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    """A weighted sum of some components, and how mismatched pairs spread over it.

    Attributes:
        places: the components that are summed.
        weights: of each of them.
        quantiles: of the mismatched pairs, rising, from 0 to `_TAIL_FROM` in equal steps.
        excess: mean by which pairs above the last quantile exceed it.
    """

    places: NDArray[np.intp]
    weights: Numbers
    quantiles: Numbers
    excess: float

    def shares(self, standard: Numbers) -> Numbers:
        """Return the share of mismatched pairs below the sum of each row, in (0, 1)."""
        sums = standard[:, self.places] @ self.weights
        body = np.interp(sums, self.quantiles, _LEVELS)
        beyond = np.maximum(sums - self.quantiles[-1], 0.0) / (self.excess * (1 - _TAIL_SHAPE))
        above = (1 - _TAIL_FROM) * (1 + _TAIL_SHAPE * beyond) ** (-1 / _TAIL_SHAPE)
        shares: Numbers = np.where(beyond > 0.0, 1 - above, body)
        return np.clip(shares, _SMALLEST, 1 - _SMALLEST)


def _quantiles(sums: Numbers) -> tuple[Numbers, float]:
    quantiles = np.quantile(sums, _LEVELS)
    above = sums[sums > quantiles[-1]] - quantiles[-1]
    # Without any pair above, the spread below is the best guess.
    return quantiles, float(above.mean()) if len(above) else float(sums.std()) or 1.0


def _weights(covariance: Numbers, shift: Numbers) -> Numbers:
    """Return the weights of a linear discriminant, for sums that vary by 1 over chance.

    Args:
        covariance: of the components of mismatched pairs, whose mean is 0.
        shift: mean of the components of matched pairs; what a hit was found by is believed
            somewhat too much, for nobody knows which of the hits are any good.
    """
    ridge = _RIDGE * np.eye(len(shift))
    # A negative weight would hold it against a hit that it agrees with its post.
    weights = np.maximum(np.linalg.solve(covariance + ridge, shift), 0.0)
    if not weights.any():
        weights = np.ones(len(shift))
    scaled: Numbers = weights / np.sqrt(weights @ covariance @ weights)
    return scaled


def _covariance(rows: NDArray[np.float32]) -> Numbers:
    """Return the covariance of the columns, over the rows that know both, about a mean of 0."""
    known = np.isfinite(rows).astype(np.float64)
    filled = np.where(known > 0, rows, 0.0).astype(np.float64)
    covariance: Numbers = (filled.T @ filled) / np.maximum(known.T @ known, 1.0)
    return covariance


def _squeeze(standard: Agreements) -> Agreements:
    """Return scores in which no single component outvotes all others; their order stays."""
    squeezed: Agreements = np.arcsinh(standard)
    return squeezed


def _scale(variance: Numbers, pooled: Numbers) -> Numbers:
    """Return standard deviations, drawn half-way to the component's pooled one.

    NaN where nothing varies: such a component cannot tell posts apart.
    """
    half_way = (variance + pooled.reshape(-1, *[1] * (variance.ndim - 1))) / 2
    return np.sqrt(np.where(half_way > _NOTHING, half_way, np.nan))


def _half_way(means: Numbers, level: Numbers) -> Numbers:
    """Return means drawn half-way to the level of their component.

    So half of each side's hubness is taken off, as the formula of Conneau et al. does; to take
    off all of it would take off as much again of what truly fits much.
    """
    return (means + level[:, None]) / 2


def _mean(values: Numbers) -> Numbers:
    """Return the mean of the known values of each component, NaN where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _moments(values: Agreements, axis: int) -> tuple[Numbers, Numbers]:
    """Return mean and variance of the known values; NaN where there are too few to tell."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    enough = np.where(count >= FEWEST, count, np.nan)
    filled = np.where(known, values, 0.0)
    mean = filled.sum(axis=axis) / enough
    deviation = values - np.expand_dims(mean, axis)
    np.copyto(deviation, 0.0, where=~known)
    variance = np.square(deviation, out=deviation).sum(axis=axis) / enough
    return mean, variance
