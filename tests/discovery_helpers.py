"""Posts about two names, with a relation that the words between them tell, or the evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from model_helpers import (
    VISUAL_DIM,
    MemoryStore,
    evidence,
    model_settings,
    stored,
    train_settings,
    vector,
)

from cache.reader import Features
from cache.records import Span, StoredExample
from model.discovery.pairs import PairReader, pair_reader

RELATIONS = ("sings", "river", "club")


def names(number: int) -> tuple[str, str]:
    """Return two names of two letters that say nothing of a relation."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return (
        letters[(3 * number) % 26] + letters[(5 * number + 1) % 26],
        letters[(7 * number + 2) % 26] + letters[(11 * number + 3) % 26],
    )


def told_by_words(count: int, split: str, offset: int = 0) -> list[StoredExample]:
    """Return posts of three relations, each with a word of its own between the names."""
    posts = []
    for number in range(offset, offset + count):
        one, other = names(number)
        relation = RELATIONS[number % 3]
        posts.append(
            stored(
                f"{split}-{number:03}",
                f"in the {one} {relation} {relation} {other} a",
                kept=[evidence("sentence", "text", 0, f"{one} {relation} {other}", number)],
                relation=relation,
                mentions=(Span(2, 3), Span(5, 6)),
                split=split,
            )
        )
    return posts


def told_by_evidence(count: int, split: str, offset: int = 0) -> list[StoredExample]:
    """Return posts of the same words; only the passage beside them tells the relation."""
    posts = []
    for number in range(offset, offset + count):
        relation, noise = RELATIONS[number % 3], names(number)[0]
        posts.append(
            stored(
                f"{split}-{number:03}",
                "velora quill tamber",
                kept=[evidence("sentence", "text", 0, f"{relation} {relation} {noise}", 1)],
                relation=relation,
                mentions=(Span(0, 1), Span(2, 3)),
                split=split,
            )
        )
    return posts


def pictured(posts: list[StoredExample]) -> list[StoredExample]:
    """Return the posts with a photo, two regions and a found image; all tell the relation."""
    shown = []
    for post in posts:
        assert post.example.relation is not None
        kind = 10 * RELATIONS.index(post.example.relation)
        with_photo = stored(post.example.post.example_id, "a", photo=True).observation
        regions = [
            replace(region, embedding=vector(kind + at))
            for at, region in enumerate(with_photo.regions, start=1)
        ]
        observation = replace(
            with_photo,
            post=post.observation.post,
            photo_embedding=vector(kind + 3),
            regions=tuple(regions),
        )
        found = evidence("sentence", "image", 0, seed=kind + 4)
        shown.append(replace(post, observation=observation, evidence=(*post.evidence, found)))
    return shown


def told_by_images(count: int, split: str, offset: int = 0) -> list[StoredExample]:
    """Return posts of the same words and without any text beside them; only images tell."""
    posts = told_by_evidence(count, split, offset)
    return pictured([replace(post, evidence=()) for post in posts])


def store_of(posts: list[StoredExample], visual_dim: int = 0) -> MemoryStore:
    """Return a store in memory, without any image unless their vectors have a length."""
    return MemoryStore(posts, visual_dim)


def features(posts: list[StoredExample]) -> list[Features]:
    """Return what a trainer gets of ``posts``, annotations and all."""
    store = store_of(posts, VISUAL_DIM)
    return [store.features(post.example.post.example_id) for post in posts]


def reader(
    folder: Path,
    fusion: str = "text_only",
    seed: int = 1,
    visual_dim: int = 0,
    **train: object,
) -> PairReader:
    """Return a reader on a tiny random encoder, of a store with or without images."""
    settings = {"learning_rate": 2e-3, "head_learning_rate": 5e-3, "batch_size": 8, "seed": seed}
    return pair_reader(
        store_of([], visual_dim),
        model_settings(fusion=fusion, dropout=0.0),
        train_settings(**{**settings, **train}),
        folder,
        device="cpu",
    )
