"""A very small data set with recorded evidence, its recipe and grid, and made-up tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from model_helpers import tiny_encoder

from model.scoring.metrics import Counts
from pipelines.comparing.compare import Grid
from pipelines.comparing.places import one_place
from pipelines.comparing.scored import Scored
from pipelines.comparing.systems import blocks_of
from pipelines.config import Recipe

KINDS = ("person", "place")
SPLITS = {"train": 12, "valid": 4, "test": 6}


def write_posts(folder: Path, splits: dict[str, int] = SPLITS) -> Path:
    """Write posts about names of letters; only the context after <EOS> says person or place."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for split, count in splits.items():
        sentences = []
        for _ in range(count):
            name = "".join(chr(97 + (number * step + step) % 26) for step in (3, 5, 7))
            kind = number % 2
            label = ("B-PER", "B-LOC")[kind]
            words = [("the", "O"), (name, label), ("sings", "O"), ("<EOS>", "X")]
            words += [(word, "X") for word in (name, "is", "a", KINDS[kind], "in", "velora")]
            sentences.append("".join(f"{word}\t{tag}\n" for word, tag in words))
            number += 1
        (folder / f"{split}.txt").write_text("\n".join(sentences), encoding="utf-8")
    return folder


def tiny_recipe(data: Path, **train: object) -> Recipe:
    """Return a recipe over `write_posts`, with the tiny encoder and the shortest training."""
    return Recipe.model_validate(
        {
            "name": "tiny",
            "dataset": {"reader": "twitter", "task": "mner", "root": data},
            "observe": {"detector": "none", "encoder": "none"},
            "ask": {
                "providers": ["recorded"],
                "imports": [
                    {
                        "path": data,
                        "format": "conll-context",
                        "level": "sentence",
                        "modality": "text",
                    }
                ],
            },
            "curate": {"max_false_keeps": 1.0, "reference_posts": 2},
            "shard_size": 8,
            "model": {
                "text_encoder": tiny_encoder(),
                "max_pieces": 24,
                "max_evidence_pieces": 16,
                "heads": 2,
            },
            "train": {
                "precision": "float32",
                "batch_size": 4,
                "epochs": 1,
                "learning_rate": 1e-3,
                **train,
            },
        }
    )


def tiny_grid(
    recipe: Recipe,
    store: Path,
    out: Path,
    fusions: Sequence[str] = ("text_only", "synthesis"),
    seeds: Sequence[int] = (1,),
    **rows: object,
) -> Grid:
    """Return a grid on one store."""
    blocks = blocks_of(fusions, recipe=recipe, **rows)  # type: ignore[arg-type]
    wanted = rows.get("ablate", ())
    filters_off = isinstance(wanted, (list, tuple)) and "filters" in wanted
    place = one_place(recipe, store, out, unfiltered=filters_off, say=lambda _: None)
    return Grid(recipe, tuple(blocks), (place,), tuple(seeds), out)


def made_up(right: float, seed: int = 0, posts: int = 60, task: str = "entities") -> Scored:
    """Return a test in which each of ``posts`` has one entity that is found with some chance."""
    hit = np.random.default_rng(seed).random(posts) < right
    counts = np.stack([hit, ~hit, ~hit], axis=1).astype(np.int64)
    micro = Counts(*counts.sum(0).tolist())
    entities = task == "entities"
    return Scored(
        task=task,
        micro=micro,
        strict=micro if entities else None,
        accuracy=None if entities else micro.recall,
        by_type={"PER": micro},
        counts=counts,
        example_ids=tuple(f"p{number}" for number in range(posts)),
        evaluation={"f1": micro.f1},
    )
