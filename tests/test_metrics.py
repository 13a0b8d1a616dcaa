from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient_scores
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from cache import InputError, Span
from model.bio import labels_of, spans_of
from model.scoring.metrics import (
    Counts,
    entity_scores,
    find_none_label,
    relation_counts,
    relation_scores,
    span_counts,
    span_scores,
)

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
Pair = tuple[list[str], list[str]]


@st.composite
def sentence_pairs(draw: st.DrawFn) -> list[Pair]:
    """Return two label sequences for each sentence, often the same."""
    pairs: list[Pair] = []
    for length in draw(st.lists(st.integers(0, 7), min_size=1, max_size=5)):
        words = st.lists(st.sampled_from(LABELS), min_size=length, max_size=length)
        first = draw(words)
        pairs.append((first, draw(st.one_of(words, st.just(first)))))
    return pairs


def unzip(pairs: list[Pair]) -> tuple[list[list[str]], list[list[str]]]:
    """Return annotations, made well-formed, and predictions, as ill-formed as they come."""
    gold = [labels_of(spans_of(labels), len(labels)) for labels, _ in pairs]
    return gold, [predicted for _, predicted in pairs]


def ratios(counts: Counts) -> tuple[float, float, float]:
    return counts.precision, counts.recall, counts.f1


