"""The same text never twice in one stream: the same words, near-duplicates, quotations.

Streams are compared with themselves only. That two levels found the same passage says something
about the post, so both keep it.

Near-duplicates are found by aligning words (`retrieval.curation.align`), not by trigrams: one
changed word breaks three trigrams, so of ten words with one changed hardly half of the trigrams
are left, no more than of some texts that are half new.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from cache.records import Dropped, Hit
from retrieval.curation.align import align
from retrieval.curation.rank import best_first, by_stream

SAME_TEXT: Final = "same_text"
NEAR_TEXT: Final = "near_text"
CONTAINED_TEXT: Final = "contained_text"

# Where texts are short, a share of their words is too coarse: a fact may hang on one of five.
_SHORT: Final = 10
_VERY_SHORT: Final = 5
# Texts more unequal than this are no copies of each other; one may still quote the other.
_LONGEST_TO_SHORTEST: Final = 2

# Scripts that are written without spaces are compared sign by sign: kana, ideographs, hangul.
_UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")

# Marks without a look of their own: the grapheme joiner and the variation selectors.
_HIDDEN_MARKS: Final = frozenset("\u034f" + "".join(map(chr, range(0xFE00, 0xFE10))))

# Texts whose words are kept at hand: some kilobytes each, and a shard has about so many.
_REMEMBERED: Final = 16384

Shingles = frozenset[tuple[str, ...]]


@lru_cache(maxsize=_REMEMBERED)
def words(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` in compatibility form and lower case, punctuation left out.

    Signs that nobody sees (soft hyphens, joiners, marks of direction) part no words.

    A text without any word (emoji, dashes) counts as one word, so that it still equals itself.
    """
    folded = _normal(text).casefold()
    if found := _WORD.findall(folded):
        return tuple(found)
    bare = "".join(sign for sign in folded if unicodedata.category(sign)[0] not in "CZ")
    return (bare,) if bare else ()


def shingles_of(found: Sequence[str]) -> Shingles:
    """Return the trigrams of some words; fewer than three words are one shingle of that length.

    So a two-word text resembles only the very same two words, and nothing resembles an empty one.
    """
    if len(found) < 3:
        return frozenset([tuple(found)] if found else ())
    return frozenset(zip(found, found[1:], found[2:], strict=False))


@lru_cache(maxsize=_REMEMBERED)
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


def near_texts(one: str, other: str, threshold: float) -> float:
    """Return the share of words that two copies have in common, or 0 of texts that are no copies.

    Common are words in the same order (`align`), measured by the shorter text. Texts of
    fewer than ten words may differ in one of them, of fewer than five in none. Two texts that
    differ in a name are no copies, however alike: they say the same about somebody else.

    Args:
        one: a text.
        other: another one; which is which changes nothing.
        threshold: share of common words, in (0, 1], from which texts are copies.
    """
    short, long, shorter, longer = words(one), words(other), one, other
    # Ordered, so that of equally good alignments the same one is looked at either way.
    if (len(long), long, longer) < (len(short), short, shorter):
        short, long, shorter, longer = long, short, longer, shorter
    if not short or len(long) > _LONGEST_TO_SHORTEST * len(short):
        return 0.0
    needed = threshold * len(short)
    if len(short) < _SHORT:
        needed = max(needed, len(short) - (len(short) >= _VERY_SHORT))
    # Most pairs end here: words in any order are an upper bound of words in order.
    if len(_bag(one) & _bag(other)) < needed:
        return 0.0
    found = align(short, long)
    if found.score < needed or _other_name(found.pairs, shorter, longer):
        return 0.0
    return found.score / len(short)


def containment(one: Shingles, other: Shingles) -> float:
    """Return the share of ``one``'s shingles that ``other`` has, in [0, 1]; 0 of no shingles."""
    return len(one & other) / len(one) if one else 0.0


def drop_near_texts(
    hits: Sequence[Hit], scores: Mapping[Hit, float], threshold: float
) -> tuple[list[Hit], list[Dropped]]:
    """Keep the best of the text hits of a stream that are copies of each other but for edits.

    Args:
        hits: of one post.
        scores: which of two near-duplicates is the better one.
        threshold: see `near_texts`.
    """

    def why(hit: Hit, better: Hit) -> str:
        share = near_texts(hit.text, better.text, threshold)
        if not share:
            return ""
        return f"near-duplicate text of {source(better)}: {share:.3f} of the words"

    return _drop_repeated(hits, scores, NEAR_TEXT, why)


