from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.records import Observation, Post, Query, Region, Span
from retrieval.asking.queries import clean_sentence, make_queries, query_text
from retrieval.providers.base import answer_key, query_identity


def region(left: float, label: str = "person") -> Region:
    return Region((left, 0.0, left + 10, 10.0), label, 0.5, np.ones(2, np.float32))


def observed(*regions: Region, key: str | None = "ab" * 32, name: str = "1.jpg") -> Observation:
    return Observation(
        Post("train-1", ("Hello", "Paris"), name),
        photo_key=key,
        photo_status="ok" if key else "missing",
        sentence_embedding=np.ones(2, np.float32),
        regions=regions,
    )


@pytest.mark.parametrize(
    ("sentence", "cleaned"),
    [
        ("RT @JayKen_ : Me outside", "Me outside"),
        ("RT @a : RT @b : Hi there", "Hi there"),
        ("Watching # Ellen with @ POTUS now", "Watching Ellen with POTUS now"),
        ("Go #Cavs !! http://t.co/abc", "Go Cavs !!"),
        ("pics https://t.co/x1 and www.a.com/b?c=d end", "pics and end"),
        ("mail me a@b.c", "mail me a@b.c"),
        ("http://t.co/only", "http://t.co/only"),
        ("RT", "RT"),
        ("zero\u200bwidth \u202eright", "zero width right"),
        ("Cafe\u0301 S\u00e3o Paulo 東京", "Café São Paulo 東京"),
    ],
)
def test_a_sentence_is_cleaned_for_a_search_box(sentence: str, cleaned: str) -> None:
    assert clean_sentence(sentence.split(" ")) == cleaned


@pytest.mark.parametrize("word", ["#" * 3000, "@" * 3000, "@#" * 1500])
def test_a_post_of_many_signs_is_cleaned_at_once(word: str) -> None:
    started = time.process_time()
    clean_sentence(["wow", word, "!"])
    # It took longer than the age of the universe.
    assert time.process_time() - started < 5


@settings(max_examples=60)
@given(st.lists(st.text(min_size=1, max_size=8), max_size=8))
def test_cleaning_never_leaves_a_visible_sentence_empty(tokens: list[str]) -> None:
    cleaned = clean_sentence(tokens)
    assert cleaned == " ".join(cleaned.split())
    if any(character.isalnum() for token in tokens for character in token):
        assert cleaned


def test_all_three_levels_are_asked_for_text_and_image() -> None:
    queries = make_queries(observed(region(0), region(20)))
    assert [(q.level, q.modality, q.region_index) for q in queries] == [
        ("image", "text", -1),
        ("image", "image", -1),
        ("object", "text", 0),
        ("object", "image", 0),
        ("object", "text", 1),
        ("object", "image", 1),
        ("sentence", "text", -1),
        ("sentence", "image", -1),
    ]
    assert queries[4].image_key == "ab" * 32 + "#20,0,30,10"
    # By text or by image, never by both.
    assert all(bool(q.text) != bool(q.image_key) for q in queries)


def test_a_photo_without_bytes_is_still_asked_by_its_name() -> None:
    queries = make_queries(observed(key=None))
    assert [(q.level, q.image_name, q.image_key) for q in queries[:2]] == [
        ("image", "1.jpg", ""),
        ("image", "1.jpg", ""),
    ]


def test_a_post_without_photo_asks_by_sentence_only() -> None:
    assert {q.level for q in make_queries(observed(key=None, name=""))} == {"sentence"}


def test_a_post_without_words_asks_nothing_by_sentence() -> None:
    assert make_queries(Observation(Post("1", ()))) == []


def test_the_mentions_of_a_relation_are_asked_but_never_their_types() -> None:
    tokens = ("Obama", "meets", "Angela", "Merkel")
    bare = Post("1", tokens, head=Span(2, 4), tail=Span(0, 1))
    typed = Post("1", tokens, head=Span(2, 4, "PER"), tail=Span(0, 1, "ORG"))
    assert query_text(bare) == "Obama meets Angela Merkel Angela Merkel Obama"
    assert query_text(typed) == query_text(bare)


def test_example_ids_do_not_reach_a_query() -> None:
    first = make_queries(Observation(Post("train-1", ("a",), "1.jpg")))
    second = make_queries(Observation(Post("test-9", ("a",), "1.jpg")))
    assert list(map(query_identity, first)) == list(map(query_identity, second))


def test_the_order_of_regions_changes_no_question() -> None:
    def keys(*regions: Region) -> set[str]:
        return {answer_key("kb", "f", q, 5) for q in make_queries(observed(*regions))}

    assert keys(region(0), region(20)) == keys(region(20), region(0))


def test_a_key_tells_questions_apart_but_not_their_vectors() -> None:
    base = Query("sentence", "text", text="a")
    key = answer_key("kb", "f", base, 5)
    assert key == answer_key(
        "kb", "f", Query("sentence", "text", "a", embedding=np.ones(2, np.float32)), 5
    )
    others = [
        answer_key("kb", "f", Query("sentence", "image", text="a"), 5),
        answer_key("kb", "f", Query("sentence", "text", text="b"), 5),
        answer_key("kb", "f", Query("image", "text", image_key="a"), 5),
        answer_key("kb", "f", Query("image", "text", image_name="a"), 5),
        answer_key("kb", "g", base, 5),
        answer_key("web", "f", base, 5),
        answer_key("kb", "f", base, 6),
    ]
    assert len({key, *others}) == 1 + len(others)
