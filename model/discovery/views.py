"""Random spans: other views of a pair, with both mentions left whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.reader import Features
from cache.records import Example, FeatureSet, Span
from model.discovery.pairs import Pairs


def random_spans(pairs: Pairs, seed: int, epoch: int, view: int) -> Pairs:
    """Return the pairs, each cut to a random run of words that holds both mentions.

    Evidence, photo and regions stay: they say of the pair what they said before.

    Args:
        pairs: whole posts, with their mentions.
        seed: of the whole training.
        epoch: views differ between epochs.
        view: and between those of one epoch.
    """
    chance = np.random.default_rng([seed, 4, epoch, view])
    return Pairs([_cut(post, chance) for post in pairs.posts])


def _cut(found: Features, chance: np.random.Generator) -> Features:
    post = found.example.post
    assert post.head is not None
    assert post.tail is not None
    start = int(chance.integers(min(post.head.start, post.tail.start) + 1))
    end = int(chance.integers(max(post.head.end, post.tail.end), len(post.tokens) + 1))
    shorter = dataclasses.replace(
        post,
        tokens=post.tokens[start:end],
        head=_moved(post.head, start),
        tail=_moved(post.tail, start),
    )
    return found._replace(
        example=Example(shorter, found.example.split), arrays=_cut_parse(found.arrays, start, end)
    )


def _moved(span: Span, start: int) -> Span:
    return Span(span.start - start, span.end - start, span.label)


def _cut_parse(
    arrays: Mapping[FeatureSet, NDArray[Any]], start: int, end: int
) -> dict[FeatureSet, NDArray[Any]]:
    """Return the arrays with the parse of the words that stay; one whose head went is a root."""
    kept = dict(arrays)
    if "parse" in kept:
        heads = kept["parse"][start:end]
        kept["parse"] = np.where((heads >= start) & (heads < end), heads - start, -1).astype(
            heads.dtype
        )
    return kept
