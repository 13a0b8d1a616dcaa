"""Promises of retrieval.curation.rank."""

from __future__ import annotations

import random
from fractions import Fraction

from curation_helpers import make_hit
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.records import STREAMS, Hit
from retrieval.curation.rank import best_first, canonical_key, cut, fused_scores


def text_of(hit: Hit) -> str:
    """Say what makes two hits the same thing in these tests."""
    return hit.text


def test_a_worked_example_of_reciprocal_rank_fusion() -> None:
    hits = [
        make_hit("1", "oslo", rank=0, query_key="a"),
        make_hit("2", "cup", rank=1, query_key="a"),
        make_hit("3", "cup", rank=0, query_key="b"),
    ]
    scores = fused_scores(hits, 60, same=text_of)
    assert scores[hits[0]] == 1 / 61
    assert scores[hits[1]] == scores[hits[2]] == 1 / 61 + 1 / 62
    assert [hit.text for hit in best_first(hits, scores)] == ["cup", "cup", "oslo"]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.sampled_from("xyz")), max_size=8
    ),
    st.integers(1, 60),
    st.randoms(use_true_random=False),
)
@settings(max_examples=100, deadline=None)
def test_fusion_equals_exact_fractions_in_any_order(
    rows: list[tuple[str, int, str]], rrf_k: int, shuffler: random.Random
) -> None:
    hits = [
        make_hit(str(place), text, rank=rank, query_key=query)
        for place, (query, rank, text) in enumerate(rows)
    ]
    shuffled = list(hits)
    shuffler.shuffle(shuffled)
    scores = fused_scores(shuffled, rrf_k, same=text_of)
    for hit in hits:
        exact = Fraction(0)
        for query in "ab":
            ranks = [
                other.rank for other in hits if (other.query_key, other.text) == (query, hit.text)
            ]
            if ranks:
                exact += Fraction(1, rrf_k + min(ranks) + 1)
        assert abs(scores[hit] - exact) < 1e-15
    assert scores == fused_scores(hits, rrf_k, same=text_of)


def test_a_thing_listed_twice_by_one_answer_counts_once() -> None:
    once = [make_hit("1", "oslo")]
    twice = [*once, make_hit("2", "oslo", rank=1)]
    assert fused_scores(twice, 60, same=text_of)[once[0]] == 1 / 61


def test_streams_and_regions_are_answers_of_their_own() -> None:
    same_photo_part = [
        make_hit("1", "oslo", level="object", region_index=index, rank=3) for index in (0, 1)
    ]
    elsewhere = make_hit("1", "oslo", level="image", rank=3)
    scores = fused_scores([*same_photo_part, elsewhere], 60, same=text_of)
    assert scores[same_photo_part[0]] == 2 / 64
    assert scores[elsewhere] == 1 / 64


def test_the_cut_keeps_the_first_k_of_each_stream_and_says_the_place_of_the_rest() -> None:
    hits = [
        make_hit(f"{level}{modality}{place}", "t", level=level, modality=modality, rank=place)
        for level, modality in reversed(STREAMS)
        for place in range(3)
    ]
    scores = fused_scores(hits, 60, same=lambda hit: hit.document_id)
    evidence, dropped = cut(hits, scores, 2)
    assert [(one.hit.level, one.hit.modality, one.rank) for one in evidence] == [
        (*stream, rank) for stream in STREAMS for rank in (0, 1)
    ]
    assert {(one.step, one.reason) for one in dropped} == {("cut", "beyond rank 2: place 3")}
    assert len(dropped) == 6


def test_equal_scores_are_ordered_by_what_the_hit_is_not_by_arrival() -> None:
    one, other = make_hit("a", "x"), make_hit("b", "y", query_key="p")
    scores = {one: 0.5, other: 0.5}
    assert best_first([one, other], scores) == best_first([other, one], scores) == [one, other]
    assert canonical_key(one) < canonical_key(other)
