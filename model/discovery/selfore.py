"""SelfORE: clusters teach a classifier, whose vectors make better clusters (Hu et al., 2020).

The published code clusters the states of every piece, flattened; what the paper means, and what
is here, is the pair ``[h_[E1]; h_[E2]]``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Int

from model.data import PreparedPost
from model.discovery.adaptive import adapt
from model.discovery.classify import Lesson, PairClassifier, Teacher
from model.discovery.found import Found
from model.discovery.pairs import PairReader, Pairs
from model.discovery.scores import agreement
from model.discovery.settings import SelfOreSettings


def selfore(reader: PairReader, pairs: Pairs, clusters: int, settings: SelfOreSettings) -> Found:
    """Return clusters of relations, found without any label.

    Args:
        reader: networks and batches; its training settings give rates and seed.
        pairs: what is learned from.
        clusters: how many relations are looked for.
        settings: of the loop.
    """
    seed = reader.train.seed
    torch.manual_seed(seed)
    posts = reader.prepare(pairs)
    network = reader.network()
    classes: Int[np.ndarray, " posts"] | None = None
    classifier: PairClassifier | None = None
    for loop in range(settings.loops):
        seen = reader.look(network, posts)
        before, classes = (
            classes,
            adapt(seen, clusters, settings, seed).numpy(),
        )
        if before is not None and agreement(before.tolist(), classes.tolist()) >= settings.settled:
            break
        # Clusters have other numbers in every loop: the classifier starts anew, its encoder not.
        classifier = PairClassifier(network, clusters, reader.parts.run.model.dropout)
        classifier.to(reader.device)
        _teach(reader, classifier, posts, classes, settings.epochs, f"loop {loop + 1}")
    assert classifier is not None
    learned = classifier
    return Found(lambda new: reader.look(learned, reader.prepare(new)).argmax(dim=1).numpy())


def _teach(
    reader: PairReader,
    classifier: PairClassifier,
    posts: list[PreparedPost],
    classes: Int[np.ndarray, " posts"],
    epochs: int,
    name: str,
) -> None:
    steps = epochs * math.ceil(len(posts) / reader.train.batch_size)
    Teacher(reader, classifier, steps).teach(Lesson.sure(posts, classes), steps, name)
