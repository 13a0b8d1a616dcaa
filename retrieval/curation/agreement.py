"""How well hits agree with posts, component by component, before any calibration.

A component is one similarity of a hit and a post: of words, or a cosine. What cannot be compared
(no photo, no encoder, no words) is NaN, and counts neither for nor against.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.records import MODALITIES, Hit, Modality, Observation, Vector
from retrieval.asking.queries import clean_sentence
from retrieval.curation.dedup_text import words
from retrieval.curation.rank import canonical_key
from retrieval.curation.vectors import Rows, scaled, unit_rows

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
        firsts: by modality a hit of each distinct content that has an embedding. Neither which
            one, where repetitions have other embeddings, nor the order is up to the answers.
    """

    vectors: Rows
    holders: Mapping[str, Sequence[int]]
    wordless: NDArray[np.bool_]
    firsts: Mapping[Modality, Mapping[str, int]]


@dataclass(frozen=True, slots=True, eq=False)
class PostSide:
    """What posts are compared by: NaN where a post has no such thing.

    Attributes:
        word_rows: which row of ``word_shares`` a word is.
        word_shares: the word's share of all words of each post, by weight: ``[words, posts]``.
        wordless: True where a post has no word of any weight.
        anchors: sentence, photo, mean of the text hits, mean of the image hits, then regions:
            ``[anchors, posts, dim]``.
    """

    word_rows: Mapping[str, int]
    word_shares: NDArray[np.float64]
    wordless: NDArray[np.bool_]
    anchors: NDArray[np.float64]


def post_words(observation: Observation) -> frozenset[str]:
    """Return the distinct words of a post's cleaned sentence."""
    return frozenset(words(clean_sentence(observation.post.tokens)))


def hit_side(hits: Sequence[Hit], dim: int, vocabulary: frozenset[str] | None = None) -> HitSide:
    """Return what ``hits`` are compared by.

    Args:
        hits: any.
        dim: of all embeddings; 0 leaves embeddings out.
        vocabulary: the words of all posts that they are to be compared with; None keeps any word.

    Raises:
        InputError: an embedding has another number of numbers than ``dim``.
    """
    holders: defaultdict[str, list[int]] = defaultdict(list)
    wordless = []
    for place, hit in enumerate(hits):
        found = words(hit.title) + words(hit.text)
        wordless.append(not found)
        for word in set(found) if vocabulary is None else vocabulary.intersection(found):
            holders[word].append(place)
    return HitSide(
        _rows([hit.embedding for hit in hits], dim),
        holders,
        np.array(wordless, dtype=bool),
        {modality: _firsts(hits, modality) if dim else {} for modality in MODALITIES},
    )


def post_side(
    seen: Sequence[Observation], sides: Sequence[HitSide], rarity: Rarity, dim: int
) -> PostSide:
    """Return what posts with their hits are compared by.

    Args:
        seen: posts.
        sides: of what was found for each.
        rarity: weighs their words.
        dim: of all embeddings; 0 leaves embeddings out.

    Raises:
        InputError: an embedding has another number of numbers than ``dim``.
    """
    vectors: list[Vector | Rows | None] = [one.sentence_embedding for one in seen]
    vectors += [one.photo_embedding for one in seen]
    for modality in MODALITIES:
        distinct = [side.vectors[list(side.firsts[modality].values())] for side in sides]
        vectors += [rows.mean(axis=0) if len(rows) else None for rows in distinct]
    most = min(max((len(one.regions) for one in seen), default=0), _MOST_REGIONS)
    for place in range(most):
        vectors += [_region(one, place) for one in seen]
    anchors = _rows(vectors, dim).reshape(len(_ANCHORS) + most, len(seen), dim)
    word_rows, shares = _word_shares([post_words(one) for one in seen], rarity)
    return PostSide(word_rows, shares, np.logical_not(shares.any(axis=0)), anchors)


def agreements(hits: HitSide, posts: PostSide) -> Agreements:
    """Return every agreement of every hit with every post, ``[components, hits, posts]``."""
    num_hits, num_posts = len(hits.wordless), posts.word_shares.shape[1]
    found = np.full((len(COMPONENTS), num_hits, num_posts), np.nan)
    found[_WORDS] = _shared_words(hits, posts)
    if hits.vectors.shape[1]:
        anchors = posts.anchors.reshape(-1, hits.vectors.shape[1])
        similar = (hits.vectors @ anchors.T).reshape(num_hits, -1, num_posts)
        for place, component in enumerate(_ANCHORS):
            found[component] = similar[:, place]
        for place in range(len(_ANCHORS), len(posts.anchors)):
            # The best region: a hit is about one thing of a photo. fmax passes over missing ones.
            np.fmax(found[_REGIONS], similar[:, place], out=found[_REGIONS])
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
        firsts = side.firsts[modality]
        own = [
            place
            for place, hit in enumerate(hits)
            if hit.modality == modality and content_of(hit) in firsts
        ]
        # The only one has no others: nothing minus itself would be rounding.
        if len(firsts) > 1:
            total = side.vectors[list(firsts.values())].sum(axis=0)
            same = side.vectors[[firsts[content_of(hits[place])] for place in own]]
            others = scaled(total - same)
            found[component, own] = np.einsum("hd,hd->h", side.vectors[own], others)
        elif own:
            found[component, own] = np.nan
    return found


def _shared_words(hits: HitSide, posts: PostSide) -> NDArray[np.float64]:
    """Return the share of each post's words, by weight, that each hit has: ``[hits, posts]``."""
    shared = np.zeros((len(hits.wordless), posts.word_shares.shape[1]))
    places: list[int] = []
    rows: list[int] = []
    # Words in order, so that sums are the same whatever order the hits come in.
    for word in sorted(hits.holders.keys() & posts.word_rows.keys()):
        places += hits.holders[word]
        rows += [posts.word_rows[word]] * len(hits.holders[word])
    if places:
        order = np.argsort(places, kind="stable")
        found, starts = np.unique(np.array(places)[order], return_index=True)
        shared[found] = np.add.reduceat(posts.word_shares[np.array(rows)[order]], starts)
    shared[:, posts.wordless] = np.nan
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


def _firsts(hits: Sequence[Hit], modality: Modality) -> dict[str, int]:
    """Return the first hit of each content that has an embedding, by `canonical_key`."""
    known: dict[str, int] = {}
    for place, hit in enumerate(hits):
        if hit.modality == modality and hit.embedding is not None:
            first = known.setdefault(content_of(hit), place)
            if canonical_key(hit) < canonical_key(hits[first]):
                known[content_of(hit)] = place
    return dict(sorted(known.items()))


def content_of(hit: Hit) -> str:
    """Return what a hit shows: two hits of one modality that show the same are one."""
    return hit.text if hit.modality == "text" else hit.media_key or hit.document_id


def _region(observation: Observation, place: int) -> Vector | None:
    regions = observation.regions
    return regions[place].embedding if place < len(regions) else None


def _rows(vectors: Sequence[Vector | Rows | None], dim: int) -> Rows:
    return unit_rows(vectors, dim) if dim else np.empty((len(vectors), 0))
