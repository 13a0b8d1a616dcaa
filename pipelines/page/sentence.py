"""A post's sentence with its entities marked, and its relation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from cache import Example, Span
from pipelines.page.markup import Markup, element, quoted

NUM_HUES: Final = 8


class Hues:
    """Gives every label of a page its own hue, in order of appearance."""

    def __init__(self) -> None:
        self._hues: dict[str, int] = {}

    def of(self, label: str) -> str:
        """Return the style class of a label."""
        return f"hue{self._hues.setdefault(label, len(self._hues)) % NUM_HUES}"


def region_hue(index: int) -> str:
    """Return the style class of a region; the first ones differ from the first labels'."""
    return f"hue{(index + NUM_HUES // 2) % NUM_HUES}"


def sentence(example: Example, hues: Hues) -> Markup:
    """Return the words with every span marked; spans may overlap and touch."""
    spans = [(span, span.label) for span in example.entities or ()]
    spans += [(span, role) for span, role in _mentions(example)]
    tokens = example.post.tokens
    if not tokens:
        return element("p", "(no words)", class_="sentence dim")
    inside = [(span, label) for span, label in spans if 0 <= span.start < span.end <= len(tokens)]
    cuts = {0, len(tokens)} | {edge for span, _ in inside for edge in (span.start, span.end)}
    edges = sorted(cuts)
    pieces = [_piece(tokens, start, end, inside, hues) for start, end in pairwise(edges)]
    # Spaces outside the marks, so that lines break between them.
    spaced = [part for piece in pieces for part in (piece, " ")]
    return element("p", spaced, class_="sentence", dir="auto")


def annotation_list(example: Example, hues: Hues) -> Markup:
    """Return what was annotated, as a list of spans with their places, and the relation."""
    tokens = example.post.tokens
    items: list[Markup] = []
    if example.post.head is not None or example.post.tail is not None:
        items.append(_relation(example))
    if example.entities is None and example.relation is None:
        items.append(element("li", "not annotated", class_="dim"))
    elif example.entities == ():
        items.append(element("li", "no entities", class_="dim"))
    for span in example.entities or ():
        items.append(
            element(
                "li",
                element("b", quoted(span.label), class_=f"tag {hues.of(span.label)}"),
                " ",
                _words(tokens, span),
                _place(span),
            )
        )
    return element("ul", items, class_="annotations")


def _relation(example: Example) -> Markup:
    """Return ``head -> relation -> tail``."""
    tokens, post = example.post.tokens, example.post
    label = "not annotated" if example.relation is None else example.relation
    head, tail = (
        [_words(tokens, span), _place(span)] if span is not None else "(none given)"
        for span in (post.head, post.tail)
    )
    arrow = element("b", quoted(label), class_="relation")
    return element("li", head, " ", arrow, " → ", tail, class_="triple")


def _mentions(example: Example) -> list[tuple[Span, str]]:
    given = ((example.post.head, "head"), (example.post.tail, "tail"))
    return [(span, role) for span, role in given if span is not None]


def _piece(
    tokens: Sequence[str],
    start: int,
    end: int,
    spans: Sequence[tuple[Span, str]],
    hues: Hues,
) -> Markup:
    """Return a run of words that no span's edge divides, marked by all spans that cover it."""
    words = quoted(" ".join(tokens[start:end]))
    covering = [(span, label) for span, label in spans if span.start <= start < end <= span.end]
    if not covering:
        return words
    # A label stands where its span ends; the words before it belong to the same span.
    ending = [
        element("sub", quoted(label), class_=hues.of(label))
        for span, label in covering
        if span.end == end
    ]
    names = ", ".join(label for _, label in covering)
    return element("mark", words, ending, class_=hues.of(covering[0][1]), title=names)


def _words(tokens: Sequence[str], span: Span) -> Markup:
    return element("q", quoted(" ".join(tokens[max(span.start, 0) : max(span.end, 0)])))


def _place(span: Span) -> Markup:
    last = span.end - 1
    text = f" word {last}" if span.start == last else f" words {span.start} to {last}"
    return element("small", text, class_="dim")
