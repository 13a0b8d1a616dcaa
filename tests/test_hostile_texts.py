"""No text makes a filter slow: every pattern is linear in what it reads."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

from retrieval.curation.dedup_text import words
from retrieval.curation.leak_patterns import announced_answer, shown_annotation
from retrieval.curation.noise import boilerplate
from retrieval.curation.noise.shape import damage, keyword_list, menu
from retrieval.curation.noise.signs import in_bits, selling, tells_something

LENGTH = 20_000
LIMIT_S = 0.5
# What the patterns begin with, and what they may go on with for long.
STARTS = (
    "",
    "1",
    "$1",
    "+1 ",
    "in ",
    "in 1 ",
    "no ",
    "no a ",
    ". ",
    "? need",
    "head",
    "head=",
    "head=a,",
    "IMGID",
    "IMGID:",
    "gold",
    "gold labels",
    "ground",
    "ner",
    "/per/org/",
    "'relation'",
    "B-PER ",
    "__",
    "##",
    "%%",
    "{{",
    "{%",
    "<%",
    "${",
    "%(",
    "[[",
    "#{",
    "{$a",
    '{"',
    '"a":',
    "[a a=",
    "[/a",
    "[your ",
    "document.",
    "function",
    "=>",
    ";",
    "var ",
    "&#",
    "#a",
    "|",
    " -",
    "relation ",
)
FILLERS = (" ", "\n", "a", "1", "1,", "a ", "_", ".a", " - ", "'", "head=", "\u00c3\u00a9")
FILTERS: dict[str, Callable[[str], object]] = {
    "damage": lambda text: damage(text, words(text)),
    "menu": menu,
    "keyword_list": lambda text: keyword_list(text, words(text)),
    "selling": lambda text: selling(text + "?1", words(text)),
    "in_bits": in_bits,
    "tells_something": lambda text: tells_something(text, boilerplate.BOILERPLATE),
    "shown_annotation": lambda text: shown_annotation("PER relation: " + text),
    "announced_answer": lambda text: announced_answer(text + ":"),
}


def seconds(judge: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    judge(text)
    return time.process_time() - start


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_takes_long_over_a_long_hostile_text(name: str) -> None:
    judge = FILTERS[name]
    # A short text shows as well which patterns read all of it again from every place.
    for start, filler in itertools.product(STARTS, FILLERS):
        short = (start + filler * LENGTH)[: LENGTH // 20]
        if seconds(judge, short) > LIMIT_S / 100:
            text = (start + filler * LENGTH)[:LENGTH]
            assert min(seconds(judge, text) for _ in range(2)) < LIMIT_S, (start, filler)
