"""The same text never twice in one stream: exact and near duplicates.

Streams are compared with themselves only. That two levels found the same passage says something
about the post, so both keep it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from cache.records import Dropped, Hit
from retrieval.rank import best_first, by_stream

SAME_TEXT: Final = "same_text"
NEAR_TEXT: Final = "near_text"

# Scripts that are written without spaces are compared sign by sign: kana, ideographs, hangul.
_UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")

Shingles = frozenset[tuple[str, ...]]


@lru_cache(maxsize=65536)
def words(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` in compatibility form and lower case, punctuation left out.

    A text without any word (emoji, dashes) counts as one word, so that it still equals itself.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = tuple(_WORD.findall(folded))
    bare = "".join(sign for sign in folded if unicodedata.category(sign)[0] not in "CZ")
    return found or ((bare,) if bare else ())


def shingles_of(found: Sequence[str]) -> Shingles:
    """Return the trigrams of some words; fewer than three words are one shingle of that length.

    So a two-word text resembles only the very same two words, and nothing resembles an empty one.
    """
    if len(found) < 3:
        return frozenset([tuple(found)] if found else ())
    return frozenset(zip(found, found[1:], found[2:], strict=False))


@lru_cache(maxsize=65536)
def shingles(text: str) -> Shingles:
    """Return `shingles_of` the `words` of ``text``."""
    return shingles_of(words(text))


def jaccard(one: Shingles, other: Shingles) -> float:
    """Return the share of common shingles, in [0, 1]; 0 where either side is empty."""
    if not one or not other:
        return 0.0
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def drop_same_texts(
    hits: Sequence[Hit], scores: Mapping[Hit, float]
) -> tuple[list[Hit], list[Dropped]]:
    """Keep the best of the text hits of a stream that say the same words."""
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for (_, modality), stream_hits in by_stream(hits).items():
        if modality != "text":
            kept += stream_hits
            continue
        first: dict[tuple[str, ...], Hit] = {}
        for hit in best_first(stream_hits, scores):
            best = first.setdefault(words(hit.text), hit)
            if best is hit:
                kept.append(hit)
            else:
                dropped.append(Dropped(hit, SAME_TEXT, f"same text as {source(best)}"))
    return kept, dropped


def drop_near_texts(
    hits: Sequence[Hit], scores: Mapping[Hit, float], threshold: float
) -> tuple[list[Hit], list[Dropped]]:
    """Keep the best of the text hits of a stream whose trigrams overlap.

    Every hit is compared with every better one that was kept: a few dozen hits need no index.

    Args:
        hits: of one post.
        scores: which of two near-duplicates is the better one.
        threshold: Jaccard of word trigrams, in (0, 1], from which two texts are copies.
    """
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for (_, modality), stream_hits in by_stream(hits).items():
        if modality != "text":
            kept += stream_hits
            continue
        stream_kept: list[Hit] = []
        for hit in best_first(stream_hits, scores):
            twin = _first_overlap(hit, stream_kept, threshold)
            if twin is None:
                stream_kept.append(hit)
            else:
                best, overlap = twin
                reason = f"near-duplicate text of {source(best)}: trigram jaccard {overlap:.3f}"
                dropped.append(Dropped(hit, NEAR_TEXT, reason))
        kept += stream_kept
    return kept, dropped


def source(hit: Hit) -> str:
    """Return a hit's name for a reason: ``provider/document_id``."""
    return f"{hit.provider}/{hit.document_id}"


def _first_overlap(hit: Hit, better: Sequence[Hit], threshold: float) -> tuple[Hit, float] | None:
    own = shingles(hit.text)
    for other in better:
        theirs = shingles(other.text)
        # Sets of too different a size cannot overlap enough; most pairs end here.
        if min(len(own), len(theirs)) < threshold * max(len(own), len(theirs)):
            continue
        overlap = jaccard(own, theirs)
        if overlap >= threshold:
            return other, overlap
    return None
