"""Is the difference between two systems larger than the choice of test posts explains?

Both tests compare micro-F1 on the same posts, from the counts of each post. Where a system was
trained with several seeds, its score is the mean F1 of its runs. Where it was trained in several
worlds (data sets of one kind), its score is the mean over the worlds, and posts are drawn within
each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from cache.errors import InputError

# Differences of F1 that are equal on paper differ by rounding; this is far above that, and far
# below the effect of one entity in a million.
TIE: Final = 1e-12
_CHUNK_CELLS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """System A against system B; all F1 in [0, 1].

    Attributes:
        f1_a: mean F1 of the runs of A on the posts as they are.
        f1_b: the same of B.
        difference: ``f1_a - f1_b``.
        low: lower end of the 95 % percentile interval of the difference.
        high: upper end.
        p_one_sided: probability of a lead this large if A were not better than B.
        p_two_sided: probability of a difference this large, either way, if they were equal.
        samples: how many resamplings the probabilities rest on; none is below 1/(samples+1).
        posts: number of posts.
    """

    f1_a: float
    f1_b: float
    difference: float
    low: float
    high: float
    p_one_sided: float
    p_two_sided: float
    samples: int
    posts: int

    def to_json(self) -> dict[str, float]:
        """Return every field by name."""
        return asdict(self)

    def __str__(self) -> str:
        """Return one line with F1 in percent points."""
        return (
            f"{100 * self.f1_a:.2f} against {100 * self.f1_b:.2f}: {100 * self.difference:+.2f} "
            f"[{100 * self.low:+.2f}, {100 * self.high:+.2f}], p = {self.p_two_sided:.4f} "
            f"two-sided, {self.p_one_sided:.4f} one-sided ({self.posts} posts)"
        )


def paired_bootstrap(
    counts_a: Int[np.ndarray, "seeds_a posts_a 3"],
    counts_b: Int[np.ndarray, "seeds_b posts_b 3"],
    samples: int = 10_000,
    seed: int = 0,
    *,
    resample_runs: bool = False,
) -> Comparison:
    """Return how sure the difference is when the posts are drawn again with replacement.

    The p-values are those of Berg-Kirkpatrick et al. (2012): how often the resampled difference
    exceeds the observed one by as much as the observed one exceeds zero. One is added to both
    counts, so that no p-value is 0.

    Args:
        counts_a: tp, fp, fn of each run and post of system A.
        counts_b: the same of system B: any number of runs, the same posts in the same order.
        samples: number of resamplings.
        seed: of the resampling.
        resample_runs: draw the runs with replacement too, so that the interval and the p-values
            also carry the spread between training seeds; else the trained models are taken as
            given.

    Raises:
        InputError: the posts differ in number, or there are none.
    """
    return stratified_bootstrap([counts_a], [counts_b], samples, seed, resample_runs=resample_runs)


def stratified_bootstrap(
    counts_a: Sequence[Int[np.ndarray, "_ _ 3"]],
    counts_b: Sequence[Int[np.ndarray, "_ _ 3"]],
    samples: int = 10_000,
    seed: int = 0,
    *,
    resample_runs: bool = False,
) -> Comparison:
    """Return what `paired_bootstrap` does, over several worlds whose posts are drawn apart.

    Args:
        counts_a: of system A, ``[seeds posts 3]`` for each world.
        counts_b: of system B, for the same worlds.
        samples: number of resamplings.
        seed: of the resampling.
        resample_runs: draw the runs with replacement too, within each world.

    Raises:
        InputError: worlds or posts differ in number, or there are none.
    """
    _check_worlds(counts_a, counts_b, samples)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(samples)
    for one, other in zip(counts_a, counts_b, strict=True):
        done = 0
        for size in _chunks(samples, one.shape[1]):
            weights = _draw_posts(rng, size, one.shape[1])
            f1_a, f1_b = (_f1(_weighted(weights, counts)) for counts in (one, other))
            if resample_runs:
                f1_a, f1_b = _draw_runs(rng, f1_a), _draw_runs(rng, f1_b)
            drawn[done : done + size] += (f1_a.mean(1) - f1_b.mean(1)) / len(counts_a)
            done += size
    low, high = np.percentile(drawn, [2.5, 97.5])
    observed = _score(counts_a) - _score(counts_b)
    return _comparison(counts_a, counts_b, drawn - observed, (float(low), float(high)))


def bootstrap_interval(
    counts: Sequence[Int[np.ndarray, "_ _ 3"]], samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of one system's score when posts are drawn again.

    This is how far the score may lie from that on other posts of the same kind: with few
    annotations it is wide, whatever the seeds say. The trained models are taken as given.

    Args:
        counts: tp, fp, fn of each run and post, ``[seeds posts 3]`` for each world.
        samples: number of resamplings.
        seed: of the resampling.

    Raises:
        InputError: there are no worlds, runs or posts.
    """
    _check_worlds(counts, counts, samples)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(samples)
    for one in counts:
        done = 0
        for size in _chunks(samples, one.shape[1]):
            weights = _draw_posts(rng, size, one.shape[1])
            drawn[done : done + size] += _f1(_weighted(weights, one)).mean(1) / len(counts)
            done += size
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def approximate_randomisation(
    counts_a: Int[np.ndarray, "seeds_a posts_a 3"],
    counts_b: Int[np.ndarray, "seeds_b posts_b 3"],
    samples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Return how sure the difference is when the systems' answers are swapped post by post.

    The test of Noreen (1989) as used for F1 by Yeh (2000). A swapped post is swapped in all runs.
    The interval is that of the differences under the null hypothesis, moved to the observed one.

    Args:
        counts_a: tp, fp, fn of each run and post of system A.
        counts_b: the same of system B, with the same runs and posts.
        samples: number of random swappings.
        seed: of the swapping.

    Raises:
        InputError: runs or posts differ in number, or there are none.
    """
    return stratified_randomisation([counts_a], [counts_b], samples, seed)


def stratified_randomisation(
    counts_a: Sequence[Int[np.ndarray, "_ _ 3"]],
    counts_b: Sequence[Int[np.ndarray, "_ _ 3"]],
    samples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Return what `approximate_randomisation` does, over several worlds.

    Args:
        counts_a: of system A, ``[seeds posts 3]`` for each world.
        counts_b: of system B, for the same worlds, with as many runs in each.
        samples: number of random swappings.
        seed: of the swapping.

    Raises:
        InputError: worlds, runs or posts differ in number, or there are none.
    """
    _check_worlds(counts_a, counts_b, samples)
    rng = np.random.default_rng(seed)
    null = np.zeros(samples)
    for one, other in zip(counts_a, counts_b, strict=True):
        if len(one) != len(other):
            raise InputError(
                f"{len(one)} runs against {len(other)}: answers can only be swapped between "
                "as many runs. Leave runs out, or use paired_bootstrap."
            )
        total_a, total_b, done = one.sum(1), other.sum(1), 0
        for size in _chunks(samples, one.shape[1]):
            swapped = rng.integers(0, 2, (size, one.shape[1])).astype(np.float64)
            moved = _weighted(swapped, other - one)
            difference = _mean_f1(total_a + moved) - _mean_f1(total_b - moved)
            null[done : done + size] += difference / len(counts_a)
            done += size
    low, high = np.percentile(null, [2.5, 97.5]) + _score(counts_a) - _score(counts_b)
    return _comparison(counts_a, counts_b, null, (float(low), float(high)))


def _comparison(
    counts_a: Sequence[NDArray[np.integer]],
    counts_b: Sequence[NDArray[np.integer]],
    null: NDArray[np.float64],
    interval: tuple[float, float],
) -> Comparison:
    """Return the comparison, given differences drawn under the null hypothesis."""
    f1_a, f1_b = _score(counts_a), _score(counts_b)
    difference = f1_a - f1_b
    one_sided = int((null >= difference - TIE).sum())
    two_sided = int((np.abs(null) >= abs(difference) - TIE).sum())
    return Comparison(
        f1_a=f1_a,
        f1_b=f1_b,
        difference=difference,
        low=interval[0],
        high=interval[1],
        p_one_sided=(one_sided + 1) / (len(null) + 1),
        p_two_sided=(two_sided + 1) / (len(null) + 1),
        samples=len(null),
        posts=sum(counts.shape[1] for counts in counts_a),
    )


def _f1(counts: Float[np.ndarray, "samples seeds 3"]) -> Float[np.ndarray, "samples seeds"]:
    """Return F1 from tp, fp, fn; 0 where nothing was annotated and nothing predicted."""
    hits = 2.0 * counts[..., 0]
    f1: NDArray[np.float64] = hits / np.maximum(hits + counts[..., 1] + counts[..., 2], 1.0)
    return f1


def _mean_f1(counts: NDArray[np.integer] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over runs of F1, for each sample."""
    return np.asarray(_f1(counts.astype(np.float64)).mean(1), dtype=np.float64)


def _score(counts: Sequence[NDArray[np.integer]]) -> float:
    """Return the mean over worlds of the mean F1 of the runs, on the posts as they are."""
    return float(np.mean([_mean_f1(one.sum(1)[None])[0] for one in counts]))


def _draw_posts(rng: np.random.Generator, size: int, num_posts: int) -> NDArray[np.float64]:
    """Return how often each post was drawn: ``size`` rows that each sum to ``num_posts``."""
    drawn = rng.integers(0, num_posts, (size, num_posts))
    drawn += np.arange(size)[:, None] * num_posts
    weights = np.bincount(drawn.ravel(), minlength=size * num_posts)
    return weights.reshape(size, num_posts).astype(np.float64)


def _draw_runs(
    rng: np.random.Generator, f1: Float[np.ndarray, "samples seeds"]
) -> Float[np.ndarray, "samples seeds"]:
    chosen = rng.integers(0, f1.shape[1], f1.shape)
    drawn: NDArray[np.float64] = np.take_along_axis(f1, chosen, axis=1)
    return drawn


def _weighted(weights: NDArray[np.float64], counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the counts of each run summed over posts by weight: ``[samples, seeds, 3]``."""
    num_seeds, num_posts, _ = counts.shape
    flat = counts.transpose(1, 0, 2).reshape(num_posts, num_seeds * 3).astype(np.float64)
    summed: NDArray[np.float64] = weights @ flat
    return summed.reshape(len(weights), num_seeds, 3)


def _chunks(samples: int, num_posts: int) -> Iterator[int]:
    """Yield how many resamplings to draw at once, so that memory stays flat."""
    step = max(1, _CHUNK_CELLS // num_posts)
    for start in range(0, samples, step):
        yield min(step, samples - start)


def _check_worlds(
    counts_a: Sequence[NDArray[np.integer]], counts_b: Sequence[NDArray[np.integer]], samples: int
) -> None:
    if not counts_a or len(counts_a) != len(counts_b):
        raise InputError(
            f"one system has counts of {len(counts_a)} worlds, the other of {len(counts_b)}. "
            "Evaluate both in the same worlds, and at least one."
        )
    for one, other in zip(counts_a, counts_b, strict=True):
        _check(one, other, samples)


def _check(counts_a: NDArray[np.integer], counts_b: NDArray[np.integer], samples: int) -> None:
    if samples < 1 or not len(counts_a) or not len(counts_b):
        raise InputError(
            f"{samples} samples of {len(counts_a)} and {len(counts_b)} runs decide nothing. "
            "Give at least one sample, and one run of each system."
        )
    if counts_a.shape[1] != counts_b.shape[1] or counts_a.shape[1] == 0:
        raise InputError(
            f"one system has counts of {counts_a.shape[1]} posts, the other of "
            f"{counts_b.shape[1]}. Evaluate both on the same split, which must not be empty."
        )
