"""How well hits agree with posts, component by component, before any calibration.

A component is one similarity of a hit and a post: of words, or a cosine. What cannot be compared
(no photo, no encoder, no words) is NaN, and counts neither for nor against.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.records import MODALITIES, Hit, Modality, Observation, Vector
from retrieval.asking.queries import clean_sentence
from retrieval.curation.dedup_text import words
from retrieval.curation.vectors import Rows, unit_rows

# In the order of the first axis of every array of agreements.
COMPONENTS: Final = ("words", "sentence", "photo", "regions", "texts", "images")
_WORDS, _SENTENCE, _PHOTO, _REGIONS, _TEXTS, _IMAGES = range(len(COMPONENTS))
# The components that are cosines with one vector of the post, in the order of its anchors.
_ANCHORS: Final = (_SENTENCE, _PHOTO, _TEXTS, _IMAGES)
_OTHERS: Final[dict[Modality, int]] = {"text": _TEXTS, "image": _IMAGES}
# More regions of one photo than this are not looked at; detectors give the surest first.
_MOST_REGIONS: Final = 5

Agreements = NDArray[np.float64]


class Rarity:
    """How much it says that a hit and a post share a word: the rarer among posts, the more."""

    def __init__(self, posts: Sequence[frozenset[str]]) -> None:
        """Count the words of ``posts``."""
        self._num_posts = len(posts)
        self._counts = Counter(word for post in posts for word in post)

    def weight(self, word: str) -> float:
        """Return the word's weight, in nats; 0 for a word that every post has."""
        return math.log((self._num_posts + 1) / (self._counts[word] + 1))


@dataclass(frozen=True, slots=True, eq=False)
class HitSide:
    """What hits are compared by.

    Attributes:
        vectors: unit embeddings, ``[hits, dim]``; NaN where a hit has none.
        holders: which hits have a word in text or title, rising.
        wordless: True where a hit has no word at all.
    """

    vectors: Rows
    holders: Mapping[str, Sequence[int]]
    wordless: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class PostSide:
    """What posts are compared by: NaN where a post has no such thing.

    Attributes:
        word_rows: which row of ``word_shares`` a word is.
        word_shares: the word's share of all words of each post, by weight: ``[words, posts]``.
        anchors: sentence, photo, mean of the text hits, mean of the image hits, then regions:
            ``[anchors, posts, dim]``.
    """

    word_rows: Mapping[str, int]
    word_shares: NDArray[np.float64]
    anchors: NDArray[np.float64]


def post_words(observation: Observation) -> frozenset[str]:
    """Return the distinct words of a post's cleaned sentence."""
    return frozenset(words(clean_sentence(observation.post.tokens)))


def hit_side(hits: Sequence[Hit], dim: int) -> HitSide:
    """Return what ``hits`` are compared by.

    Raises:
        InputError: an embedding has another number of numbers than ``dim``.
    """
    found = [frozenset(words(hit.title) + words(hit.text)) for hit in hits]
    holders: dict[str, list[int]] = {}
    for place, of_hit in enumerate(found):
        for word in of_hit:
            holders.setdefault(word, []).append(place)
    return HitSide(
        _rows([hit.embedding for hit in hits], dim),
        holders,
        np.array([not of_hit for of_hit in found], dtype=bool),
    )


def post_side(
    cases: Sequence[tuple[Observation, Sequence[Hit]]], rarity: Rarity, dim: int
) -> PostSide:
    """Return what posts with their hits are compared by.

    Args:
        cases: posts, and what was found for each.
        rarity: weighs their words.
        dim: of all embeddings; 0 leaves embeddings out.

    Raises:
        InputError: an embedding has another number of numbers than ``dim``.
    """
    seen = [observation for observation, _ in cases]
    anchors = [
        _rows([observation.sentence_embedding for observation in seen], dim),
        _rows([observation.photo_embedding for observation in seen], dim),
    ]
    for modality in MODALITIES:
        means: list[Rows | None] = []
        for _, hits in cases:
            distinct = list(_distinct_vectors(hits, modality, dim).values())
            means.append(np.mean(distinct, axis=0) if distinct else None)
        anchors.append(_rows(means, dim))
    most = max((len(observation.regions) for observation in seen), default=0)
    for place in range(min(most, _MOST_REGIONS)):
        anchors.append(_rows([_region(observation, place) for observation in seen], dim))
    word_rows, shares = _word_shares([post_words(observation) for observation in seen], rarity)
    return PostSide(word_rows, shares, np.stack(anchors))


