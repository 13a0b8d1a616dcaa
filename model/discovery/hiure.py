"""HiURE: pairs told apart, and drawn to exemplars of several granularities (Liu et al., 2022).

Two encoders see two random spans of a post. The fast one is trained to find the slow one's view of
the same post among others (InfoNCE), and the exemplars that speak for the post in every layer
(exemplar NCE, each divided by its concentration); the slow one follows by momentum. In the
published code both are one object, and the slow view is the fast one; here they are two. Exemplars
come from the slow encoder, and so do the clusters in the end.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.data import PreparedPost
from model.device import autocast
from model.discovery.contrast import (
    Queue,
    concentrations,
    exemplar_loss,
    follow,
    instance_loss,
)
from model.discovery.found import Found, found_around_centres
from model.discovery.pairs import PairNetwork, PairReader, Pairs, make_optimizer, take_step
from model.discovery.propagation import Layer, exemplar_layers
from model.discovery.settings import HiureSettings
from model.discovery.views import random_spans
from model.training.optimizer import set_rates
from model.training.step import enough_memory


@dataclass(frozen=True, slots=True, eq=False)
class ExemplarLayer:
    """A layer with what its loss reads.

    Attributes:
        layer: exemplars, and who is assigned to which.
        vectors: [exemplars, dim] unit vectors.
        concentration: [exemplars] phi.
    """

    layer: Layer
    vectors: Tensor
    concentration: Tensor


class Twins:
    """The fast encoder and the slow one that follows it: two networks, never one."""

    def __init__(self, fast: PairNetwork, momentum: float) -> None:
        self.fast = fast
        self.slow = copy.deepcopy(fast).requires_grad_(requires_grad=False)
        self.momentum = momentum

    def follow(self) -> None:
        """Let the slow encoder take its step."""
        follow(self.slow, self.fast, self.momentum)


def hiure(reader: PairReader, pairs: Pairs, clusters: int, settings: HiureSettings) -> Found:
    """Return clusters of relations, found without any label.

    Args:
        reader: networks and batches; its training settings give rates and seed.
        pairs: what is learned from.
        clusters: how many relations are looked for.
        settings: of the contrast.
    """
    torch.manual_seed(reader.train.seed)
    twins = Twins(reader.network(), settings.momentum)
    contrast = _Contrast(reader, twins, pairs, settings)
    for epoch in range(settings.epochs):
        contrast.epoch(epoch)
    return found_around_centres(reader, twins.slow, pairs, clusters)


def unit(vectors: Tensor) -> Tensor:
    """Return ``vectors`` at length 1."""
    return nn.functional.normalize(vectors, dim=-1)


class _Contrast:
    """The training of one pair of encoders."""

    def __init__(
        self, reader: PairReader, twins: Twins, pairs: Pairs, settings: HiureSettings
    ) -> None:
        self.reader, self.twins, self.pairs, self.settings = reader, twins, pairs, settings
        self.whole = reader.prepare(pairs)
        self.queue = Queue(settings.queue)
        self.optimizer = make_optimizer([twins.fast], reader.train)
        self.chance = torch.Generator().manual_seed(reader.train.seed)
        self.per_epoch = len(reader.order(self.whole, 0))
        self.taken = 0

    def epoch(self, epoch: int) -> None:
        """Take one pass over all pairs in two fresh views."""
        layers = self._layers(epoch) if epoch >= self.settings.instance_epochs else []
        seed = self.reader.train.seed
        views = [
            self.reader.prepare(random_spans(self.pairs, seed, epoch, view)) for view in (0, 1)
        ]
        # The slow one too, whose dropout would else depend on whether it has been looked at.
        self.twins.fast.train()
        self.twins.slow.train()
        batches = self.reader.order(self.whole, epoch)
        for indices in self.reader.bar(batches, f"epoch {epoch + 1}"):
            self._step(views, indices, layers)

    def _step(
        self, views: list[list[PreparedPost]], indices: list[int], layers: list[ExemplarLayer]
    ) -> None:
        reader, settings = self.reader, self.settings
        total = self.per_epoch * settings.epochs
        set_rates(self.optimizer, self.taken, total, reader.train.warmup)
        posts, queue = torch.tensor(indices), self.queue
        seen, partners = (reader.batch([view[i] for i in indices]) for view in views)
        with enough_memory(seen, in_parts=False):
            with autocast(reader.device, reader.bfloat16):
                fast = self.twins.fast(seen)
                with torch.no_grad():
                    slow = self.twins.slow(partners)
            fast, slow = unit(fast.float()), unit(slow.float())
            same = queue.of(posts).to(fast.device)
            loss = instance_loss(fast, slow, queue.vectors, settings.temperature, same)
            if layers:
                drawn = [self._drawn_to(fast, layer, indices) for layer in layers]
                loss = loss + torch.stack(drawn).mean()
            take_step(self.optimizer, loss, reader.train, seen.posts)
        self.twins.follow()
        queue.push(slow, posts)
        self.taken += 1

    def _drawn_to(self, fast: Tensor, layer: ExemplarLayer, indices: list[int]) -> Tensor:
        device = self.reader.device
        assigned = layer.layer.assigned[indices].to(device)
        kept = None
        if 0 < self.settings.negatives < len(layer.vectors) - 1:
            kept = torch.zeros(len(layer.vectors))
            drawn = torch.randperm(len(kept), generator=self.chance)[: self.settings.negatives]
            kept = kept.index_fill_(0, drawn, 1.0).to(device)
        return exemplar_loss(
            fast, layer.vectors.to(device), assigned, layer.concentration.to(device), kept
        )

    def _layers(self, epoch: int) -> list[ExemplarLayer]:
        """Return the layers that the slow encoder sees in the whole posts."""
        settings = self.settings
        seen = unit(self.reader.look(self.twins.slow, self.whole))
        layers = exemplar_layers(
            seen,
            settings.layers,
            basis=settings.basis,
            damping=settings.damping,
            seed=self.reader.train.seed + epoch,
        )
        described = []
        for layer in layers:
            vectors = seen[layer.exemplars]
            phi = concentrations(
                seen, vectors, layer.assigned, settings.smoothing, settings.temperature
            )
            described.append(ExemplarLayer(layer, vectors, phi))
        return described
