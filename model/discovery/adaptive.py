"""Adaptive clustering: latent vectors and clusters that sharpen each other.

Xie et al., ICML 2016 (DEC), as SelfORE uses it: a network maps pairs to latent vectors ``z``;
clusters with centroids ``mu`` share every pair among them by a Student t kernel,
``q_ij ~ (1 + |z_i - mu_j|^2)^-1``; the target ``p_ij ~ q_ij^2 / sum_i q_ij`` is surer and gives
small clusters their due; the loss is KL(p || q). The network is warmed up as an autoencoder and
the centroids are placed by k-means, without which the targets would confirm an accident.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from model.discovery.kmeans import k_means
from model.discovery.settings import SelfOreSettings

_BATCH = 256


class AdaptiveClustering(nn.Module):
    """The latent network, its way back for the warm start, and the centroids."""

    def __init__(self, dim: int, clusters: int, settings: SelfOreSettings) -> None:
        super().__init__()
        hidden, latent = settings.hidden, settings.latent
        self.encode = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, latent))
        self.decode = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.centroids = nn.Parameter(torch.zeros(clusters, latent))

    def forward(self, pairs: Float[Tensor, "posts pair"]) -> Float[Tensor, "posts clusters"]:
        """Return to which share each pair belongs to each cluster."""
        return soft_assignment(self.encode(pairs), self.centroids)


def soft_assignment(
    latent: Float[Tensor, "posts latent"], centroids: Float[Tensor, "clusters latent"]
) -> Float[Tensor, "posts clusters"]:
    """Return ``q_ij = (1 + |z_i - mu_j|^2)^-1 / sum_j' (1 + |z_i - mu_j'|^2)^-1``."""
    distances = (latent[:, None] - centroids[None]).square().sum(dim=-1)
    closeness = 1 / (1 + distances)
    return closeness / closeness.sum(dim=1, keepdim=True)


def target_distribution(
    shares: Float[Tensor, "posts clusters"],
) -> Float[Tensor, "posts clusters"]:
    """Return ``p_ij = (q_ij^2 / f_j) / sum_j' (q_ij'^2 / f_j')`` with ``f_j = sum_i q_ij``."""
    surer = shares.square() / shares.sum(dim=0)
    return surer / surer.sum(dim=1, keepdim=True)


def divergence(
    target: Float[Tensor, "posts clusters"], shares: Float[Tensor, "posts clusters"]
) -> Tensor:
    """Return the mean over posts of ``KL(p || q)``."""
    return nn.functional.kl_div(shares.log(), target, reduction="batchmean")


def adapt(
    pairs: Float[Tensor, "posts pair"], clusters: int, settings: SelfOreSettings, seed: int
) -> Int[Tensor, " posts"]:
    """Return the cluster of each pair after warm start and sharpening.

    Args:
        pairs: their vectors; every dimension is brought to mean 0 and spread 1 first.
        clusters: how many are looked for; no more than there are pairs.
        settings: sizes, passes and rate.
        seed: of first weights, batches and first centroids.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        plain = standardised(pairs)
        clusters = min(clusters, len(plain))
        clustering = AdaptiveClustering(plain.shape[1], clusters, settings)
        _warm_up(clustering, plain, settings)
        with torch.no_grad():
            latent = clustering.encode(plain)
            clustering.centroids.copy_(k_means(latent, clusters, seed).centres)
        _sharpen(clustering, plain, settings)
        with torch.no_grad():
            found: Tensor = clustering(plain).argmax(dim=1)
    return found


def standardised(points: Float[Tensor, "points dim"]) -> Float[Tensor, "points dim"]:
    """Return ``points`` with mean 0 and spread 1 in every dimension that has any."""
    spread = points.std(dim=0, correction=0)
    return (points - points.mean(dim=0)) / torch.where(spread > 0, spread, 1.0)


def _warm_up(clustering: AdaptiveClustering, pairs: Tensor, settings: SelfOreSettings) -> None:
    parameters = [*clustering.encode.parameters(), *clustering.decode.parameters()]
    optimizer = torch.optim.Adam(parameters, settings.rate)
    for _ in range(settings.warm_epochs):
        for batch in pairs[torch.randperm(len(pairs))].split(_BATCH):  # type: ignore[no-untyped-call]
            loss = nn.functional.mse_loss(clustering.decode(clustering.encode(batch)), batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _sharpen(clustering: AdaptiveClustering, pairs: Tensor, settings: SelfOreSettings) -> None:
    parameters = [*clustering.encode.parameters(), clustering.centroids]
    optimizer = torch.optim.Adam(parameters, settings.rate)
    for _ in range(settings.refine_epochs):
        with torch.no_grad():
            target = target_distribution(clustering(pairs))
        for indices in torch.randperm(len(pairs)).split(_BATCH):  # type: ignore[no-untyped-call]
            loss = divergence(target[indices], clustering(pairs[indices]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
