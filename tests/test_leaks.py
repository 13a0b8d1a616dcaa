from __future__ import annotations

import pickle
import random
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.records import Dropped, Hit, Post
from pipelines.bench.leaks import DENIED_URLS, leaking_texts, make_hit
from retrieval.curation.dedup_text import shingles_of
from retrieval.curation.leaks import LeakGuard, drop_leaks
from retrieval.settings import LeakSettings

SETTINGS = LeakSettings()
POSTS = tuple(
    Post(name, tuple(sentence.split()))
    for name, sentence in {
        "train-1": "RT @ sam : Rain stops the cup final in Oslo , says Ada http://t.co/xyz",
        "train-2": "a quiet day at the river with Kim and the old dog",
        "test-1": "the band plays in the old harbour of Bergen tonight",
        "short": "Good morning Oslo",
    }.items()
)
GUARD = LeakGuard(POSTS)
OWN = POSTS[1]
PLANTED = sorted(leaking_texts(POSTS[2].tokens))
STEPS = {"quote": "post_quote"}


def judge(
    text: str, *, guard: LeakGuard | None = GUARD, given: LeakSettings = SETTINGS, title: str = ""
) -> Dropped | None:
    """Return how a text fell, or None."""
    kept, dropped = drop_leaks([make_hit(text, title=title)], OWN, guard, given)
    assert len(kept) + len(dropped) == 1
    return dropped[0] if dropped else None


@pytest.mark.parametrize("kind", PLANTED)
def test_a_post_is_known_in_every_form_in_which_data_sets_circulate(kind: str) -> None:
    fallen = judge(leaking_texts(POSTS[2].tokens)[kind])

    assert fallen is not None
    assert fallen.step == STEPS.get(kind.split()[0], "annotation")


def test_a_quotation_names_the_post_it_is_of() -> None:
    other = judge("Heard today: Rain stops the cup final in Oslo, says Ada. Pictures below.")
    own = judge("They wrote: a quiet day at the river with Kim and the old dog!")

    assert other is not None
    assert own is not None
    assert other.step == own.step == "post_quote"
    assert "the post train-1" in other.reason
    assert "the post itself" in own.reason


@pytest.mark.parametrize(
    "text",
    [
        "The person behind the label says that the relation is over.",
        "Johnnie Walker Gold Label: a blend for a person of taste",
        "Labels: rock, pop. Tags: music, Oslo. Entities: none.",
        "Named entities: 1. Oslo (location) 2. Ada (person) Reasoning: the sentence mentions them",
        "His Player Efficiency Rating (PER) was 24.3 in Oslo",
        "Vitamin O and blood group O: O what a day, O!",
        "See https://example.org/org/location/member_of for the relation of both",
        "Plan B-side of the record; I-95 is closed; the E-LOCK company",
        '"Relation": he said it "twice": and left',
        "the band plays tonight, and nobody knows in which harbour",
        "Rain in Oslo: the cup final is off",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert judge(text) is None


def test_a_short_post_is_known_only_where_it_is_the_whole_text() -> None:
    whole, titled = judge("good morning, Oslo!"), judge("Post. Good morning Oslo", title="Post")

    assert whole is not None
    assert titled is not None
    assert "the post short" in whole.reason
    assert judge("Good morning Oslo is a song of 1999") is None
    assert judge("A song of 1999", title="Good morning Oslo") is None


def test_a_title_that_is_a_post_gives_the_page_away() -> None:
    fallen = judge(
        "Replies and likes", title="Ada: the band plays in the old harbour of Bergen tonight"
    )

    assert fallen is not None
    assert "test-1" in fallen.reason


def test_without_a_guard_the_own_post_is_known_and_no_other() -> None:
    assert judge("so: a quiet day at the river with Kim and the old dog", guard=None) is not None
    assert judge("so: the band plays in the old harbour of Bergen tonight", guard=None) is None


def test_the_text_beside_an_image_counts_too() -> None:
    picture = replace(
        make_hit("the band plays in the old harbour of Bergen tonight"), modality="image"
    )

    assert drop_leaks([picture], OWN, GUARD, SETTINGS)[0] == []


@pytest.mark.parametrize("url", DENIED_URLS)
@pytest.mark.parametrize("field", ["url", "image_url"])
def test_a_denied_host_is_known_however_it_is_written(url: str, field: str) -> None:
    hit = make_hit("a harmless text about the sea", url if field == "url" else "")
    if field == "image_url":
        hit = replace(hit, image_url=url)

    kept, dropped = drop_leaks([hit], OWN, GUARD, SETTINGS)

    assert kept == []
    assert dropped[0].step == "denied_host"
    assert "denied host" in dropped[0].reason


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://nothuggingface.co/",
        "https://huggingface.co.example/",
        "https://news.example/about-github.com-outage",
        "https://news.example/github.com.html?q=the+github.com+outage",
        "https://news.example/tags/not-github.com/",
        "https://example-org.translate.goog/github",
        "https://github.com-example.translate.goog/",
        "https://github.example.com@news.example/",
        "https://[::1",
        "https://\ud7ff\x00/",
        "file:///etc/hosts",
    ],
)
def test_other_hosts_stay(url: str) -> None:
    hit = make_hit("a harmless text about the sea", url)

    assert drop_leaks([hit], OWN, GUARD, SETTINGS) == ([hit], [])


