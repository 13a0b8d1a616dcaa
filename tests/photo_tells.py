"""Posts whose label only what is seen tells, not the words; and what systems learn of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from model_helpers import MemoryStore, model_settings, stored, train_settings

from cache.records import Region, Span, StoredExample, Vector
from model.scoring.evaluation import evaluate
from model.training import train

SPLITS = (("train", 16), ("dev", 8), ("test", 8))


def post_told_by_photo(
    name: str, words: str, kind: int, task: str, region: Vector | None = None
) -> StoredExample:
    """Return a post whose second word is a PER, or whose relation is ``in``, if ``kind`` is 0.

    Args:
        name: split and number, as ``train-3``.
        words: of the post, five at least.
        kind: 0 or 1; nothing in the words tells it.
        task: ``entities`` or ``relations``.
        region: embedding of its only region; None leaves the regions as they come.
    """
    post = stored(
        name,
        words,
        photo=True,
        entities=(Span(1, 2, ("PER", "LOC")[kind]),) if task == "entities" else None,
        relation=("in", "None")[kind] if task == "relations" else None,
        mentions=(Span(1, 2), Span(4, 5)) if task == "relations" else None,
        split=name.split("-")[0],
    )
    if region is None:
        return post
    crop = Region((0.0, 0.0, 9.0, 9.0), "dog", 0.9, region)
    seen = dataclasses.replace(post.observation, regions=(crop,))
    return StoredExample(post.example, seen, ())


def store_told_by_photo(task: str, region: Vector | None = None) -> MemoryStore:
    """Return posts of all splits with the same words; the kind is the parity of the number."""
    return MemoryStore(
        [
            post_told_by_photo(
                f"{split}-{number}", "the quill sings in velora", number % 2, task, region
            )
            for split, count in SPLITS
            for number in range(count)
        ]
    )


def learned(
    fusion: str, store: MemoryStore, task: str, folder: Path, *, epochs: int, rate: float = 3e-3
) -> float:
    """Train ``fusion`` and return F1 on test."""
    out = folder / fusion
    settings = train_settings(epochs=epochs, learning_rate=rate, head_learning_rate=5e-3)
    train(store, task, model_settings(fusion=fusion), settings, out, device="cpu")  # type: ignore[arg-type]
    return evaluate(out, store, "test", device="cpu").f1
