"""Posts about two names, with a relation that the words between them tell, or the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
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
from cache.records import Example, Span, StoredExample
from model.discovery.few import relation_of
from model.discovery.pairs import PairReader, pair_reader

RELATIONS = ("sings", "river", "club")
VIEWS = ("photo", "regions", "found image")
World = Callable[..., list[StoredExample]]
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


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


def told_by_one_word(count: int, split: str, offset: int = 0) -> list[StoredExample]:
    """Return posts about the same two names, with a word between them that tells the relation."""
    posts = []
    for number in range(offset, offset + count):
        relation = RELATIONS[number % 3]
        posts.append(
            stored(
                f"{split}-{number:03}",
                f"velora {relation} tamber",
                relation=relation,
                mentions=(Span(0, 1), Span(2, 3)),
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


def pictured(posts: list[StoredExample], telling: Sequence[str] = VIEWS) -> list[StoredExample]:
    """Return the posts with a photo, two regions and a found image.

    Args:
        posts: with their relations.
        telling: which of the three tell the relation; the others look the same in every post.
    """
    shown = []
    for post in posts:
        assert post.example.relation is not None
        relation = RELATIONS.index(post.example.relation)
        photo, region, found = (10 * relation if view in telling else 50 for view in VIEWS)
        with_photo = stored(post.example.post.example_id, "a", photo=True).observation
        regions = [
            replace(each, embedding=vector(region + at))
            for at, each in enumerate(with_photo.regions, start=1)
        ]
        observation = replace(
            with_photo,
            post=post.observation.post,
            photo_embedding=vector(photo + 3),
            sentence_embedding=None,
            regions=tuple(regions),
        )
        image = evidence("sentence", "image", 0, seed=found + 4, consistency=None)
        shown.append(replace(post, observation=observation, evidence=(*post.evidence, image)))
    return shown


def told_by_images(
    count: int, split: str, offset: int = 0, telling: Sequence[str] = VIEWS
) -> list[StoredExample]:
    """Return posts of the same words and without any text beside them; only images tell."""
    posts = told_by_evidence(count, split, offset)
    return pictured([replace(post, evidence=()) for post in posts], telling)


def told_by_both(count: int, split: str, offset: int = 0) -> list[StoredExample]:
    """Return posts whose words, evidence and images all tell."""
    return pictured(told_by_words(count, split, offset))


def chattering(posts: list[StoredExample], letters: int) -> list[StoredExample]:
    """Return the posts with a word of random letters behind the second name.

    It says nothing of the relation, and half of the random spans leave it out.
    """
    longer = []
    for post in posts:
        seen, example = post.example.post, post.example
        chance = np.random.default_rng(list(seen.example_id.encode()))
        word = "".join(_LETTERS[letter] for letter in chance.integers(len(_LETTERS), size=letters))
        words = replace(seen, tokens=(*seen.tokens, word))
        longer.append(
            replace(
                post,
                example=Example(words, example.split, example.entities, example.relation),
                observation=replace(post.observation, post=words),
            )
        )
    return longer


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


def lively(reads: PairReader) -> PairReader:
    """Return the reader with a network in which words change each other, and open gates.

    In a new BERT of this size they hardly do: all pairs have the same vector up to 1e-5, whatever
    stands beside the mentions, and a short training finds nothing to hold on to.
    """
    network = reads.parts.network
    with torch.no_grad():
        for name, parameter in network.encoder.named_parameters():
            if parameter.ndim == 2 and "embeddings" not in name:
                parameter.mul_(15)
        gate = getattr(network.fusion, "gate", None)
        if gate is not None:
            gate.bias.fill_(2.0)
    return reads


def known(posts: list[Features]) -> list[str]:
    """Return the annotated relations."""
    return [relation_of(post) for post in posts]
