"""K-means, adaptive clustering and propagation, each against a slow reference."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.cluster import AffinityPropagation
from sklearn.datasets import make_blobs
from torch import Tensor

from model.discovery.adaptive import (
    AdaptiveClustering,
    adapt,
    divergence,
    soft_assignment,
    standardised,
    target_distribution,
)
from model.discovery.kmeans import k_means
from model.discovery.propagation import exemplar_layers, propagate
from model.discovery.scores import agreement
from model.discovery.settings import HiureSettings, SelfOreSettings


def blobs(count: int, centres: int, seed: int = 0, dim: int = 6) -> tuple[Tensor, list[int]]:
    points, wanted = make_blobs(count, dim, centers=centres, cluster_std=0.6, random_state=seed)
    return torch.from_numpy(points.astype(np.float32)), wanted.tolist()


def test_k_means_finds_the_best_of_all_partitions_of_a_few_points() -> None:
    points = torch.tensor([[0.0], [0.1], [1.0], [1.2], [5.0], [5.1], [5.3]])

    def inertia(partition: tuple[int, ...]) -> float:
        parts = [points[[i for i, part in enumerate(partition) if part == p]] for p in range(3)]
        return sum(float((part - part.mean(0)).square().sum()) for part in parts if len(part))

    best = min(inertia(partition) for partition in itertools.product(range(3), repeat=7))

    assert k_means(points, 3, seed=1).inertia == pytest.approx(best, abs=1e-5)


def test_k_means_bears_copies_and_fewer_points_than_clusters() -> None:
    copies = torch.ones(5, 3)

    assert k_means(copies, 3, seed=1).inertia == 0
    assert len(k_means(copies[:2], 3, seed=1).centres) == 2


def test_the_soft_assignment_is_the_student_t_of_the_paper() -> None:
    torch.manual_seed(0)
    latent, centroids = torch.randn(5, 3), torch.randn(4, 3)

    found = soft_assignment(latent, centroids)

    for i in range(5):
        kernel = [
            1 / (1 + sum((float(latent[i, d]) - float(centroids[j, d])) ** 2 for d in range(3)))
            for j in range(4)
        ]
        for j in range(4):
            assert float(found[i, j]) == pytest.approx(kernel[j] / sum(kernel), rel=1e-5)


def test_the_target_squares_shares_and_gives_small_clusters_their_due() -> None:
    torch.manual_seed(0)
    shares = torch.rand(6, 3).softmax(dim=1)

    found = target_distribution(shares)

    frequency = [sum(float(shares[i, j]) for i in range(6)) for j in range(3)]
    for i in range(6):
        raw = [float(shares[i, j]) ** 2 / frequency[j] for j in range(3)]
        for j in range(3):
            assert float(found[i, j]) == pytest.approx(raw[j] / sum(raw), rel=1e-5)


def test_the_divergence_is_that_of_the_target_from_the_shares() -> None:
    torch.manual_seed(0)
    shares = torch.rand(6, 3).softmax(dim=1)
    target = target_distribution(shares)

    by_hand = sum(
        float(target[i, j]) * math.log(float(target[i, j]) / float(shares[i, j]))
        for i in range(6)
        for j in range(3)
    )

    assert float(divergence(target, shares)) == pytest.approx(by_hand / 6, rel=1e-4)
    assert float(divergence(shares, shares)) == pytest.approx(0, abs=1e-7)


def test_every_parameter_of_the_latent_network_and_every_centroid_is_trained() -> None:
    torch.manual_seed(0)
    clustering = AdaptiveClustering(6, 3, SelfOreSettings(hidden=8, latent=2))
    torch.nn.init.normal_(clustering.centroids)
    points = torch.randn(20, 6)

    warm = (clustering.decode(clustering.encode(points)) - points).square().mean()
    shares = clustering(points)
    (warm + divergence(target_distribution(shares).detach(), shares)).backward()

    for name, parameter in clustering.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_adaptive_clustering_finds_separate_clouds_and_the_same_ones_again() -> None:
    points, wanted = blobs(150, 4)
    settings = SelfOreSettings(hidden=32, latent=4, warm_epochs=30, refine_epochs=20)

    state = torch.get_rng_state()
    found = adapt(points, 4, settings, seed=3)

    assert agreement(wanted, found.tolist()) > 0.95
    assert torch.equal(found, adapt(points, 4, settings, seed=3))
    assert torch.equal(state, torch.get_rng_state())


def test_sharpening_brings_the_shares_nearer_to_targets_that_are_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, _ = blobs(80, 4)
    settings = SelfOreSettings(hidden=16, latent=3, warm_epochs=20, rate=1e-2)
    made: list[AdaptiveClustering] = []
    targets: list[Tensor] = []

    class Kept(AdaptiveClustering):
        def __init__(self, dim: int, clusters: int, settings: SelfOreSettings) -> None:
            super().__init__(dim, clusters, settings)
            made.append(self)

    def target(shares: Tensor) -> Tensor:
        targets.append(target_distribution(shares))
        return targets[-1]

    monkeypatch.setattr("model.discovery.adaptive.AdaptiveClustering", Kept)
    monkeypatch.setattr("model.discovery.adaptive.target_distribution", target)
    for epochs in (0, 1, 2, 20):
        adapt(points, 4, settings.model_copy(update={"refine_epochs": epochs}), seed=3)

    shares = [clustering(standardised(points)).detach() for clustering in made]
    # All start alike: one target of the first epoch, two of the first two, and so on.
    assert len(targets) == 1 + 2 + 20
    first, renewed = target_distribution(shares[0]), target_distribution(shares[1])
    torch.testing.assert_close(targets[0], first)
    torch.testing.assert_close(targets[2], renewed)
    from_first = [float(divergence(first, each)) for each in shares]
    assert from_first[0] > from_first[1] > from_first[2]
    assert from_first[3] < 0.8 * from_first[0]
    assert float(divergence(renewed, shares[2])) < float(divergence(renewed, shares[1]))
    for moved in ("centroids", "encode.0.weight", "encode.2.weight"):
        start, end = (made[place].get_parameter(moved) for place in (0, 3))
        assert not torch.equal(start, end)


@pytest.mark.parametrize("posts", [1, 3])
def test_there_are_no_more_clusters_than_pairs(posts: int) -> None:
    points, _ = blobs(posts, 1)
    settings = SelfOreSettings(hidden=8, latent=2, warm_epochs=2, refine_epochs=2)

    found = adapt(points, 10, settings, seed=1)

    assert found.shape == (posts,)
    assert set(found.tolist()) <= set(range(posts))


def test_a_dimension_that_never_varies_does_no_harm() -> None:
    points = torch.tensor([[1.0, 2.0], [1.0, 4.0]])

    assert standardised(points).tolist() == [[0.0, -1.0], [0.0, 1.0]]


@pytest.mark.parametrize("preference", [-80.0, -20.0, -5.0])
def test_propagation_elects_whom_scikit_learn_elects(preference: float) -> None:
    points, _ = blobs(60, 5, seed=2)
    similarities = -torch.cdist(points, points).square()

    found = propagate(similarities, preference, damping=0.7)

    reference = AffinityPropagation(
        preference=preference, damping=0.7, affinity="precomputed", random_state=0
    ).fit(similarities.double().numpy())
    # Of two points that have nobody but each other, either may be the exemplar.
    assigned = similarities[:, found].argmax(dim=1).tolist()
    assert len(found) == len(reference.cluster_centers_indices_)
    assert agreement(assigned, reference.labels_.tolist()) == 1.0


def test_a_mass_of_three_elects_as_three_copies_do() -> None:
    points, _ = blobs(24, 3, seed=1)
    masses = torch.ones(24)
    masses[:6] = 3
    copies = torch.cat([points, points[:6], points[:6]])
    # Copies at no distance would be each other's equals; the smallest one decides between them.
    copies[24:] += 1e-3

    with_masses = propagate(
        -torch.cdist(points, points).square(), -30.0, damping=0.8, masses=masses
    )
    with_copies = propagate(-torch.cdist(copies, copies).square(), -30.0, damping=0.8)

    assert {i % 24 if i < 24 else (i - 24) % 6 for i in with_copies.tolist()} == set(
        with_masses.tolist()
    )


def test_exemplars_are_nested_fall_to_about_the_counts_and_find_the_clouds() -> None:
    points, wanted = blobs(160, 4, seed=5, dim=12)
    unit = torch.nn.functional.normalize(points, dim=1)

    layers = exemplar_layers(unit, (20, 8, 4), basis=120, damping=0.7, seed=1)

    sizes = [len(layer.exemplars) for layer in layers]
    assert [abs(a - b) <= 3 for a, b in zip(sizes, (20, 8, 4), strict=True)] == [True] * 3
    for fine, coarse in itertools.pairwise(layers):
        assert set(coarse.exemplars.tolist()) <= set(fine.exemplars.tolist())
    for layer in layers:
        similar = unit @ unit[layer.exemplars].T
        assert torch.equal(layer.assigned, similar.argmax(dim=1))
        # An exemplar speaks for itself.
        assert layer.assigned[layer.exemplars].tolist() == list(range(len(layer.exemplars)))
    assert agreement(wanted, layers[-1].assigned.tolist()) > 0.9


def test_layers_finer_than_there_are_points_are_left_out() -> None:
    points = torch.nn.functional.normalize(torch.randn(9, 4), dim=1)

    assert len(exemplar_layers(points, (100, 16, 3), basis=50, damping=0.7, seed=1)) == 1


def test_layers_that_do_not_fall_are_refused() -> None:
    with pytest.raises(ValidationError, match="from fine to coarse"):
        HiureSettings(layers=(4, 10))
