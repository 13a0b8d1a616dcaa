"""How well clusters agree with annotated relations: B-cubed, V-measure, adjusted Rand index.

All three are functions of one table: how many posts of each relation are in each cluster.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cache.errors import InputError


@dataclass(frozen=True, slots=True)
class ClusterScores:
    """Agreement of clusters with relations; all but the last two lie in [0, 1].

    Attributes:
        b3_precision: mean over posts of the share of its cluster that has its relation
            (Bagga and Baldwin, 1998).
        b3_recall: mean over posts of the share of its relation that is in its cluster.
        b3_f1: their harmonic mean.
        homogeneity: how far a cluster holds one relation only (Rosenberg and Hirschberg, 2007).
        completeness: how far a relation lies in one cluster only.
        v_measure: their harmonic mean.
        ari: share of pairs of posts that are rightly together or apart, above chance; 1 at best,
            about 0 by chance (Hubert and Arabie, 1985).
        posts: how many were scored.
    """

    b3_precision: float
    b3_recall: float
    b3_f1: float
    homogeneity: float
    completeness: float
    v_measure: float
    ari: float
    posts: int

    def to_json(self) -> dict[str, float]:
        """Return every figure by name."""
        return asdict(self)


def cluster_scores(relations: Sequence[Hashable], clusters: Sequence[Hashable]) -> ClusterScores:
    """Return how well ``clusters`` agree with ``relations``; their names do not matter.

    Raises:
        InputError: no posts, or not one cluster for each.
    """
    if len(relations) != len(clusters) or not len(relations):
        raise InputError(
            f"{len(clusters)} clusters for {len(relations)} annotated posts. "
            "Give every post of the split one cluster, in the same order."
        )
    table = _contingency(relations, clusters)
    shares = table / table.sum()
    in_cluster, in_relation = table.sum(axis=0), table.sum(axis=1)
    precision = float((shares * table / in_cluster).sum())
    recall = float((shares * table / in_relation[:, None]).sum())
    of_relations, of_clusters = _entropy(shares.sum(axis=1)), _entropy(shares.sum(axis=0))
    both = _entropy(shares.ravel())
    homogeneity = 1 - (both - of_clusters) / of_relations if of_relations else 1.0
    completeness = 1 - (both - of_relations) / of_clusters if of_clusters else 1.0
    return ClusterScores(
        b3_precision=precision,
        b3_recall=recall,
        b3_f1=_harmonic(precision, recall),
        homogeneity=homogeneity,
        completeness=completeness,
        v_measure=_harmonic(homogeneity, completeness),
        ari=adjusted_rand_index(table),
        posts=len(relations),
    )


def adjusted_rand_index(table: Int[np.ndarray, "relations clusters"]) -> float:
    """Return the adjusted Rand index of a contingency table."""
    together = _pairs(table)
    by_relation, by_cluster = _pairs(table.sum(axis=1)), _pairs(table.sum(axis=0))
    total = _pairs(table.sum())
    by_chance = by_relation * by_cluster / total if total else 0.0
    most = (by_relation + by_cluster) / 2
    # Both trivial in the same way: one part each, or every post by itself.
    return 1.0 if most == by_chance else (together - by_chance) / (most - by_chance)


def agreement(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Return the adjusted Rand index of two labellings of the same posts."""
    return adjusted_rand_index(_contingency(one, other))


def _contingency(
    relations: Sequence[Hashable], clusters: Sequence[Hashable]
) -> Int[np.ndarray, "relations clusters"]:
    rows = {name: index for index, name in enumerate(dict.fromkeys(relations))}
    columns = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    table = np.zeros((len(rows), len(columns)), np.int64)
    for relation, cluster in zip(relations, clusters, strict=True):
        table[rows[relation], columns[cluster]] += 1
    return table


def _pairs(counts: Any) -> float:
    """Return how many pairs there are within parts of these sizes."""
    sizes = np.asarray(counts, np.float64)
    return float((sizes * (sizes - 1)).sum() / 2)


def _entropy(shares: Float[np.ndarray, " parts"]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum()) if len(present) > 1 else 0.0


def _harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other > 0 else 0.0
