"""CoNLL as the field writes it: ``IMGID:`` lines, BIO labels, and a context after ``<EOS>``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cache.errors import InputError
from cache.records import Span
from retrieval.datasets.lines import Line, shown

CONTEXT_MARK: Final = "<EOS>"
CONTEXT_LABEL: Final = "X"
_PHOTO_MARK: Final = "IMGID:"
_BIO_LABEL: Final = re.compile(r"O|[BI]-[^\s-]\S*")
# The word before the label may be a no-break space (Twitter-2015 has one), so only a plain
# space separates columns, and only in a line without a tab.
_COLUMNS: Final = re.compile(r"(\S+) +(\S+) *")


@dataclass(slots=True)
class Sentence:
    """One sentence as it stands in the file.

    Attributes:
        place: ``file:line`` of its first line.
        photo_id: what follows ``IMGID:``, or None without such a line.
        tokens: the words, verbatim; a word may be blank.
        labels: one BIO label per word.
        contexts: the passages after each ``<EOS>``, words joined by a space; empty ones left out.
    """

    place: str
    photo_id: str | None = None
    tokens: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    contexts: list[list[str]] = field(default_factory=list)

    def passages(self) -> list[str]:
        """Return the contexts as text."""
        joined = (" ".join(" ".join(words).split()) for words in self.contexts)
        return [text for text in joined if text]


def read_sentences(lines: Iterable[Line], *, with_labels: bool = True) -> Iterator[Sentence]:
    """Yield the sentences of a file in order.

    Args:
        lines: of one file.
        with_labels: False leaves ``labels`` empty and unchecked, for readers of evidence, which
            must not know any.

    Raises:
        InputError: a malformed line, a label that is not BIO, or a post without words.
    """
    current: Sentence | None = None
    for line in lines:
        photo_id = _photo_id(line)
        if photo_id is not None or not line.text.strip(" "):
            if current is not None:
                yield _checked(current)
            current = Sentence(line.place, photo_id) if photo_id is not None else None
            continue
        current = current or Sentence(line.place)
        _add(current, line, with_labels)
    if current is not None:
        yield _checked(current)


def _photo_id(line: Line) -> str | None:
    if not line.text.startswith(_PHOTO_MARK) or "\t" in line.text:
        return None
    photo_id = line.text.removeprefix(_PHOTO_MARK).strip()
    if not photo_id:
        raise InputError(f"{line.place}: IMGID: names no photo. Write the photo's id behind it.")
    return photo_id


def _add(sentence: Sentence, line: Line, with_labels: bool) -> None:
    word, label = _split(line, in_context=bool(sentence.contexts))
    if label == CONTEXT_LABEL and word == CONTEXT_MARK:
        sentence.contexts.append([])
    elif sentence.contexts:
        if label != CONTEXT_LABEL:
            raise InputError(
                f"{line.place}: label {shown(label)} after {CONTEXT_MARK}, where every word is "
                f"context and labelled {CONTEXT_LABEL}. Is a blank line missing above?"
            )
        sentence.contexts[-1].append(word)
    else:
        sentence.tokens.append(word)
        if with_labels:
            sentence.labels.append(_bio_label(label, line))


def _split(line: Line, in_context: bool) -> tuple[str, str]:
    """Return word and label of a line, separated by one tab, or by spaces where there is none."""
    if "\t" in line.text:
        word, _, label = line.text.partition("\t")
        label = label.rstrip(" ")
        if "\t" not in label and (label or in_context):
            return word, label or CONTEXT_LABEL
    elif match := _COLUMNS.fullmatch(line.text):
        return match[1], match[2]
    raise InputError(
        f"{line.place}: {shown(line.text)} is not a word and a label with a tab or a space "
        "between them. Give every word one label, and put a blank line between sentences."
    )


def _bio_label(label: str, line: Line) -> str:
    if not _BIO_LABEL.fullmatch(label):
        raise InputError(
            f"{line.place}: label {shown(label)} is unknown: it is neither O nor B-TYPE or "
            "I-TYPE. Correct the line, or convert other schemes (BIOES, IO) to BIO."
        )
    # Twitter-2015 writes the fourth class OTHER, Twitter-2017 MISC.
    return label[:2] + "MISC" if label[2:] == "OTHER" else label


def _checked(sentence: Sentence) -> Sentence:
    # A lone blank word is a quirk of the data; a sentence of nothing else cannot be labelled.
    if not any(word.strip() for word in sentence.tokens):
        raise InputError(
            f"{sentence.place}: the sentence is empty. "
            "Give it its words (no blank line after IMGID:), or delete the post."
        )
    return sentence


def bio_spans(labels: Sequence[str]) -> tuple[tuple[Span, ...], Counter[str]]:
    """Return the entities as lenient seqeval counts them, and how many were opened by an ``I-``.

    An ``I-`` behind ``O``, or behind another type, opens an entity: the field's published
    figures count so. The counter's keys are ``after O`` and ``after another type``.
    """
    spans: list[Span] = []
    orphans: Counter[str] = Counter()
    start, kind = 0, ""
    for index, label in enumerate([*labels, "O"]):
        prefix, _, label_type = label.partition("-")
        if prefix == "I" and label_type == kind:
            continue
        if prefix == "I":
            orphans["after another type" if kind else "after O"] += 1
        if kind:
            spans.append(Span(start, index, kind))
        start, kind = index, label_type
    return tuple(spans), orphans
