"""Place hits of several answers in one order, and cut it.

The order never depends on the order in which hits arrive: ties are broken by what a hit is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final

from cache.records import STREAMS, Dropped, Evidence, Hit, Level, Modality

CUT: Final = "cut"

Stream = tuple[Level, Modality]
_PLACE_OF: Final = {stream: place for place, stream in enumerate(STREAMS)}
CanonicalKey = tuple[int, int, str, str, int, str, str, str, float, str, str, str, str, str]


def canonical_key(hit: Hit) -> CanonicalKey:
    """Return a key by which any two hits that differ in anything but scores sort the same way."""
    return (
        _PLACE_OF[hit.level, hit.modality],
        hit.rank,
        hit.provider,
        hit.document_id,
        hit.region_index,
        hit.query_key,
        hit.text,
        hit.media_key or "",
        -hit.provider_score,
        hit.title,
        hit.url,
        hit.retrieved_at,
        hit.image_url,
        hit.image_sha256,
    )


def by_stream(hits: Iterable[Hit]) -> dict[Stream, list[Hit]]:
    """Return the hits of each stream that has any, streams in their fixed order."""
    found: dict[Stream, list[Hit]] = defaultdict(list)
    for hit in hits:
        found[hit.level, hit.modality].append(hit)
    return {stream: found[stream] for stream in STREAMS if stream in found}


def fused_scores(
    hits: Sequence[Hit], rrf_k: int, same: Callable[[Hit], Hashable]
) -> dict[Hit, float]:
    """Return the reciprocal-rank fusion score of each hit (Cormack, Clarke, Buettcher 2009).

    A stream is fed by several ranked answers: one per provider, and one per region at level
    ``object``. What several of them found gets ``1 / (rrf_k + place)`` from each, its best place
    in that answer counted from 1; an answer that lists a thing twice does not count twice.

    Args:
        hits: of one post; streams do not touch each other.
        rrf_k: damps the weight of the first places.
        same: what two hits have in common when they are the same thing (its text, its bytes).
    """
    places: dict[Hashable, dict[Hashable, int]] = defaultdict(dict)
    for hit in hits:
        answers = places[hit.level, hit.modality, same(hit)]
        answer = (hit.provider, hit.query_key, hit.region_index)
        answers[answer] = min(hit.rank + 1, answers.get(answer, hit.rank + 1))
    # fsum is exact, so the sum cannot depend on the order of the answers.
    totals = {
        thing: math.fsum(1.0 / (rrf_k + place) for place in answers.values())
        for thing, answers in places.items()
    }
    return {hit: totals[hit.level, hit.modality, same(hit)] for hit in hits}


def best_first(hits: Iterable[Hit], scores: Mapping[Hit, float]) -> list[Hit]:
    """Return ``hits`` by falling score; equal scores by `canonical_key`."""
    return sorted(hits, key=lambda hit: (-scores[hit], canonical_key(hit)))


def cut(
    hits: Sequence[Hit], scores: Mapping[Hit, float], keep: int
) -> tuple[list[Evidence], list[Dropped]]:
    """Return the ``keep`` best hits of each stream as evidence, and the rest with its place."""
    evidence: list[Evidence] = []
    dropped: list[Dropped] = []
    for stream_hits in by_stream(hits).values():
        ordered = best_first(stream_hits, scores)
        evidence += [Evidence(hit, rank, scores[hit]) for rank, hit in enumerate(ordered[:keep])]
        dropped += [
            Dropped(hit, CUT, f"beyond rank {keep}: place {place}")
            for place, hit in enumerate(ordered[keep:], start=keep + 1)
        ]
    return evidence, dropped
