from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from cache import InputError, Span
from model.bio import label_set, labels_of, may_follow, may_start, spans_of

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
sequences = st.lists(st.sampled_from(LABELS), max_size=12)


def test_a_worked_example_goes_there_and_back() -> None:
    spans = (Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC"))
    labels = ["B-PER", "I-PER", "B-PER", "O", "B-LOC"]
    assert labels_of(spans, 5) == labels
    assert spans_of(labels) == spans


@given(sequences)
@example([])
@example(["I-PER", "B-PER", "I-LOC", "I-PER"])
def test_lenient_spans_are_those_of_seqeval(labels: list[str]) -> None:
    expected = [Span(start, end + 1, label) for label, start, end in get_entities(labels)]
    assert list(spans_of(labels)) == expected


@given(sequences)
@example(["I-PER", "B-PER", "I-LOC", "I-PER"])
@example(["O", "I-PER", "I-PER"])
def test_strict_spans_are_those_of_seqeval(labels: list[str]) -> None:
    (entities,) = Entities([labels], IOB2).entities
    assert [tuple(span) for span in spans_of(labels, strict=True)] == [
        (entity.start, entity.end, entity.tag) for entity in entities
    ]


@given(sequences)
def test_strict_spans_are_among_the_lenient_ones_and_survive_the_way_back(
    labels: list[str],
) -> None:
    strict = spans_of(labels, strict=True)
    assert set(strict) <= set(spans_of(labels))
    written = labels_of(strict, len(labels))
    assert spans_of(written) == spans_of(written, strict=True) == strict


def test_a_type_may_contain_a_dash() -> None:
    assert spans_of(["B-work-of-art", "I-work-of-art"]) == (Span(0, 2, "work-of-art"),)


@pytest.mark.parametrize(
    ("spans", "named"),
    [
        ([Span(0, 4, "PER")], "sentence of 3 words"),
        ([Span(-1, 1, "PER")], "sentence of 3 words"),
        ([Span(1, 1, "PER")], "sentence of 3 words"),
        ([Span(0, 2, "PER"), Span(1, 3, "LOC")], "overlaps"),
        ([Span(0, 2, "")], "no entity type"),
    ],
)
def test_spans_that_bio_cannot_express_are_refused(spans: list[Span], named: str) -> None:
    with pytest.raises(InputError, match=named):
        labels_of(spans, 3)


@pytest.mark.parametrize("label", ["X", "B", "B-", "-PER", "S-PER", "PER", "", "o"])
def test_what_is_not_bio_is_refused(label: str) -> None:
    with pytest.raises(InputError, match="not a BIO label"):
        spans_of(["O", label])


@given(sequences)
def test_a_sequence_of_legal_steps_is_one_that_reads_the_same_both_ways(labels: list[str]) -> None:
    starts, follows = may_start(LABELS), may_follow(LABELS)
    indices = [LABELS.index(label) for label in labels]
    legal = (not indices or starts[indices[0]]) and all(
        follows[a][b] for a, b in pairwise(indices)
    )
    assert legal == (labels_of(spans_of(labels, strict=True), len(labels)) == labels)


def test_the_label_set_is_sorted_and_begins_outside() -> None:
    assert label_set(["PER", "LOC", "PER"]) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
