"""Promises of retrieval.curation.dedup_text."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from functools import cache

import pytest
from curation_helpers import flat_scores, make_hit
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.records import Dropped, Hit
from retrieval.curation.align import align
from retrieval.curation.dedup_text import (
    containment,
    drop_contained_texts,
    drop_near_texts,
    drop_same_texts,
    jaccard,
    near_texts,
    shingles,
    words,
)

VOCABULARY = ("rain", "river", "oslo", "wins", "cup", "a")
# Few words and short texts, so that overlaps of every size come up, the thresholds exactly too.
TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=7).map(" ".join)
LONG_TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join)
# Shares that texts of that length can have exactly.
THRESHOLDS = st.sampled_from([0.2, 0.25, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.75, 0.8, 1.0])


def hits_of(texts: list[str]) -> list[Hit]:
    """Return one sentence-text hit per text, ranked as they stand."""
    return [make_hit(f"d{place}", text, rank=place) for place, text in enumerate(texts)]


def slow_jaccard(one: str, other: str) -> float:
    """Return the Jaccard of trigrams by counting, the obvious way."""

    def grams(text: str) -> set[str]:
        found = text.lower().split()
        if len(found) < 3:
            return {" ".join(found)} if found else set()
        return {" ".join(found[i : i + 3]) for i in range(len(found) - 2)}

    left, right = grams(one), grams(other)
    if not left or not right:
        return 0.0
    return len(left & right) / len(left | right)


@given(TEXTS, TEXTS)
@settings(max_examples=150, deadline=None)
def test_jaccard_equals_the_slow_count(one: str, other: str) -> None:
    assert jaccard(shingles(one), shingles(other)) == slow_jaccard(one, other)
    assert jaccard(shingles(one), shingles(other)) == jaccard(shingles(other), shingles(one))


def slow_alignment(one: list[str], other: list[str]) -> int:
    """Return equal words less inner gaps of the best of all alignments, by trying each."""

    @cache
    def best(i: int, j: int, inside: bool) -> int:
        ends = [0]
        if i < len(one) and j < len(other):
            ends.append((one[i] == other[j]) + best(i + 1, j + 1, True))
            ends.append(best(i + 1, j, inside) - inside)
            ends.append(best(i, j + 1, inside) - inside)
        return max(ends)

    return best(0, 0, False)


def slow_share(one: str, other: str, threshold: float) -> float:
    """Return what `near_texts` promises for texts without names."""
    short, long = sorted((one.split(), other.split()), key=len)
    if not short or len(long) > 2 * len(short):
        return 0.0
    score = slow_alignment(short, long)
    lost = len(short) - score
    if len(short) < 10 and lost > (1 if len(short) >= 5 else 0):
        return 0.0
    return score / len(short) if score >= threshold * len(short) else 0.0


@given(TEXTS, TEXTS)
@settings(max_examples=150, deadline=None)
def test_alignment_equals_the_best_of_all_alignments(one: str, other: str) -> None:
    left, right = one.split(), other.split()
    found = align(left, right)
    assert found.score == slow_alignment(left, right) == align(right, left).score
    equal = sum(left[i] == right[j] for i, j in found.pairs)
    assert found.score <= equal
    assert found.pairs == sorted(set(found.pairs), reverse=True)


@given(LONG_TEXTS, LONG_TEXTS, THRESHOLDS)
@settings(max_examples=200, deadline=None)
def test_shares_of_words_equal_the_slow_count_whichever_text_comes_first(
    one: str, other: str, threshold: float
) -> None:
    share = near_texts(one, other, threshold)
    assert share == near_texts(other, one, threshold) == slow_share(one, other, threshold)


def naive(hits: list[Hit], alike: Callable[[str, str], bool]) -> list[Hit]:
    """Return the hits that no better one that stays is alike to."""
    wanted: list[Hit] = []
    for hit in hits:
        if not any(alike(hit.text, other.text) for other in wanted):
            wanted.append(hit)
    return wanted


@given(st.lists(LONG_TEXTS, max_size=8), THRESHOLDS)
@settings(max_examples=150, deadline=None)
def test_near_duplicates_equal_the_slow_all_pairs_reference(
    texts: list[str], threshold: float
) -> None:
    hits = hits_of(texts)
    wanted = naive(hits, lambda one, other: slow_share(one, other, threshold) > 0)
    kept, dropped = drop_near_texts(hits, flat_scores(hits), threshold)
    assert kept == wanted
    assert {one.hit for one in dropped} == set(hits) - set(wanted)


@given(st.lists(LONG_TEXTS, max_size=8), THRESHOLDS)
@settings(max_examples=150, deadline=None)
def test_quotations_equal_the_slow_all_pairs_reference(texts: list[str], threshold: float) -> None:
    def quoted(one: str, other: str) -> bool:
        own = {tuple(one.split()[i : i + 3]) for i in range(len(one.split()) - 2)}
        theirs = {tuple(other.split()[i : i + 3]) for i in range(len(other.split()) - 2)}
        return bool(own) and len(own) < len(theirs) and len(own & theirs) >= threshold * len(own)

    hits = hits_of([text for text in texts if len(text.split()) > 2])
    kept, _ = drop_contained_texts(hits, flat_scores(hits), threshold)
    assert kept == naive(hits, quoted)


@given(st.lists(LONG_TEXTS, max_size=6), THRESHOLDS, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_the_order_of_the_hits_changes_nothing(
    texts: list[str], threshold: float, shuffler: random.Random
) -> None:
    hits = hits_of(texts)
    scores = flat_scores(hits)
    shuffled = list(hits)
    shuffler.shuffle(shuffled)

    assert drop_same_texts(shuffled, scores) == drop_same_texts(hits, scores)
    for step in (drop_near_texts, drop_contained_texts):
        assert step(shuffled, scores, threshold) == step(hits, scores, threshold)


@given(st.lists(TEXTS, max_size=8))
@settings(max_examples=80, deadline=None)
def test_no_two_kept_texts_of_a_stream_say_the_same_words(texts: list[str]) -> None:
    hits = hits_of(texts)
    kept, dropped = drop_same_texts(hits, flat_scores(hits))
    assert len({words(hit.text) for hit in kept}) == len(kept) == len(set(texts))
    assert len(kept) + len(dropped) == len(hits)


def test_case_punctuation_and_width_do_not_make_a_text_another() -> None:
    assert words("Oslo wins -- the CUP!") == words("oslo wins the cup")
    assert words("\uff2fslo") == words("Oslo")
    hits = hits_of(["Oslo wins the cup.", "OSLO WINS THE CUP"])
    kept, dropped = drop_same_texts(hits, flat_scores(hits))
    assert [hit.document_id for hit in kept] == ["d0"]
    assert [(one.step, one.reason) for one in dropped] == [
        ("same_text", "same text as kb/d0"),
    ]


@pytest.mark.parametrize(
    "sign", ["\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff", "\u034f", "\ufe0f"]
)
def test_signs_that_nobody_sees_do_not_make_a_text_another(sign: str) -> None:
    plain = "The band plays in the old harbour of Bergen, née Bjørgvin"
    marked = sign.join(plain)

    assert words(marked) == words(plain)
    hits = [make_hit("a", plain), make_hit("b", marked)]
    assert len(drop_same_texts(hits, flat_scores(hits))[0]) == 1
    other = marked.replace("B", "N")
    assert near_texts(other, plain, 0.8) == near_texts(plain.replace("B", "N"), plain, 0.8)


def test_texts_without_words_differ_unless_they_are_the_same_signs() -> None:
    hits = hits_of(["\U0001f600", "\U0001f622", "\U0001f600 "])
    kept, dropped = drop_same_texts(hits, flat_scores(hits))
    assert [hit.document_id for hit in kept] == ["d0", "d1"]
    assert [one.hit.document_id for one in dropped] == ["d2"]


def test_two_words_resemble_only_the_same_two_words() -> None:
    assert jaccard(shingles("Oslo wins"), shingles("oslo wins!")) == 1.0
    assert jaccard(shingles("Oslo wins"), shingles("Oslo")) == 0.0
    assert jaccard(shingles("Oslo wins"), shingles("Oslo wins again")) == 0.0
    assert jaccard(shingles(""), shingles("")) == 0.0


def test_scripts_without_spaces_are_compared_sign_by_sign() -> None:
    one = "\u6771\u4eac\u3067\u4f1a\u8b70\u304c\u958b\u304b\u308c\u305f"
    assert 0.5 < jaccard(shingles(one), shingles(one + "\u3002\u4eca\u65e5")) < 1.0


def test_the_same_text_stays_in_every_stream_that_found_it() -> None:
    hits = [make_hit("d", "Oslo wins the cup", level=level) for level in ("image", "sentence")]
    for step in (
        drop_same_texts(hits, flat_scores(hits)),
        drop_near_texts(hits, flat_scores(hits), 0.5),
        drop_contained_texts(hits, flat_scores(hits), 0.5),
    ):
        assert len(step[0]) == 2
        assert step[1] == []


def test_the_better_scored_of_two_copies_is_kept_whatever_its_rank() -> None:
    late, early = (
        make_hit("late", "Oslo wins the cup", rank=7),
        make_hit("early", "oslo wins the cup"),
    )
    kept, _ = drop_same_texts([early, late], {late: 0.9, early: 0.1})
    assert kept == [late]


def test_image_hits_with_equal_captions_are_left_alone() -> None:
    hits = [
        make_hit(name, "a caption of four", modality="image", media_key=name)
        for name in ("x", "y")
    ]
    assert drop_same_texts(hits, flat_scores(hits))[1] == []
    assert drop_near_texts(hits, flat_scores(hits), 0.1)[1] == []
    assert drop_contained_texts(hits, flat_scores(hits), 0.1)[1] == []


def test_a_chain_of_near_copies_is_judged_against_what_was_kept() -> None:
    texts = ["a b c d e f g h i j", "a b c d e f g h x y", "a b c d e f v w x y"]
    hits = hits_of(texts)
    pairs = {
        (i, j): near_texts(texts[i], texts[j], 0.1) for i, j in itertools.combinations(range(3), 2)
    }
    assert pairs == {(0, 1): 0.8, (0, 2): 0.6, (1, 2): 0.8}
    kept, dropped = drop_near_texts(hits, flat_scores(hits), 0.8)
    assert [hit.document_id for hit in kept] == ["d0", "d2"]
    assert dropped == [
        Dropped(hits[1], "near_text", "near-duplicate text of kb/d0: 0.800 of the words")
    ]


LONG = "heavy rain stopped the cup final in Oslo for one hour on Sunday evening"


@pytest.mark.parametrize(
    ("copy", "share"),
    [
        ("heavy rain halted the cup final in Oslo for one hour on Sunday evening", 13 / 14),
        ("Just in: rain halted a cup final in Oslo for an hour on Sunday evening", 10 / 14),
        ("as others wrote heavy rain stopped the cup final in Oslo for one hour", 11 / 14),
        ("snow fell on a cup day near Oslo with no hour left Sunday evening", 0),
    ],
)
def test_copies_with_changed_words_cut_and_prefixed_are_found(copy: str, share: float) -> None:
    assert near_texts(LONG, copy, 0.6) == pytest.approx(share)


def test_short_texts_may_differ_in_one_word_and_very_short_ones_in_none() -> None:
    assert near_texts("rain stopped the cup final", "rain halted the cup final", 0.6) == 0.8
    assert near_texts("rain stopped the cup final", "rain halted the cup match", 0.6) == 0
    assert near_texts("rain stopped the final", "rain halted the final", 0.6) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "before all of his fans the striker Ann Bo turns thirty this week",
            "before all of his fans the striker Cy turns thirty this week",
        ),
        (
            "Hakrum is a striker who was born in the north long ago",
            "Leidourt Sto is a striker who was born in the north long ago",
        ),
        (
            "the bank opens one more office next to the harbour in Oslo",
            "the bank opens one more office next to the harbour in Bergen",
        ),
    ],
)
def test_the_same_sentence_about_somebody_else_is_no_copy(one: str, other: str) -> None:
    assert near_texts(one, other, 0.5) == 0
    assert near_texts(one.lower(), other.lower(), 0.5) > 0


def test_a_copy_that_begins_otherwise_or_is_all_capitalised_is_still_a_copy() -> None:
    for beginning in ("Yesterday heavy", "It was Anna who said that heavy"):
        copy = LONG.replace("heavy", beginning)
        assert near_texts(LONG, copy, 0.6) > 0
    assert near_texts(LONG.title(), LONG.replace("stopped", "halted").title(), 0.6) > 0


def test_a_quotation_goes_beside_a_better_text_and_stays_beside_a_worse_one() -> None:
    quotation = "stopped the cup final in Oslo"
    hits = hits_of([LONG, quotation])
    kept, dropped = drop_contained_texts(hits, flat_scores(hits), 0.8)
    assert [hit.text for hit in kept] == [LONG]
    assert [(one.step, one.reason) for one in dropped] == [
        ("contained_text", "quoted in kb/d0: trigram containment 1.000")
    ]
    hits = hits_of([quotation, LONG])
    assert drop_contained_texts(hits, flat_scores(hits), 0.8) == (hits, [])


def test_containment_is_one_sided_and_nothing_contains_a_text_without_words() -> None:
    assert containment(shingles("a b c d"), shingles("x a b c y")) == 0.5
    assert containment(shingles("x a b c y"), shingles("a b c d")) == 1 / 3
    assert containment(shingles(""), shingles("a b c")) == 0.0