@given(sentence_pairs())
@example([([], [])])
@example([(["O"], ["O"])])
@example([(["O"], ["B-PER"])])
@example([(["B-PER", "O"], ["O", "O"])])
@example([(["B-PER", "I-PER"], ["I-PER", "I-PER"])])
@settings(deadline=None)
def test_both_readings_agree_with_seqeval(pairs: list[Pair]) -> None:
    gold, predicted = unzip(pairs)
    scores = entity_scores([spans_of(labels) for labels in gold], predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns where a ratio is undefined
        lenient = lenient_scores(gold, predicted, average="micro", zero_division=0)
        strict = strict_scores(gold, predicted, average="micro", zero_division=0, scheme=IOB2)
        by_type = lenient_scores(gold, predicted, average=None, zero_division=0)
    assert ratios(scores.lenient.micro) == pytest.approx(lenient[:3])
    assert ratios(scores.strict.micro) == pytest.approx(strict[:3])
    table = scores.lenient.by_type
    names = sorted({span.label for row in gold + predicted for span in spans_of(row)})
    assert sorted(table) == names
    for index, name in enumerate(names):
        expected = [by_type[column][index] for column in range(4)]
        assert [*ratios(table[name]), table[name].support] == pytest.approx(expected)


@given(sentence_pairs())
@example([(["B-PER"], ["B-LOC"])])
@settings(deadline=None, max_examples=30)
def test_lenient_counts_agree_with_nervaluate(pairs: list[Pair]) -> None:
    gold, predicted = unzip(pairs)
    spans = [[spans_of(labels) for labels in side] for side in (gold, predicted)]
    as_dicts = [
        [[{"start": s.start, "end": s.end - 1, "label": s.label} for s in row] for row in side]
        for side in spans
    ]
    evaluator = Evaluator(*as_dicts, tags=["PER", "LOC", "ORG"], loader="dict")
    result = evaluator.evaluate()["overall"]["strict"]
    ours = span_scores(*spans).micro
    assert (ours.tp, ours.tp + ours.fp, ours.support) == (
        result.correct,
        result.actual,
        result.possible,
    )


def test_a_worked_example_of_entities() -> None:
    gold = [{Span(0, 2, "PER"), Span(3, 4, "LOC")}, {Span(0, 1, "PER")}]
    # Right person with an orphan I-, place one word too long; nothing found in the second.
    predicted = [["I-PER", "I-PER", "O", "B-LOC", "I-LOC"], ["O"]]
    scores = entity_scores(gold, predicted)
    assert scores.lenient.micro == Counts(tp=1, fp=1, fn=2)
    assert scores.strict.micro == Counts(tp=0, fp=1, fn=3)
    assert scores.lenient.by_type == {"LOC": Counts(0, 1, 1), "PER": Counts(1, 0, 1)}
    assert ratios(scores.lenient.micro) == pytest.approx((1 / 2, 1 / 3, 2 / 5))


def test_entities_beyond_a_truncated_prediction_are_missed() -> None:
    gold = [{Span(0, 1, "PER"), Span(8, 9, "LOC")}]
    assert entity_scores(gold, [["B-PER", "O"]]).lenient.micro == Counts(tp=1, fp=0, fn=1)


def test_an_entity_predicted_twice_counts_once() -> None:
    twice = [[Span(0, 1, "PER"), Span(0, 1, "PER")]]
    assert span_scores([{Span(0, 1, "PER")}], twice).micro == Counts(tp=1)
    assert span_counts([{Span(0, 1, "PER")}], twice).tolist() == [[1, 0, 0]]


@given(sentence_pairs())
def test_counts_of_posts_sum_to_the_micro_counts(pairs: list[Pair]) -> None:
    gold, predicted = ([spans_of(row) for row in side] for side in unzip(pairs))
    micro = span_scores(gold, predicted).micro
    assert span_counts(gold, predicted).sum(0).tolist() == [micro.tp, micro.fp, micro.fn]


RELATIONS = ("None", "/per/per/peer", "/per/loc/place_of_birth", "/per/org/member_of")
relation_pairs = st.lists(st.tuples(st.sampled_from(RELATIONS), st.sampled_from(RELATIONS)))


@given(relation_pairs, st.sampled_from(["None", None]))
@example([], "None")
@example([("None", "None")], "None")
@example([("None", RELATIONS[1])], "None")
@example([(RELATIONS[1], "None")], "None")
def test_relations_agree_with_scikit_learn(
    pairs: list[tuple[str, str]], none_label: str | None
) -> None:
    gold, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    scores = relation_scores(gold, predicted, none_label)
    counts = relation_counts(gold, predicted, none_label).sum(0).tolist()
    assert counts == [scores.micro.tp, scores.micro.fp, scores.micro.fn]
    if not pairs:
        assert (ratios(scores.micro), scores.accuracy) == ((0, 0, 0), 0)
        return
    counted = [name for name in RELATIONS if name != none_label]
    expected = precision_recall_fscore_support(
        gold, predicted, labels=counted, average="micro", zero_division=0
    )
    assert ratios(scores.micro) == pytest.approx(expected[:3])
    assert scores.accuracy == accuracy_score(gold, predicted)
    names = sorted({*gold, *predicted})
    table = precision_recall_fscore_support(gold, predicted, labels=names, zero_division=0)
    assert list(scores.by_relation) == names
    for row, expected_row in zip(
        scores.by_relation.values(), zip(*table, strict=True), strict=True
    ):
        assert [*ratios(row), row.support] == pytest.approx(expected_row)


def opennre_eval(
    gold: list[str], predicted: list[str], none_label: str | None
) -> tuple[float, float, float, float]:
    """Return accuracy, P, R, F1 by the loop that the data set's papers share."""
    correct = correct_positive = predicted_positive = gold_positive = 0
    for wanted, found in zip(gold, predicted, strict=True):
        if wanted == found:
            correct += 1
            correct_positive += wanted != none_label
        predicted_positive += found != none_label
        gold_positive += wanted != none_label
    precision = correct_positive / predicted_positive if predicted_positive else 0.0
    recall = correct_positive / gold_positive if gold_positive else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return correct / len(gold), precision, recall, f1


@given(st.lists(st.tuples(st.sampled_from(RELATIONS), st.sampled_from(RELATIONS)), min_size=1))
def test_relations_agree_with_the_loop_of_opennre(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    scores = relation_scores(gold, predicted, "None")
    expected = opennre_eval(gold, predicted, "None")
    assert (scores.accuracy, *ratios(scores.micro)) == pytest.approx(expected)


def test_a_wrong_relation_is_both_too_many_and_missed() -> None:
    scores = relation_scores(["a", "None", "b", "None"], ["b", "a", "None", "None"], "None")
    assert scores.micro == Counts(tp=0, fp=2, fn=2)
    assert scores.accuracy == 1 / 4
    assert relation_counts(["a", "None"], ["b", "a"], "None").tolist() == [[0, 1, 1], [0, 1, 0]]


def test_none_is_the_first_known_name_for_it() -> None:
    assert find_none_label(["None", "b", "Other"]) == "Other"
    assert find_none_label(["b", "None"]) == "None"
    assert find_none_label(["b", "c"]) is None


def test_as_many_predictions_as_posts_are_required() -> None:
    with pytest.raises(InputError, match="1 predictions for 2 annotated posts"):
        entity_scores([set(), set()], [["O"]])
    with pytest.raises(InputError, match="1 predictions for 2 annotated posts"):
        relation_scores(["a", "b"], ["a"], None)
    with pytest.raises(InputError, match="0 predictions for 1 annotated posts"):
        span_counts([set()], [])
    with pytest.raises(InputError, match="0 predictions for 1 annotated posts"):
        relation_counts(["a"], [], None)


def test_no_posts_have_no_counts() -> None:
    assert span_counts([], []).shape == (0, 3)
    assert relation_counts([], [], "None").dtype == np.int64


def test_tables_are_markdown_with_every_type_and_the_averages() -> None:
    gold = [{Span(0, 1, "PER"), Span(1, 2, "LOC|GPE")}]
    table = entity_scores(gold, [["B-PER", "O"]]).to_table()
    assert table.splitlines() == [
        "| type           |      P |      R |     F1 | support |",
        "| -------------- | -----: | -----: | -----: | ------: |",
        "| LOC\\|GPE       |   0.00 |   0.00 |   0.00 |       1 |",
        "| PER            | 100.00 | 100.00 | 100.00 |       1 |",
        "| micro          | 100.00 |  50.00 |  66.67 |       2 |",
        "| micro (strict) | 100.00 |  50.00 |  66.67 |       2 |",
    ]
    relations = relation_scores(["a", "None"], ["a", "None"], "None").to_table()
    assert "| micro without None |" in relations
    assert relations.endswith("accuracy 100.00 on 2 posts")


def test_scores_travel_as_json() -> None:
    entities = entity_scores([{Span(0, 1, "PER")}], [["B-PER"]]).to_json()
    found = json.loads(json.dumps(entities))
    assert found["strict"]["f1"] == found["lenient"]["by_type"]["PER"]["f1"] == 1.0
    relations = json.loads(json.dumps(relation_scores(["a"], ["b"], None).to_json()))
    assert relations["by_relation"]["b"]["fp"] == 1
    assert relations["none_label"] is None
