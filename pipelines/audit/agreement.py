"""How well a post and its evidence agree, computed anew from what the store holds of both.

A score of a hit is meant to say how well it fits its post, and where the world knows more about
some posts than about others, that tells something about labels in all honesty: two people who have
nothing to do with each other stand on no page together. So a score gives a label away only if it
knows more than anybody finds who compares the post with its evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from cache.records import Evidence, Hit, Observation, Vector
from retrieval.curation.dedup_text import words


def agreement_columns(seen: Observation, evidence: Sequence[Evidence]) -> dict[str, float]:
    """Return the greatest and the mean agreement of a post with its evidence, by stream and kind.

    Args:
        seen: the post, without its annotations.
        evidence: its kept hits.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    for item in evidence:
        stream = f"{item.hit.level} {item.hit.modality}"
        for kind, value in _agreements(seen, item.hit):
            found[f"{stream} {kind}"].append(value)
    columns: dict[str, float] = {}
    for name, values in found.items():
        columns |= {f"{name} greatest": max(values), f"{name} mean": sum(values) / len(values)}
    return columns


def _agreements(seen: Observation, hit: Hit) -> Iterator[tuple[str, float]]:
    if hit.text:
        said = frozenset(words(hit.text))
        yield "words", _share(seen.post.tokens, said)
        mentions = [
            _share(seen.post.tokens[span.start : span.end], said)
            for span in (seen.post.head, seen.post.tail)
            if span is not None
        ]
        if mentions:
            yield "less known mention", min(mentions)
            yield "better known mention", max(mentions)
    vectors = {
        "sentence": [seen.sentence_embedding],
        "photo": [seen.photo_embedding],
        "region": [region.embedding for region in seen.regions],
    }
    for kind, those in vectors.items():
        cosines = [_cosine(one, hit.embedding) for one in those]
        known = [value for value in cosines if value is not None]
        if known:
            yield kind, max(known)


def _share(tokens: Sequence[str], said: frozenset[str]) -> float:
    """Return the share of the distinct words of ``tokens`` that are said."""
    own = frozenset(words(" ".join(tokens)))
    return len(own & said) / len(own) if own else 0.0


def _cosine(one: Vector | None, other: Vector | None) -> float | None:
    return None if one is None or other is None else float(np.dot(one, other))
