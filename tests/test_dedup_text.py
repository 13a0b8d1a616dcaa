"""Promises of retrieval.dedup_text."""

from __future__ import annotations

import itertools
import random

from curation_helpers import flat_scores, make_hit
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.records import Hit
from retrieval.dedup_text import (
    drop_near_texts,
    drop_same_texts,
    jaccard,
    shingles,
    words,
)

VOCABULARY = ("rain", "river", "Oslo", "wins", "cup", "a")
# Few words and short texts, so that overlaps of every size come up, the thresholds exactly too.
TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=7).map(" ".join)
# Jaccards that texts of that length can have exactly.
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


@given(st.lists(TEXTS, max_size=8), THRESHOLDS)
@settings(max_examples=150, deadline=None)
def test_near_duplicates_equal_the_slow_all_pairs_reference(
    texts: list[str], threshold: float
) -> None:
    hits = hits_of(texts)
    wanted: list[Hit] = []
    for hit in hits:
        if all(slow_jaccard(hit.text, other.text) < threshold for other in wanted):
            wanted.append(hit)

    kept, dropped = drop_near_texts(hits, flat_scores(hits), threshold)

    assert kept == wanted
    assert {one.hit for one in dropped} == set(hits) - set(wanted)


@given(st.lists(TEXTS, max_size=6), THRESHOLDS, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_the_order_of_the_hits_changes_nothing(
    texts: list[str], threshold: float, shuffler: random.Random
) -> None:
    hits = hits_of(texts)
    scores = flat_scores(hits)
    shuffled = list(hits)
    shuffler.shuffle(shuffled)

    assert drop_same_texts(shuffled, scores) == drop_same_texts(hits, scores)
    assert drop_near_texts(shuffled, scores, threshold) == drop_near_texts(hits, scores, threshold)


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


def test_a_chain_of_near_copies_is_judged_against_what_was_kept() -> None:
    texts = ["a b c d e f", "b c d e f g", "c d e f g h"]
    hits = hits_of(texts)
    pairs = {
        (i, j): jaccard(shingles(texts[i]), shingles(texts[j]))
        for i, j in itertools.combinations(range(3), 2)
    }
    assert pairs == {(0, 1): 0.6, (0, 2): 1 / 3, (1, 2): 0.6}
    kept, dropped = drop_near_texts(hits, flat_scores(hits), 0.6)
    assert [hit.document_id for hit in kept] == ["d0", "d2"]
    assert dropped[0].reason == "near-duplicate text of kb/d0: trigram jaccard 0.600"
