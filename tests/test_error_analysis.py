"""Error analysis by hand, and that its cells add up to the score."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache import EvidenceItem, Example, Post, Span
from model.scoring.metrics import Counts, relation_scores, span_scores
from pipelines.explaining.errors import (
    KINDS,
    NOTHING,
    Answered,
    analyse,
    pair_up,
    training_forms,
)

WORDS = ("Ada", "Lovelace", "met", "ADA", "in", "Turin", "today", ".")


@st.composite
def spans(draw: st.DrawFn) -> tuple[Span, ...]:
    """Return entities of a sentence of eight words; none overlaps another."""
    cuts = draw(st.lists(st.integers(0, len(WORDS)), max_size=8, unique=True).map(sorted))
    kinds = draw(st.lists(st.sampled_from(["PER", "LOC"]), min_size=8, max_size=8))
    return tuple(
        Span(low, high, kind)
        for low, high, kind in zip(cuts[::2], cuts[1::2], kinds, strict=False)
    )


def items(texts: int, images: int) -> list[EvidenceItem]:
    streams = [0] * texts + [1] * images
    return [
        EvidenceItem(stream, 0, -1, "words", None, None, None, 1.0, None) for stream in streams
    ]


def post(
    gold: tuple[Span, ...],
    found: tuple[Span, ...],
    name: str = "a",
    texts: int = 0,
    images: int = 0,
) -> Answered:
    return Answered(Example(Post(name, WORDS), "test", gold), found, "", items(texts, images))


def pair(gold: str, found: str, name: str, head: int = 0, texts: int = 0) -> Answered:
    mentions = Post(name, WORDS, head=Span(head, head + 1), tail=Span(5, 6))
    return Answered(Example(mentions, "test", None, gold), (), found, items(texts, 0))


@given(st.lists(st.tuples(spans(), spans(), st.integers(0, 30), st.integers(0, 2)), max_size=6))
def test_the_cells_of_every_grouping_add_up_to_the_strict_score(
    drawn: list[tuple[tuple[Span, ...], tuple[Span, ...], int, int]],
) -> None:
    posts = [post(g, f, str(n), t, i) for n, (g, f, t, i) in enumerate(drawn)]
    seen = training_forms("entities", [Example(Post("t", WORDS), "train", (Span(0, 1, "PER"),))])
    found = analyse("entities", posts, seen)
    score = span_scores([g for g, *_ in drawn], [f for _, f, *_ in drawn])
    assert found.total == score.micro
    assert {name: group.counts for name, group in found.by_type.items()} == score.by_type
    for grouping in (found.by_type, found.by_seen, found.by_items):
        counts = [group.counts for group in grouping.values()]
        sums = [sum(getattr(c, key) for c in counts) for key in ("tp", "fp", "fn")]
        assert Counts(*sums) == score.micro
    assert sum(group.posts for group in found.by_items.values()) == len(posts) == found.posts
    wrong_pairs = sum(found.kinds[kind] for kind in KINDS[1:4])
    assert found.kinds["right"] == score.micro.tp
    assert wrong_pairs + found.kinds["missed"] == score.micro.fn
    assert wrong_pairs + found.kinds["spurious"] == score.micro.fp
    in_cells = sum(count for row in found.confusion.values() for count in row.values())
    assert in_cells == sum(found.kinds.values())


def test_each_kind_of_error_is_told_from_the_others() -> None:
    gold = (Span(0, 2, "PER"), Span(3, 4, "PER"), Span(5, 6, "LOC"))
    cases = {
        "right": gold,
        "type": (*gold[:2], Span(5, 6, "PER")),
        "boundary": (Span(0, 1, "PER"), *gold[1:]),
        "boundary and type": (Span(0, 1, "LOC"), *gold[1:]),
        "missed": gold[1:],
        "spurious": (*gold, Span(6, 7, "LOC")),
    }
    for kind, predicted in cases.items():
        kinds = analyse("entities", [post(gold, predicted)], frozenset()).kinds
        expected = {"right": 3 if kind in ("right", "spurious") else 2}
        if kind != "right":
            expected[kind] = 1
        assert {name: count for name, count in kinds.items() if count} == expected


def test_an_entity_is_paired_with_the_prediction_that_is_nearest() -> None:
    wide, exact = Span(0, 3, "PER"), Span(3, 5, "LOC")
    assert pair_up([wide, exact], [Span(0, 1, "PER"), Span(1, 5, "PER")]) == [
        (wide, Span(1, 5, "PER")),  # two words of the same type, against one
        (exact, None),
        (None, Span(0, 1, "PER")),
    ]
    # The same type goes before more words.
    assert pair_up([wide], [Span(0, 1, "PER"), Span(1, 3, "LOC")])[0] == (wide, Span(0, 1, "PER"))


@given(spans(), spans())
def test_everything_is_in_one_pair_and_pairs_overlap(
    gold: tuple[Span, ...], found: tuple[Span, ...]
) -> None:
    pairs = pair_up(gold, found)
    assert sorted(wanted for wanted, _ in pairs if wanted) == sorted(gold)
    assert sorted(got for _, got in pairs if got) == sorted(found)
    for wanted, got in pairs:
        assert wanted is None or got is None or min(wanted.end, got.end) > max(wanted[0], got[0])
    assert sum(wanted == got for wanted, got in pairs) == len(set(gold) & set(found))


def test_seen_goes_by_words_whatever_their_case_and_by_the_side_that_has_them() -> None:
    seen = training_forms(
        "entities", [Example(Post("t", ("ada",)), "train", (Span(0, 1, "LOC"),))]
    )
    found = analyse("entities", [post((Span(3, 4, "PER"),), (Span(5, 6, "PER"),))], seen)
    assert found.by_seen["seen"].counts == Counts(fn=1)  # "ADA" was annotated and missed
    assert found.by_seen["unseen"].counts == Counts(fp=1)  # "Turin" was predicted


def test_posts_are_told_apart_by_what_the_store_keeps_for_them() -> None:
    gold = (Span(0, 1, "PER"),)
    posts = [
        post(gold, gold, "none"),
        post(gold, (), "both", texts=2, images=1),
        post((), (), "empty", texts=7),
    ]
    found = analyse("entities", posts, frozenset())
    by_evidence = {name: (g.counts, g.posts) for name, g in found.by_evidence.items()}
    assert by_evidence == {
        "none": (Counts(tp=1), 1),
        "some text": (Counts(fn=1), 2),
        "some image": (Counts(fn=1), 1),
    }
    items_of = {name: group.posts for name, group in found.by_items.items()}
    assert items_of == {
        "0": 1,
        "1 to 2": 0,
        "3 to 5": 1,
        "6 to 10": 1,
        "11 to 20": 0,
        "21 or more": 0,
    }


def test_relations_are_counted_without_the_label_for_none() -> None:
    posts = [
        pair("peer", "peer", "1"),
        pair("peer", "lives in", "2"),
        pair("None", "peer", "3", texts=1),
        pair("lives in", "None", "4", head=3),
        pair("None", "None", "5"),
    ]
    gold, answers = [p.example.relation or "" for p in posts], [p.relation for p in posts]
    found = analyse("relations", posts, frozenset(), "None")
    assert found.total == relation_scores(gold, answers, "None").micro
    assert found.kinds == {
        "right": 1,
        "type": 1,
        "boundary": 0,
        "boundary and type": 0,
        "missed": 1,
        "spurious": 1,
    }
    assert found.confusion == {
        NOTHING: {"peer": 1},
        "lives in": {NOTHING: 1},
        "peer": {"lives in": 1, "peer": 1},
    }
    assert found.by_evidence["some text"].counts == Counts(fp=1)
    assert found.posts == 5


def test_a_pair_was_seen_only_with_both_its_mentions_in_this_order() -> None:
    trained = pair("peer", "", "t").example  # Ada, Turin
    seen = training_forms("relations", [trained])
    found = analyse(
        "relations",
        [pair("peer", "peer", "1", head=3), pair("peer", "None", "2", head=1)],
        seen,
        "None",
    )
    assert found.by_seen["seen"].counts == Counts(tp=1)  # ADA, Turin
    assert found.by_seen["unseen"].counts == Counts(fn=1)  # Lovelace, Turin
    turned = Post("u", WORDS, head=Span(5, 6), tail=Span(0, 1))
    assert training_forms("relations", [Example(turned, "train", None, "peer")]) != seen


def test_everything_is_written_with_its_counts() -> None:
    written = analyse("entities", [post((Span(0, 1, "PER"),), ())], frozenset()).to_json()
    cells = written["by"]
    assert isinstance(cells, dict)
    assert cells["type"]["PER"]["fn"] == cells["type"]["PER"]["posts"] == 1
    assert cells["seen_in_training"]["seen"]["support"] == 0
    assert written["confusion"] == {"PER": {NOTHING: 1}}


@pytest.mark.parametrize(
    ("count", "cell"),
    [(0, "0"), (1, "1 to 2"), (2, "1 to 2"), (3, "3 to 5"), (20, "11 to 20"), (21, "21 or more")],
)
def test_the_edges_of_the_numbers_of_items(count: int, cell: str) -> None:
    found = analyse("entities", [post((), (), texts=count)], frozenset())
    assert [name for name, group in found.by_items.items() if group.posts] == [cell]
