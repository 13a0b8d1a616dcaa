"""From wikitext to plain passages: what a reader of the page would read as sentences.

A modest reading in linear time: templates, tables, references, files and categories go; links and
emphasis keep their words. It expands no template, so what a template would say is not said.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

# A passage is what is found and shown: a paragraph or a few, far below `documents.LONGEST_TEXT`.
LONGEST_PASSAGE: Final = 1000
# Sections of lists of links and sources have next to nothing left; a heading alone says nothing.
_SHORTEST_PASSAGE: Final = 40

_MARK: Final = re.compile(
    r"\{\{|\}\}|\{\||\|\}|\[\[|\]\]|<!--|-->"
    r"|<(?P<close>/)?(?P<tag>[A-Za-z]{1,20})\b[^<>]{0,1000}?(?P<alone>/)?>"
    r"|^(?P<level>={2,6})[ \t]{0,20}(?P<heading>[^=\n]{1,200}?)[ \t]{0,20}={2,6}[ \t]{0,20}$",
    re.MULTILINE,
)
# What stands between such tags is not text of the article.
_SILENT: Final = frozenset(
    {"ref", "math", "gallery", "score", "timeline", "syntaxhighlight", "source", "style",
     "imagemap", "graph", "mapframe", "maplink", "chem", "hiero", "templatestyles"}
)  # fmt: skip
_HIDDEN: Final = frozenset({"file", "image", "category", "media"})
_INTERWIKI: Final = re.compile(r"^[a-z]{2,3}(?:-[a-z]{2,10})?$")
_EXTERNAL: Final = re.compile(r"\[(?:https?:)?//[^\s\[\]]{1,2000}(?:[ \t]+([^\[\]\n]{0,500}))?\]")
# Captions hold links; a link in a link in a link ... would take quadratic time.
_DEEPEST_LINK: Final = 20
_EMPHASIS: Final = re.compile(r"'{2,5}")
_MAGIC: Final = re.compile(r"__[A-Z]{2,30}__")
_BULLET: Final = re.compile(r"^[*#:;]+[ \t]*", re.MULTILINE)
_EMPTY_BRACKETS: Final = re.compile(r"\([\s,;]*\)")
_SENTENCE_END: Final = re.compile("(?<=[.!?\u3002\uff01\uff1f])\\s+")


class Passage(NamedTuple):
    """A piece of an article.

    Attributes:
        section: its heading; empty for the introduction.
        text: at most `LONGEST_PASSAGE` characters.
    """

    section: str
    text: str


def passages_of(wikitext: str, hidden: frozenset[str] = _HIDDEN) -> list[Passage]:
    """Return the passages of an article in their order.

    Args:
        wikitext: of the article.
        hidden: names of the namespaces, in lower case, whose links show no text (files,
            categories), beside the English ones.
    """
    return [
        Passage(section, text)
        for section, plain in _sections(wikitext, hidden | _HIDDEN)
        for text in _cut(_tidy(plain))
        if len(text) >= _SHORTEST_PASSAGE
    ]


class _Reading:
    """What was kept of the text so far, and in what one is at the moment."""

    def __init__(self, hidden: frozenset[str]) -> None:
        self._hidden = hidden
        self.kept: list[str] = []
        self._links: list[int] = []  # where in ``kept`` each open link begins
        self._braces = 0  # templates and tables that are open
        self._silent = ""  # the tag, or comment, whose content is left out

    def text(self, piece: str) -> None:
        if piece and not self._braces and not self._silent:
            self.kept.append(piece)

    def mark(self, found: re.Match[str]) -> None:
        sign = found[0]
        if self._silent:
            ends = sign == "-->" if self._silent == "<!--" else bool(found["close"])
            if ends and (sign == "-->" or (found["tag"] or "").lower() == self._silent):
                self._silent = ""
        elif sign == "<!--":
            self._silent = sign
        elif sign in ("{{", "{|"):
            self._braces += 1
        elif sign in ("}}", "|}"):
            self._braces = max(0, self._braces - 1)
        elif self._braces:
            return
        elif sign == "[[":
            if len(self._links) < _DEEPEST_LINK:
                self._links.append(len(self.kept))
        elif sign == "]]":
            self._close_link()
        elif found["tag"]:
            self._tag(found["tag"].lower(), closes=bool(found["close"] or found["alone"]))

    def section_ends(self) -> str:
        """Return the section's text, and begin anew: what was left open ends with it."""
        text = "".join(self.kept)
        self.kept, self._links, self._braces, self._silent = [], [], 0, ""
        return text

    def _tag(self, name: str, *, closes: bool) -> None:
        if name in _SILENT and not closes:
            self._silent = name
        elif name in ("br", "p", "div", "li", "td", "tr"):
            self.kept.append("\n")

    def _close_link(self) -> None:
        if not self._links:
            return
        start = self._links.pop()
        inside = "".join(self.kept[start:])
        del self.kept[start:]
        target, _, label = inside.partition("|")
        namespace = target.partition(":")[0].strip().lower() if ":" in target else ""
        if namespace in self._hidden or _INTERWIKI.match(namespace):
            return
        # [[:File:x]] is a link that is shown; [[a|b|c]] shows what stands last.
        self.kept.append((label.rpartition("|")[2] or target).lstrip(":"))


def _sections(wikitext: str, hidden: frozenset[str]) -> Iterator[tuple[str, str]]:
    reading, section, end = _Reading(hidden), "", 0
    for found in _MARK.finditer(wikitext):
        reading.text(wikitext[end : found.start()])
        end = found.end()
        if found["level"]:
            yield section, reading.section_ends()
            section = " ".join(_tidy(found["heading"]).split())
        else:
            reading.mark(found)
    reading.text(wikitext[end:])
    yield section, reading.section_ends()


def _tidy(text: str) -> str:
    """Return ``text`` without the markup that is no structure."""
    text = _EXTERNAL.sub(lambda found: found[1] or "", text)
    text = _BULLET.sub("", _MAGIC.sub("", _EMPHASIS.sub("", text)))
    # Once more than XML did: &nbsp; and its like are part of wikitext.
    return _EMPTY_BRACKETS.sub("", html.unescape(text))


def _cut(plain: str) -> Iterator[str]:
    """Yield the paragraphs, short ones together, long ones cut after a sentence."""
    together = ""
    for line in plain.splitlines():
        paragraph = " ".join(line.split())
        for piece in _pieces(paragraph):
            if together and len(together) + 1 + len(piece) > LONGEST_PASSAGE:
                yield together
                together = piece
            else:
                together = f"{together} {piece}".strip()
    if together:
        yield together


def _pieces(paragraph: str) -> Iterator[str]:
    """Yield sentences, of which those that are too long are cut at a word where there is one."""
    if len(paragraph) <= LONGEST_PASSAGE:
        yield paragraph
        return
    for sentence in _SENTENCE_END.split(paragraph):
        rest = sentence
        while len(rest) > LONGEST_PASSAGE:
            head = rest[: LONGEST_PASSAGE + 1]
            at = head.rfind(" ")
            at = at if at > 0 else LONGEST_PASSAGE
            yield rest[:at].rstrip()
            rest = rest[at:].lstrip()
        yield rest