def drop_contained_texts(
    hits: Sequence[Hit], scores: Mapping[Hit, float], threshold: float
) -> tuple[list[Hit], list[Dropped]]:
    """Drop the text hits of a stream that a better and longer one quotes: it says all they say.

    The other way round both stay: a longer text that is worse still says more than the better
    one that it quotes, while a reader of its first words may never come to the quotation.

    Args:
        hits: of one post.
        scores: which of two texts is the better one.
        threshold: share of a text's word trigrams in the longer one, in (0, 1], from which it is
            quoted there.
    """

    def why(hit: Hit, better: Hit) -> str:
        own, theirs = shingles(hit.text), shingles(better.text)
        if len(own) >= len(theirs):
            return ""
        share = containment(own, theirs)
        if share < threshold:
            return ""
        return f"quoted in {source(better)}: trigram containment {share:.3f}"

    return _drop_repeated(hits, scores, CONTAINED_TEXT, why)


def source(hit: Hit) -> str:
    """Return a hit's name for a reason: ``provider/document_id``."""
    return f"{hit.provider}/{hit.document_id}"


def _drop_repeated(
    hits: Sequence[Hit],
    scores: Mapping[Hit, float],
    step: str,
    why: Callable[[Hit, Hit], str],
) -> tuple[list[Hit], list[Dropped]]:
    """Compare every text hit with each better one of its stream that was kept.

    A few dozen hits need no index, and what is compared with kept ones only cannot lose the last
    of a chain whose ends are not alike.
    """
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for (_, modality), stream_hits in by_stream(hits).items():
        if modality != "text":
            kept += stream_hits
            continue
        stream_kept: list[Hit] = []
        for hit in best_first(stream_hits, scores):
            reason = next(filter(None, (why(hit, better) for better in stream_kept)), "")
            if reason:
                dropped.append(Dropped(hit, step, reason))
            else:
                stream_kept.append(hit)
        kept += stream_kept
    return kept, dropped


def _normal(text: str) -> str:
    """Return ``text`` in compatibility form, without signs that nobody sees."""
    if text.isascii():
        return text
    hidden = [sign for sign in set(text) if _is_hidden(sign)]
    if hidden:
        text = text.translate(dict.fromkeys(map(ord, hidden)))
    return unicodedata.normalize("NFKC", text)


def _is_hidden(sign: str) -> bool:
    return unicodedata.category(sign) == "Cf" or sign in _HIDDEN_MARKS


@lru_cache(maxsize=_REMEMBERED)
def _bag(text: str) -> frozenset[tuple[str, int]]:
    """Return the words of ``text``, each with the number of its occurrence."""
    seen: dict[str, int] = defaultdict(int)
    bag = set()
    for word in words(text):
        bag.add((word, seen[word]))
        seen[word] += 1
    return frozenset(bag)


def _other_name(pairs: Sequence[tuple[int, int]], one: str, other: str) -> bool:
    """Return whether a name of one text lies beside another name, each unknown to the other text.

    A first word is capitalised whatever it is, so names that texts begin with count only where
    the texts go on alike from there: a copy that begins otherwise does not.
    """
    left, right = words(one), words(other)
    strange_left, strange_right = _names(one) - {*right}, _names(other) - {*left}

    def differ(i: int, j: int) -> bool:
        return left[i] in strange_left and right[j] in strange_right

    if any(i and j and differ(i, j) for i, j in pairs):
        return True
    i, j = pairs[-1]
    goes_on = (i + 1, j + 1) in pairs[-2:-1] and left[i + 1] == right[j + 1]
    return (
        goes_on
        and strange_left.issuperset(left[: i + 1])
        and strange_right.issuperset(right[: j + 1])
    )


@lru_cache(maxsize=_REMEMBERED)
def _names(text: str) -> frozenset[str]:
    """Return the capitalised words of ``text``; none where nearly all are (headlines)."""
    found = _WORD.findall(_normal(text))
    upper = [word for word in found if word[0].isupper()]
    return frozenset(word.casefold() for word in upper if 4 * len(upper) <= 3 * len(found))
