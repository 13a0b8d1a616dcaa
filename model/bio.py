"""Spans as BIO labels of words, and back.

Two readings of a label sequence are in use, and they differ only where a sequence is not
well-formed. *Lenient* (seqeval's default, and so the figures of nearly every paper): an ``I-``
that continues nothing opens an entity. *Strict* (seqeval's ``mode="strict", scheme=IOB2``): only
``B-`` opens one, and an ``I-`` that continues nothing belongs to no entity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cache.errors import InputError
from cache.records import Span

OUTSIDE: Final = "O"


def label_set(types: Iterable[str]) -> tuple[str, ...]:
    """Return every BIO label of the entity types: ``O`` first, then ``B-X, I-X`` by type name."""
    names = sorted(set(types))
    return (OUTSIDE, *(f"{prefix}-{name}" for name in names for prefix in "BI"))


def labels_of(spans: Iterable[Span], length: int) -> list[str]:
    """Return the BIO labels of a sentence of ``length`` words.

    Raises:
        InputError: a span is empty, outside the sentence, without a type, or overlaps another.
    """
    labels = [OUTSIDE] * length
    for span in sorted(spans):
        if not 0 <= span.start < span.end <= length:
            raise InputError(
                f"{span} does not lie in a sentence of {length} words. "
                "Spans are end-exclusive and count words from 0; correct the annotation."
            )
        if not span.label:
            raise InputError(f"{span} has no entity type. Give it one, or leave the span out.")
        if any(label != OUTSIDE for label in labels[span.start : span.end]):
            raise InputError(
                f"{span} overlaps another entity, which BIO labels cannot express. "
                "Keep one of the two."
            )
        labels[span.start] = f"B-{span.label}"
        labels[span.start + 1 : span.end] = [f"I-{span.label}"] * (span.end - span.start - 1)
    return labels


def spans_of(labels: Sequence[str], *, strict: bool = False) -> tuple[Span, ...]:
    """Return the entities of a label sequence in order of ``start``.

    Args:
        labels: one of ``O``, ``B-TYPE``, ``I-TYPE`` per word.
        strict: drop runs that do not open with ``B-`` instead of reading them as entities.

    Raises:
        InputError: a label is none of the three.
    """
    return tuple(_spans(labels, strict))


def _spans(labels: Sequence[str], strict: bool) -> Iterator[Span]:
    start, open_type = 0, ""  # no type: no entity is open
    for index, label in enumerate(labels):
        prefix, label_type = parse_label(label)
        if prefix == "I" and label_type == open_type:
            continue
        if open_type:
            yield Span(start, index, open_type)
        opens = prefix == "B" or (prefix == "I" and not strict)
        start, open_type = index, label_type if opens else ""
    if open_type:
        yield Span(start, len(labels), open_type)


def parse_label(label: str) -> tuple[str, str]:
    """Return ``B`` or ``I`` with the entity type, or ``("O", "")``.

    Raises:
        InputError: the label is neither ``O`` nor ``B-TYPE`` nor ``I-TYPE``.
    """
    if label == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, label_type = label.partition("-")
    if prefix not in {"B", "I"} or not dash or not label_type:
        raise InputError(
            f"{label!r} is not a BIO label. Expected 'O', 'B-TYPE' or 'I-TYPE'; "
            "convert other schemes before reading."
        )
    return prefix, label_type


def may_start(labels: Sequence[str]) -> list[bool]:
    """Return for each label whether a well-formed sequence may begin with it."""
    return [parse_label(label)[0] != "I" for label in labels]


def may_follow(labels: Sequence[str]) -> list[list[bool]]:
    """Return ``table[i][j]``: whether ``labels[j]`` may come right after ``labels[i]``."""
    parsed = [parse_label(label) for label in labels]
    return [
        [prefix != "I" or label_type == previous_type for prefix, label_type in parsed]
        for _, previous_type in parsed
    ]
