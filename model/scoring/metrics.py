"""Scores of entities and relations as the field reports them, from exact counts.

An undefined ratio (nothing predicted, or nothing annotated) is 0, as in seqeval and OpenNRE: a
system that finds nothing scores 0, also on a set without a single entity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Int

from cache.errors import InputError
from cache.records import Span
from model.bio import spans_of

# Which label means "no relation": the first of these that occurs, as in OpenNRE's `eval`.
NONE_LABELS: Final = ("NA", "na", "no_relation", "Other", "Others", "none", "None")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many answers were right (``tp``), too many (``fp``) and missed (``fn``)."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @property
    def support(self) -> int:
        """Return how many were annotated."""
        return self.tp + self.fn

    @property
    def precision(self) -> float:
        """Return the share of what was predicted that is right, or 0 if nothing was."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        """Return the share of what was annotated that was found, or 0 if nothing was."""
        return self.tp / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall, or 0 where both are."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 0.0

    def to_json(self) -> dict[str, float]:
        """Return ratios (in [0, 1]) and counts."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "support": self.support,
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
        }


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Micro counts over all types, and the counts of each type that was annotated or predicted."""

    micro: Counts
    by_type: Mapping[str, Counts]

    def to_json(self) -> dict[str, object]:
        """Return the micro scores with those of each type under ``by_type``."""
        by_type = {name: counts.to_json() for name, counts in self.by_type.items()}
        return {**self.micro.to_json(), "by_type": by_type}

    def to_table(self) -> str:
        """Return a Markdown table in percent: a row per type, then the micro average."""
        return scores_table("type", {**self.by_type, "micro": self.micro})


@dataclass(frozen=True, slots=True)
class EntityScores:
    """The same predictions in both readings (see `model.bio`); papers print the lenient one."""

    lenient: SpanScores
    strict: SpanScores

    def to_json(self) -> dict[str, object]:
        """Return both readings."""
        return {"lenient": self.lenient.to_json(), "strict": self.strict.to_json()}

    def to_table(self) -> str:
        """Return a Markdown table in percent: lenient by type and micro, then strict micro."""
        rows = {**self.lenient.by_type, "micro": self.lenient.micro}
        return scores_table("type", {**rows, "micro (strict)": self.strict.micro})


@dataclass(frozen=True, slots=True)
class RelationScores:
    """Scores of one relation per post.

    Attributes:
        micro: counts over every relation but ``none_label``.
        accuracy: share of all posts whose relation is right, ``none_label`` included.
        by_relation: counts of each relation that was annotated or predicted.
        none_label: the label that means "no relation", or None if the set has none.
        support: number of posts.
    """

    micro: Counts
    accuracy: float
    by_relation: Mapping[str, Counts]
    none_label: str | None
    support: int

    def to_json(self) -> dict[str, object]:
        """Return the micro scores and accuracy, with those of each label under ``by_relation``."""
        return {
            **self.micro.to_json(),
            "accuracy": self.accuracy,
            "posts": self.support,
            "none_label": self.none_label,
            "by_relation": {name: row.to_json() for name, row in self.by_relation.items()},
        }

    def to_table(self) -> str:
        """Return a Markdown table in percent: a row per relation, the micro average, accuracy."""
        average = "micro" if self.none_label is None else f"micro without {self.none_label}"
        table = scores_table("relation", {**self.by_relation, average: self.micro})
        return f"{table}\n\naccuracy {100 * self.accuracy:.2f} on {self.support} posts"


@dataclass(slots=True)
class _Tally:
    """Counts that grow."""

    tp: Counter[str] = field(default_factory=Counter)
    fp: Counter[str] = field(default_factory=Counter)
    fn: Counter[str] = field(default_factory=Counter)

    def by_label(self) -> dict[str, Counts]:
        names = sorted({*self.tp, *self.fp, *self.fn})
        return {name: Counts(self.tp[name], self.fp[name], self.fn[name]) for name in names}


def entity_scores(
    gold: Sequence[Collection[Span]], predicted: Sequence[Sequence[str]]
) -> EntityScores:
    """Return the scores of predicted BIO labels against annotated entities, in both readings.

    The annotation is given as spans, so both readings search for the same entities; they differ
    in what they take for a prediction. Entities beyond the last predicted label count as missed.

    Args:
        gold: the annotated entities of each sentence.
        predicted: the BIO labels of each sentence, in the same order.

    Raises:
        InputError: not the same number of sentences, or a label that is not BIO.
    """
    return EntityScores(
        lenient=span_scores(gold, [spans_of(labels) for labels in predicted]),
        strict=span_scores(gold, [spans_of(labels, strict=True) for labels in predicted]),
    )


def span_scores(
    gold: Sequence[Collection[Span]], predicted: Sequence[Collection[Span]]
) -> SpanScores:
    """Return the scores of predicted entities: right means the same words and the same type.

    Raises:
        InputError: not the same number of sentences.
    """
    _check_lengths(gold, predicted)
    tally = _Tally()
    for wanted, found in zip(map(set, gold), map(set, predicted), strict=True):
        tally.tp.update(span.label for span in wanted & found)
        tally.fp.update(span.label for span in found - wanted)
        tally.fn.update(span.label for span in wanted - found)
    by_type = tally.by_label()
    return SpanScores(micro=_sum(by_type.values()), by_type=by_type)


def span_counts(
    gold: Sequence[Collection[Span]], predicted: Sequence[Collection[Span]]
) -> Int[np.ndarray, "posts 3"]:
    """Return tp, fp and fn of each post: what `model.scoring.significance` resamples."""
    _check_lengths(gold, predicted)
    rows = [
        (len(wanted & found), len(found - wanted), len(wanted - found))
        for wanted, found in zip(map(set, gold), map(set, predicted), strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def find_none_label(labels: Iterable[str]) -> str | None:
    """Return the label that means "no relation", or None where every label is a relation."""
    known = set(labels)
    return next((name for name in NONE_LABELS if name in known), None)


def relation_scores(
    gold: Sequence[str], predicted: Sequence[str], none_label: str | None
) -> RelationScores:
    """Return the scores of one predicted relation per post.

    Args:
        gold: the annotated relation of each post.
        predicted: the predicted one, in the same order.
        none_label: see `find_none_label`, to be asked about the whole label set: a split in which
            the label happens not to occur would otherwise be scored by another rule.

    Raises:
        InputError: not the same number of posts.
    """
    _check_lengths(gold, predicted)
    tally = _Tally()
    for wanted, found in zip(gold, predicted, strict=True):
        if wanted == found:
            tally.tp[wanted] += 1
        else:
            tally.fp[found] += 1
            tally.fn[wanted] += 1
    by_relation = tally.by_label()
    return RelationScores(
        micro=_sum(row for name, row in by_relation.items() if name != none_label),
        accuracy=tally.tp.total() / len(gold) if gold else 0.0,
        by_relation=by_relation,
        none_label=none_label,
        support=len(gold),
    )


def relation_counts(
    gold: Sequence[str], predicted: Sequence[str], none_label: str | None
) -> Int[np.ndarray, "posts 3"]:
    """Return tp, fp and fn of each post, without ``none_label``; see `span_counts`."""
    _check_lengths(gold, predicted)
    rows = [
        (
            int(wanted == found != none_label),
            int(wanted != found and found != none_label),
            int(wanted != found and wanted != none_label),
        )
        for wanted, found in zip(gold, predicted, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def scores_table(first_column: str, rows: Mapping[str, Counts]) -> str:
    """Return rows of scores as an aligned Markdown table; ratios in percent."""
    header = [first_column, "P", "R", "F1", "support"]
    body = [
        [name.replace("|", "\\|"), *(f"{100 * ratio:.2f}" for ratio in ratios), str(row.support)]
        for name, row in rows.items()
        for ratios in [(row.precision, row.recall, row.f1)]
    ]
    widths = [max(len(line[column]) for line in [header, *body]) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [cells[0].ljust(widths[0]), *(map(str.rjust, cells[1:], widths[1:]))]
        for cells in [header, rule, *body]
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _sum(rows: Iterable[Counts]) -> Counts:
    listed = list(rows)
    return Counts(
        tp=sum(row.tp for row in listed),
        fp=sum(row.fp for row in listed),
        fn=sum(row.fn for row in listed),
    )


def _check_lengths(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted):
        raise InputError(
            f"{len(predicted)} predictions for {len(gold)} annotated posts. "
            "Score every post of the split exactly once, in the same order."
        )
