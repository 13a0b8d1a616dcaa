"""What an unsupervised system leaves behind, and the simplest one: k-means on what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from torch import Tensor, nn

from model.discovery.kmeans import k_means, nearest
from model.discovery.pairs import PairReader, Pairs


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Clusters of relations.

    Attributes:
        assign: the number of the cluster of each of some pairs, seen in training or not.
    """

    assign: Callable[[Pairs], Int[np.ndarray, " posts"]]


def found_around_centres(
    reader: PairReader,
    network: nn.Module,
    pairs: Pairs,
    clusters: int,
    scale: Callable[[Tensor], Tensor],
) -> Found:
    """Return the clusters that k-means sees in the vectors of ``network``.

    Args:
        reader: what prepares batches, and the seed.
        network: gives a vector for every pair.
        pairs: whose vectors the centres are placed by.
        clusters: how many are looked for.
        scale: what is done to vectors before distances are taken.
    """
    vectors = scale(reader.look(network, reader.prepare(pairs)))
    centres = k_means(vectors, clusters, reader.train.seed).centres

    def assign(new: Pairs) -> Int[np.ndarray, " posts"]:
        looked = scale(reader.look(network, reader.prepare(new)))
        return nearest(looked, centres).numpy()

    return Found(assign)


def untrained(reader: PairReader, pairs: Pairs, clusters: int) -> Found:
    """Return clusters of the network as it comes from its pretrained weights: the baseline."""
    network = reader.network()
    seen = reader.look(network, reader.prepare(pairs))
    spread = seen.std(dim=0, correction=0)
    mean, scale = seen.mean(dim=0), spread.where(spread > 0, 1.0)
    return found_around_centres(
        reader, network, pairs, clusters, lambda vectors: (vectors - mean) / scale
    )