@pytest.mark.parametrize(
    "url",
    [
        "translate.google.com/translate?u=github.com/x",
        "https://translate.google.com/translate?sl=en&u=raw.GitHub.com",
        "https://github-com.translate.goog/x?_x_tr_sl=en",
        "https://hf--mirror-com.translate.goog/datasets",
        "https://github-com.cdn.ampproject.org/c/s/github.com",
        "https://i0.wp.com/raw.githubusercontent.com/a.jpg",
        "https://proxy.example/fetch/github.com.:443/x",
        "https://proxy.example/?u=https%25253A%25252F%25252Fgithub%25252Ecom%25252Fx",
        "https://proxy.example/get;github\u3002com",
    ],
)
def test_a_denied_host_inside_an_address_is_known_without_a_scheme_and_behind_escapes(
    url: str,
) -> None:
    (dropped,) = drop_leaks([make_hit("the sea", url)], OWN, GUARD, SETTINGS)[1]

    assert dropped.step == "denied_host"


def test_each_verdict_has_its_switch() -> None:
    lenient = LeakSettings(annotations=False, denied_hosts=(), post_containment=1.0)
    texts = leaking_texts(POSTS[2].tokens)

    assert judge(texts["relation label"], given=lenient) is None
    assert judge(texts["answer beside half a quote"], given=lenient) is None
    assert judge("the band plays in the old harbour of Bergen tomorrow", given=lenient) is None
    assert judge("the band plays in the old harbour of Bergen tomorrow") is not None
    hit = make_hit("a harmless text", "https://github.com/x")
    assert drop_leaks([hit], OWN, GUARD, lenient)[0] == [hit]


WORDS = st.lists(st.sampled_from(["ab", "cd"]), min_size=5, max_size=9)


@settings(deadline=None, max_examples=60)
@given(
    posts=st.lists(WORDS, min_size=1, max_size=6),
    text=st.lists(st.sampled_from(["ab", "cd", "other"]), max_size=30),
    threshold=st.sampled_from([0.2, 0.5, 0.75, 0.8, 1.0]),
)
def test_the_index_finds_what_comparing_with_every_post_finds(
    posts: Sequence[Sequence[str]], text: Sequence[str], threshold: float
) -> None:
    guard = LeakGuard(Post(str(n), tuple(words)) for n, words in enumerate(posts))
    own = shingles_of(text)
    wanted = set()
    for number, words in enumerate(posts):
        theirs = shingles_of(words)
        if len(own & theirs) >= threshold * len(theirs):
            wanted.add((str(number), len(own & theirs) / len(theirs)))

    got = {(name, one.share) for one in guard.quotes(text, threshold) for name in one.example_ids}

    assert got == wanted


@settings(deadline=None, max_examples=60)
@given(
    posts=st.lists(WORDS, max_size=6),
    texts=st.lists(st.lists(st.sampled_from(["ab", "cd", "other"]), max_size=12), max_size=6),
)
def test_to_ask_for_many_texts_finds_what_to_ask_for_each_finds(
    posts: Sequence[Sequence[str]], texts: Sequence[Sequence[str]]
) -> None:
    guard = LeakGuard(Post(str(n), tuple(words)) for n, words in enumerate(posts))
    assert guard.all_quotes(texts, 0.2) == [guard.quotes(text, 0.2) for text in texts]


@pytest.mark.parametrize(("num_words", "quotes"), [(10, True), (9, False)])
def test_a_quotation_begins_at_the_share_that_is_set(num_words: int, quotes: bool) -> None:
    tokens = tuple(f"word{number}" for number in range(12))
    guard = LeakGuard([Post("p", tokens)])

    # Ten trigrams in the post; eight of them, or seven, in the text.
    assert bool(guard.quotes(tokens[:num_words], 0.8)) is quotes


def test_neither_the_order_of_posts_nor_that_of_hits_changes_a_reason() -> None:
    hits = [make_hit(text) for text in leaking_texts(POSTS[2].tokens).values()]
    hits += [make_hit("nothing of that kind"), make_hit("good morning Oslo")]
    turned = LeakGuard(reversed(POSTS))

    def verdicts(order: Sequence[Hit], guard: LeakGuard) -> set[tuple[int, str, str]]:
        return {
            (id(one.hit), one.step, one.reason)
            for one in drop_leaks(order, OWN, guard, SETTINGS)[1]
        }

    assert verdicts(hits, GUARD) == verdicts(hits[::-1], turned)


def test_a_guard_sent_to_another_process_gives_the_same_answers() -> None:
    sent = pickle.loads(pickle.dumps(GUARD))  # noqa: S301

    for text in leaking_texts(POSTS[2].tokens).values():
        found = judge(text)
        again = judge(text, guard=sent)
        assert found is not None
        assert again is not None
        assert found.reason == again.reason


def test_a_guard_of_no_posts_knows_nothing() -> None:
    assert (
        judge("the band plays in the old harbour of Bergen tonight", guard=LeakGuard([])) is None
    )


def test_twenty_thousand_posts_would_take_less_than_100_megabytes() -> None:
    rng = random.Random(5)
    names = [f"word{number}" for number in range(15_000)]
    posts = [Post(f"train-{n:05d}", tuple(rng.choices(names, k=18))) for n in range(4000)]

    tracemalloc.start()
    guard = LeakGuard(posts)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert guard.quotes(posts[3999].tokens, 1.0)
    assert used < 20 * 2**20