def agreements(hits: HitSide, posts: PostSide) -> Agreements:
    """Return every agreement of every hit with every post, ``[components, hits, posts]``."""
    num_hits, num_posts = len(hits.wordless), posts.word_shares.shape[1]
    found = np.full((len(COMPONENTS), num_hits, num_posts), np.nan)
    found[_WORDS] = _shared_words(hits, posts)
    dim = hits.vectors.shape[1]
    if dim:
        anchors = posts.anchors.reshape(-1, dim)
        similar = (hits.vectors @ anchors.T).reshape(num_hits, -1, num_posts).transpose(1, 0, 2)
        found[list(_ANCHORS)] = similar[: len(_ANCHORS)]
        for region in similar[len(_ANCHORS) :]:
            # The best region: a hit is about one thing of a photo. fmax passes over missing ones.
            np.fmax(found[_REGIONS], region, out=found[_REGIONS])
    return found


def own_agreements(hits: Sequence[Hit], side: HitSide, post: PostSide) -> Agreements:
    """Return the agreements of hits with the post they were found for, ``[components, hits]``.

    A hit is not compared with itself, nor with a repetition of itself in another stream.

    Args:
        hits: all of one post.
        side: of those hits.
        post: of that one post with those hits.
    """
    found: Agreements = agreements(side, post)[:, :, 0]
    for modality, component in _OTHERS.items():
        distinct = _distinct_vectors(hits, modality, side.vectors.shape[1])
        if not distinct:
            continue
        own = [
            place
            for place, hit in enumerate(hits)
            if hit.modality == modality and content_of(hit) in distinct
        ]
        total = np.sum(list(distinct.values()), axis=0)
        # The only one has no others: nothing minus itself would be rounding.
        left = [total - distinct[content_of(hits[place])] for place in own]
        others = unit_rows(left if len(distinct) > 1 else [None] * len(own), total.size)
        found[component, own] = np.einsum("hd,hd->h", side.vectors[own], others)
    return found


def _shared_words(hits: HitSide, posts: PostSide) -> NDArray[np.float64]:
    """Return the share of each post's words, by weight, that each hit has: ``[hits, posts]``."""
    shared = np.zeros((len(hits.wordless), posts.word_shares.shape[1]))
    pairs = sorted(
        (place, posts.word_rows[word])
        for word in hits.holders.keys() & posts.word_rows.keys()
        for place in hits.holders[word]
    )
    if pairs:
        places, rows = np.array(pairs).T
        found, starts = np.unique(places, return_index=True)
        shared[found] = np.add.reduceat(posts.word_shares[rows], starts)
    shared[:, ~posts.word_shares.any(axis=0)] = np.nan
    shared[hits.wordless] = np.nan
    return shared


def _word_shares(
    posts: Sequence[frozenset[str]], rarity: Rarity
) -> tuple[dict[str, int], NDArray[np.float64]]:
    rows = {word: row for row, word in enumerate(sorted(frozenset().union(*posts)))}
    shares = np.zeros((len(rows), len(posts)))
    for column, post in enumerate(posts):
        total = math.fsum(rarity.weight(word) for word in post)
        for word in post:
            shares[rows[word], column] = rarity.weight(word) / total if total else 0.0
    return rows, shares


def _distinct_vectors(hits: Sequence[Hit], modality: Modality, dim: int) -> dict[str, Rows]:
    """Return the unit vector of each distinct content, in an order that no answer decides."""
    known = {
        content_of(hit): hit.embedding
        for hit in hits
        if hit.modality == modality and hit.embedding is not None and dim
    }
    ordered = sorted(known)
    return dict(zip(ordered, unit_rows([known[content] for content in ordered], dim), strict=True))


def content_of(hit: Hit) -> str:
    """Return what a hit shows: two hits of one modality that show the same are one."""
    return hit.text if hit.modality == "text" else hit.media_key or hit.document_id


def _region(observation: Observation, place: int) -> Vector | None:
    regions = observation.regions
    return regions[place].embedding if place < len(regions) else None


def _rows(vectors: Sequence[Vector | Rows | None], dim: int) -> Rows:
    return unit_rows(vectors, dim) if dim else np.empty((len(vectors), 0))
