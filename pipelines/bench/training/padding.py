"""How much of what is encoded in an epoch is padding."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cache.reader import Features
from cache.store import open_store
from model.build import Parts, new_parts
from model.data import label_set, read_split
from model.run import Run, code_version, library_versions
from model.settings import ModelSettings, TrainSettings
from model.training.plan import Plan, mismatch_of
from pipelines.bench.figures import Figure
from pipelines.bench.training.author_style import pieces_of

_ASKED: Final = 0.9


def bench_padding(store: Path, model: ModelSettings, batch_size: int, seed: int) -> list[Figure]:
    """Return the share of real pieces among all that one epoch of a store's posts encodes.

    Args:
        store: of posts annotated with entities.
        model: its tokenizer and limits are those of the training.
        batch_size: posts in a step.
        seed: of the order.

    Raises:
        InputError: no such encoder.
        StoreError: the store cannot be used.
    """
    with open_store(store) as source:
        features = read_split(source, "train")
    figures = []
    for reading in ("joint", "separate"):
        settings = model.model_copy(update={"evidence_reading": reading})
        parts = _parts(settings, features, seed)
        posts = [parts.preparer.prepare(post) for post in features]
        train = TrainSettings(batch_size=batch_size, seed=seed)
        plan = Plan(posts, parts.collator, train, mismatch_of(settings, train))
        real, encoded = padded(plan)
        figures.append(
            Figure(f"share of real pieces in an epoch, {reading} reading", real / encoded, _ASKED)
        )
    return figures


def padded(plan: Plan) -> tuple[int, int]:
    """Return how many pieces of sentences and evidence an epoch has, without and with padding."""
    real = encoded = 0
    for step in range(plan.steps_per_epoch):
        posts, shown, _ = zip(*plan.turns(step), strict=True)
        of_batch, without_padding = pieces_of(plan.collator(posts, shown))
        real, encoded = real + without_padding, encoded + of_batch
    return real, encoded


def _parts(model: ModelSettings, features: Sequence[Features], seed: int) -> Parts:
    run = Run(
        task="entities",
        labels=label_set((post.example for post in features), "entities"),
        visual_dim=0,
        store="",
        model=model,
        train=TrainSettings(seed=seed),
        code_version=code_version(),
        libraries=library_versions(),
    )
    with tempfile.TemporaryDirectory() as folder:
        return new_parts(run, Path(folder))
