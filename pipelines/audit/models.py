"""The audit's models: plain ones, for a leak is no subtle thing; and how sure their gain is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cache.errors import InputError

# Rarer labels are one class together: nothing could be learned of them.
_MOST_CLASSES: Final = 8
# Each bucket is held back as if it had one more post without any label.
_RIDGE: Final = 1.0

Codes = NDArray[np.int64]
Right = NDArray[np.bool_]
Rows = NDArray[np.int64]


class Model(Protocol):
    """Learns the labels of some posts and tells those of others."""

    def __call__(self, train: Rows, labels: Codes, test: Rows) -> Codes:
        """Return a label for each row of ``test``, having seen ``labels`` of ``train``."""
        ...


class Commonest:
    """Always the commonest label."""

    def __call__(self, train: Rows, labels: Codes, test: Rows) -> Codes:
        """Return the commonest of ``labels`` for every row; see `Model`."""
        return np.full(len(test), np.bincount(labels).argmax(), dtype=np.int64)


class LookUp:
    """The commonest label of a value's bucket, by the one column that fits the training best.

    Args:
        codes: buckets, posts x columns.
    """

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self._chosen: Counter[int] = Counter()

    def __call__(self, train: Rows, labels: Codes, test: Rows) -> Codes:
        """See `Model`."""
        tables = [
            _table(self._codes[train, n], labels, int(self._codes[:, n].max()) + 1)
            for n in range(self._codes.shape[1])
        ]
        hits = [int(table.max(axis=1).sum()) for table in tables]
        best = int(np.argmax(hits))
        self._chosen[best] += 1
        answers = tables[best].argmax(axis=1)
        # A bucket that the training never saw knows no more than everybody.
        answers[tables[best].sum(axis=1) == 0] = np.bincount(labels).argmax()
        told: Codes = answers[self._codes[test, best]]
        return told

    @property
    def favourite(self) -> int:
        """The column that was the best one most often."""
        return self._chosen.most_common(1)[0][0]


class Linear:
    """Least squares from the buckets, each a feature of its own, to the labels' indicators.

    A logistic regression finds the same leaks and takes twenty times as long; and this one needs
    no library beside numpy.

    Args:
        codes: buckets, posts x columns.
    """

    def __init__(self, codes: Codes) -> None:
        columns = [codes[:, n, None] == np.unique(codes[:, n]) for n in range(codes.shape[1])]
        constant = np.ones((len(codes), 1), dtype=np.bool_)
        # Sums of zeros and ones are exact in single precision up to 16 million.
        self._features = np.concatenate([constant, *columns], axis=1).astype(np.float32)

    def __call__(self, train: Rows, labels: Codes, test: Rows) -> Codes:
        """See `Model`."""
        seen = self._features[train]
        indicators = np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]
        gram = (seen.T @ seen).astype(np.float64)
        gram[np.diag_indices_from(gram)] += _RIDGE
        weights = np.linalg.solve(gram, (seen.T @ indicators).astype(np.float64))
        told: Codes = (self._features[test] @ weights).argmax(axis=1)
        return told


def class_numbers(labels: Sequence[str]) -> Codes:
    """Return labels as numbers, the commonest first; of more than eight the rarest share one."""
    counts = Counter(labels)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    common = names if len(names) <= _MOST_CLASSES else names[: _MOST_CLASSES - 1]
    numbers = {name: number for number, name in enumerate(common)}
    return np.array([numbers.get(label, len(numbers)) for label in labels], dtype=np.int64)


def split_folds(labels: Codes, groups: Codes, folds: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Return (train, test) rows of each fold: labels spread evenly, no group torn apart.

    Each group, the large ones first, goes to the fold that has least of the labels it brings.

    Raises:
        InputError: there are too few groups.
    """
    num_groups = int(groups.max()) + 1
    if num_groups < 2 * folds:
        raise InputError(
            f"{len(labels)} annotated posts in {num_groups} groups (posts that share a photo or "
            f"their words) are too few for {folds} folds. Audit a larger store, or give "
            "fewer --folds."
        )
    brings = _table(groups, labels, num_groups).astype(np.float64)
    weights = brings / brings.sum(axis=0)
    order = np.random.default_rng(seed).permutation(num_groups)
    order = order[np.argsort(-brings[order].sum(axis=1), kind="stable")]
    filled = np.zeros((folds, brings.shape[1]))
    home = np.empty(num_groups, dtype=np.int64)
    for group in order.tolist():
        # Of equals the fold with the fewest posts, so that groups of one label spread, too.
        cost = filled @ weights[group] + 1e-9 * filled.sum(axis=1)
        home[group] = int(cost.argmin())
        filled[home[group]] += brings[group]
    fold = home[groups]
    return [(np.flatnonzero(fold != n), np.flatnonzero(fold == n)) for n in range(folds)]


def paired_gain(right: Right, known: Right, groups: Codes, folds: int) -> tuple[float, float]:
    """Return by how much one probe is right more often, and the standard error of that.

    Posts are paired, and posts of one group count as one observation. Folds share training posts,
    so their errors hang together: the variance is enlarged by the factor that Nadeau and Bengio
    (2003) give for it, ``1 + folds * num_test / num_train``.

    Args:
        right: where the probe is right.
        known: where the innocent probe is right.
        groups: number of each post's group.
        folds: of the cross-validation.
    """
    difference = right.astype(np.float64) - known
    gain = float(difference.mean())
    sums = np.bincount(groups, weights=difference - gain)
    enlarged = 1 + folds / (folds - 1)
    return gain, float(np.sqrt(enlarged * (sums**2).sum()) / len(difference))


def _table(codes: Codes, labels: Codes, num_buckets: int) -> Codes:
    """Return how often each label stands in each bucket: buckets x labels."""
    num_labels = int(labels.max()) + 1
    counts = np.bincount(codes * num_labels + labels, minlength=num_buckets * num_labels)
    return counts.reshape(num_buckets, num_labels).astype(np.int64)
