"""From a page of the web to its title and text, and to the passage that a snippet is from."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import lxml.etree  # type: ignore[import-untyped]
import lxml.html  # type: ignore[import-untyped]
from trafilatura import bare_extraction

from cache.errors import InputError
from retrieval.curation.dedup_text import words

# It reports every odd page as an error; here that is an ordinary, recorded outcome.
logging.getLogger("trafilatura").setLevel(logging.CRITICAL)

PAGE_TYPES: Final = ("text/html", "application/xhtml+xml", "text/plain")
# Of a page's text so much is kept; the passage is cut from it when it is read.
MAX_TEXT_CHARS: Final = 100_000
_MAX_TITLE_CHARS: Final = 300
# Of the encodings of texts those that decode in linear time; some that Python knows do not.
_CHARSET: Final = re.compile(
    r"charset\s*=\s*[\"']?((?:utf-?8|utf-?16|iso-?8859|windows-|cp\d|koi8|gb|big5|shift|euc|us-ascii"
    r"|latin)[\w-]{0,20})",
    re.IGNORECASE,
)
# Control characters and lone surrogates.
_UNSHOWABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Where a page names its charset (HTML standard, section 4.2.5.4), with some to spare.
_HEAD_BYTES: Final = 4096
_MAX_ATTRIBUTES: Final = 1000
# Sentences and lines; a passage begins and ends between them.
_PIECE: Final = re.compile(r"\S.*?(?:[.!?](?=\s)|$)", re.MULTILINE)


class Page(NamedTuple):
    """The title and the running text of a page, as plain text: no markup is left or believed."""

    title: str
    text: str


class PageProblem(InputError):
    """A page cannot be read."""


def read_page(body: bytes, content_type: str) -> Page:
    """Return title and main text of a page; both may be empty.

    Args:
        body: as it came.
        content_type: of the response, with its charset.

    Raises:
        PageProblem: it cannot be parsed.
        MemoryError: there was too little to parse it, which says nothing of the page.
    """
    text = _plain(_decoded(body, content_type))
    if content_type.strip().lower().startswith("text/plain"):
        return Page("", text[:MAX_TEXT_CHARS])
    try:
        tree = _tree(text.encode())
        # Taken first: the extraction takes the tree apart.
        title = " ".join((tree.findtext(".//title") or "").split())[:_MAX_TITLE_CHARS]
        document = bare_extraction(tree, fast=True, include_comments=False, with_metadata=False)
        found = getattr(document, "text", None) or ""
    except (PageProblem, MemoryError):
        raise
    # Parsers of hostile pages fail in many ways; all of them mean the same to the caller.
    except Exception as error:
        raise PageProblem(
            f"the page cannot be parsed ({type(error).__name__}). Leave it out."
        ) from error
    # Once more, for a page can spell what it may not hold: `&#1;`.
    return Page(_plain(title), _plain(found)[:MAX_TEXT_CHARS])


def _tree(html: bytes) -> lxml.html.HtmlElement:
    """Return the tree of a page in UTF-8.

    trafilatura has a reader of its own, which unpacks what is packed, without a limit.
    """
    widest = lxml.etree.fromstring(
        html, lxml.etree.HTMLParser(target=_WidestTag(), encoding="utf-8")
    )
    if widest > _MAX_ATTRIBUTES:
        raise PageProblem(f"the page has a tag with {widest:,} attributes. Leave it out.")
    parser = lxml.html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False
    )
    return lxml.html.document_fromstring(html, parser=parser)


class _WidestTag:
    """Counts attributes without a tree: to hang n of them on a tag takes libxml2 n**2 steps."""

    def __init__(self) -> None:
        self._most = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._most = max(self._most, len(attributes))

    def close(self) -> int:
        return self._most


def passage(text: str, snippet: str, max_chars: int) -> str:
    """Return the stretch of ``text`` that holds most of the words of ``snippet``.

    Args:
        text: of a page.
        snippet: what a search engine showed of it; without one the beginning is returned.
        max_chars: the stretch is no longer.

    Returns:
        Whole sentences or lines where they fit; empty if no word of the snippet is in the text.
    """
    sought = set(words(snippet))
    pieces = _pieces(text, max_chars)
    inside = [sought.intersection(words(text[start:end])) for start, end in pieces]
    if sought and not any(inside):
        return ""
    start, end = _best_window(pieces, inside, max_chars)
    return text[start:end]


def _best_window(
    pieces: Sequence[tuple[int, int]], inside: Sequence[set[str]], max_chars: int
) -> tuple[int, int]:
    """Return start and end of the neighbours that hold most different words; the first of equals.

    Each piece enters the window once and leaves it once.
    """
    held: Counter[str] = Counter()
    best, most, first = (0, 0), -1, 0
    for last, (_, end) in enumerate(pieces):
        held.update(inside[last])
        while end - pieces[first][0] > max_chars:
            held.subtract(inside[first])
            held += Counter()  # words that left are no longer held
            first += 1
        # Of windows with equal words the longer one says more.
        if (len(held), end - pieces[first][0]) > (most, best[1] - best[0]):
            best, most = (pieces[first][0], end), len(held)
    return best


def _pieces(text: str, max_chars: int) -> list[tuple[int, int]]:
    """Return where sentences and lines start and end, long ones cut."""
    pieces = []
    for match in _PIECE.finditer(text):
        start, end = match.span()
        pieces += [(at, min(at + max_chars, end)) for at in range(start, end, max_chars)]
    return pieces


def _decoded(body: bytes, content_type: str) -> str:
    """Return the body as text: by the response's charset, as UTF-8, by the page's own charset."""
    if match := _CHARSET.search(content_type):
        with suppress(LookupError):
            return body.decode(match[1], "replace")
    with suppress(UnicodeDecodeError):
        return body.decode("utf-8")
    if match := _CHARSET.search(body[:_HEAD_BYTES].decode("latin-1")):
        with suppress(LookupError):
            return body.decode(match[1], "replace")
    return body.decode("utf-8", "replace")


def _plain(text: str) -> str:
    """Return the text without what cannot be shown.

    It is not normalised (NFC): over a long run of combining marks that takes quadratic time.
    """
    return _UNSHOWABLE.sub(" ", text).strip()
