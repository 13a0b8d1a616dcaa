"""How much better a hit fits its post than it fits other posts.

`Hit.consistency` is the share of other posts that the hit fits less well than its own. It is
learned from a sample of the data set's posts and what was found for them, without any label: what
was found for one post is, as a rule, no evidence for another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.records import MODALITIES, Dropped, Hit, Modality, Observation, Vector
from retrieval.curation.agreement import (
    HitSide,
    Rarity,
    agreements,
    content_of,
    hit_side,
    own_agreements,
    post_side,
    post_words,
)
from retrieval.curation.calibration import FEWEST, Calibration
from retrieval.curation.rank import canonical_key
from retrieval.curation.vectors import cosine, cosines, dim_of

__all__ = [
    "CONSISTENCY",
    "Reference",
    "cosine",
    "cosines",
    "drop_inconsistent",
    "score_consistency",
]

CONSISTENCY: Final = "consistency"
_DECIMALS: Final = 6
# Hits of each modality that a reference post gives to learn from.
_HITS_OF_A_POST: Final = 2
Case = tuple[Observation, Sequence[Hit]]


class Reference:
    """Posts that stand for "some other post", with what was found for them."""

    def __init__(self, cases: Sequence[Case]) -> None:
        """Take observed posts with the embedded hits of each, in any order.

        Raises:
            InputError: the embeddings are of different encoders.
        """
        ordered = sorted(cases, key=lambda case: case[0].post.example_id)
        seen = [observation for observation, _ in ordered]
        self._dim = dim_of([vector for case in ordered for vector in _vectors(*case)])
        in_posts = [post_words(observation) for observation in seen]
        self._rarity = Rarity(in_posts)
        self._vocabulary: frozenset[str] = frozenset().union(*in_posts)
        sides = [self._side(*case) for case in ordered]
        self._posts = post_side(seen, sides, self._rarity, self._dim)
        self._names = [_names(observation) for observation in seen]
        self._learned = {
            modality: self._learn(ordered, sides, modality) for modality in MODALITIES
        }

    def score(self, hits: Sequence[Hit], observation: Observation) -> list[float | None]:
        """Return the consistency of each hit of a post; None where nothing can be compared.

        Raises:
            InputError: an embedding is of another encoder than the reference's.
        """
        same = self._same(observation)
        side = self._side(observation, hits)
        post = post_side([observation], [side], self._rarity, self._dim)
        own = own_agreements(hits, side, post)
        others = agreements(side, self._posts)
        others[:, :, same] = np.nan
        scores: list[float | None] = [None] * len(hits)
        for modality, learned in self._learned.items():
            places = [place for place, hit in enumerate(hits) if hit.modality == modality]
            if learned is None or not places:
                continue
            chance = agreements(learned.side, post)[:, :, 0]
            chance[:, same[learned.owners]] = np.nan
            found = learned.calibration.scores(own[:, places], others[:, places], chance)
            for place, score in zip(places, found.tolist(), strict=True):
                scores[place] = None if math.isnan(score) else round(score, _DECIMALS)
        return scores

    def _learn(
        self, cases: Sequence[Case], sides: Sequence[HitSide], modality: Modality
    ) -> _Learned | None:
        """Return what agreement by chance looks like; None where hardly anything was found."""
        places = [_some(hits, modality) for _, hits in cases]
        owners = np.array([owner for owner, some in enumerate(places) for _ in some], dtype=int)
        if len(owners) < FEWEST or len(cases) <= FEWEST:
            return None
        matched = []
        for (observation, hits), side, some in zip(cases, sides, places, strict=True):
            post = post_side([observation], [side], self._rarity, self._dim)
            matched.append(own_agreements(hits, side, post)[:, some])
        chosen = [
            hits[place] for (_, hits), some in zip(cases, places, strict=True) for place in some
        ]
        # With every word that they have: posts to come have words that the reference has not.
        learned = hit_side(chosen, self._dim)
        mismatched = agreements(learned, self._posts)
        same = np.stack([self._same(observation) for observation, _ in cases])
        mismatched[:, same[owners]] = np.nan
        calibration = Calibration(mismatched, np.concatenate(matched, axis=1), owners)
        return _Learned(learned, owners, calibration)

    def _side(self, observation: Observation, hits: Sequence[Hit]) -> HitSide:
        return hit_side(hits, self._dim, self._vocabulary | post_words(observation))

    def _same(self, observation: Observation) -> NDArray[np.bool_]:
        """Return which reference posts are this one: by name, by photo or word for word."""
        names = _names(observation)
        return np.array([not names.isdisjoint(known) for known in self._names], dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class _Learned:
    """Hits of reference posts of one modality, and what was learned from them.

    Attributes:
        side: of those hits.
        owners: the reference post that each was found for.
        calibration: what they teach.
    """

    side: HitSide
    owners: NDArray[np.intp]
    calibration: Calibration


def score_consistency(
    hits: Sequence[Hit], observation: Observation, reference: Reference | None
) -> list[Hit]:
    """Return ``hits`` with ``consistency``: the share of other posts that each fits less well.

    Hits that cannot be compared with the post get None.

    Args:
        hits: all of one post: they are compared with each other, too.
        observation: of that post; it may be among the reference.
        reference: other posts; None leaves the hits as they are.

    Raises:
        InputError: an embedding is of another encoder than the reference's.
    """
    if reference is None or not hits:
        return list(hits)
    scores = reference.score(hits, observation)
    return [replace(hit, consistency=score) for hit, score in zip(hits, scores, strict=True)]


def drop_inconsistent(
    hits: Sequence[Hit], max_false_keeps: float
) -> tuple[list[Hit], list[Dropped]]:
    """Drop hits that fit so large a share of other posts as well as their own.

    Args:
        hits: of one post; one without a consistency is kept.
        max_false_keeps: expected share of unrelated hits that are kept: those whose consistency
            is at most ``1 - max_false_keeps`` go. A consistency is never 0, so 1 drops none.
    """
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    # 1 - 0.9 is not 0.1: rounded as scores are, a score at the threshold is dropped.
    threshold = round(1.0 - max_false_keeps, _DECIMALS)
    for hit in hits:
        if hit.consistency is not None and hit.consistency <= threshold:
            share = f"{hit.consistency:.3f} of other posts"
            reason = f"fits its post better than {share}, no more than {threshold:g}"
            dropped.append(Dropped(hit, CONSISTENCY, reason))
        else:
            kept.append(hit)
    return kept, dropped


def _some(hits: Sequence[Hit], modality: Modality) -> list[int]:
    """Return places of a few hits of a modality, from all levels and ranks, no content twice."""
    first: dict[str, int] = {}
    for place in sorted(range(len(hits)), key=lambda place: canonical_key(hits[place])):
        if hits[place].modality == modality:
            first.setdefault(content_of(hits[place]), place)
    found = list(first.values())
    count = min(len(found), _HITS_OF_A_POST)
    return [found[index * len(found) // count] for index in range(count)]


def _names(observation: Observation) -> frozenset[object]:
    """Return what two posts must not share to be different: data sets repeat photo and words."""
    post = observation.post
    return frozenset({post.example_id, post.tokens, observation.photo_key} - {(), None})


def _vectors(observation: Observation, hits: Sequence[Hit]) -> Iterator[Vector | None]:
    yield observation.sentence_embedding
    yield observation.photo_embedding
    yield from (region.embedding for region in observation.regions)
    yield from (hit.embedding for hit in hits)
