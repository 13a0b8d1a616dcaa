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
    reader: PairReader, network: nn.Module, pairs: Pairs, clusters: int
) -> Found:
    """Return the clusters that k-means sees in the vectors of ``network``.

    Vectors have length 1 and then, over ``pairs``, mean 0 and spread 1 in each dimension: a few
    dimensions of a pretrained encoder are so large that no other would count.

    Args:
        reader: what prepares batches, and the seed.
        network: gives a vector for every pair.
        pairs: whose vectors the centres are placed by.
        clusters: how many are looked for.
    """

    def look(those: Pairs) -> Tensor:
        return nn.functional.normalize(reader.look(network, reader.prepare(those)), dim=-1)

    seen = look(pairs)
    spread = seen.std(dim=0, correction=0)
    mean, scale = seen.mean(dim=0), spread.where(spread > 0, 1.0)
    centres = k_means((seen - mean) / scale, clusters, reader.train.seed).centres

    def assign(new: Pairs) -> Int[np.ndarray, " posts"]:
        return nearest((look(new) - mean) / scale, centres).numpy()

    return Found(assign)


def untrained(reader: PairReader, pairs: Pairs, clusters: int) -> Found:
    """Return clusters of the network as it comes from its pretrained weights: the baseline."""
    return found_around_centres(reader, reader.network(), pairs, clusters)
