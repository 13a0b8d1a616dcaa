"""Text and addresses as others wrote them, made harmless before anything keeps them."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

from retrieval.http.base import Refused
from retrieval.http.guard import check_url

# No parser of HTML: the standard one raises on ``<![`` and needs minutes for ``<a <a <a ...``.
# This matches up to the next angle bracket only, so that the time is linear.
_TAG: Final = re.compile(r"<(?:(/?)([A-Za-z][A-Za-z0-9]*)|!)[^<>]*>")
_SILENT: Final = frozenset({"script", "style", "template", "noscript"})
# Cc, Cs, Co: control, surrogate, private use. Format characters (Cf) join the letters of Persian
# and the parts of emoji, so they stay but for those that turn text around.
_INVISIBLE: Final = frozenset({"Cc", "Cs", "Co"})
_BREAKS: Final = frozenset({"br", "p", "div", "li", "td", "tr"})
_TURNING: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
# Markup takes more room than what it says; beyond this nothing is read.
_READ_PER_KEPT: Final = 8


def clean_text(text: str, max_chars: int) -> str:
    """Return what ``text`` says: no tags, no control characters, single spaces, composed form.

    Args:
        text: plain, or HTML, or HTML that was escaped once more.
        max_chars: longer text is cut, after a word where there is one.
    """
    text = text[: max_chars * _READ_PER_KEPT]
    for _ in range(2):  # escaped markup shows itself only after the first pass
        if "<" in text or "&" in text:
            text = _shown(text)
    composed = unicodedata.normalize("NFC", text)
    kept = (" " if _is_unwanted(character) else character for character in composed)
    return cut_at_word(" ".join("".join(kept).split()), max_chars)


def cut_at_word(text: str, max_chars: int) -> str:
    """Return at most ``max_chars`` of ``text``, cut after a word where there is one."""
    if len(text) <= max_chars:
        return text
    head = text[: max_chars + 1]
    return (head.rpartition(" ")[0] or head[:max_chars]).rstrip()


def web_url(text: str) -> str:
    """Return ``text`` if it is an address of the web that may be kept and fetched, else nothing.

    Beside what `check_url` refuses, white space and lone surrogates are. Whether it may be
    reached is for the client to judge.
    """
    if any(char.isspace() or unicodedata.category(char) in _INVISIBLE for char in text):
        return ""
    try:
        check_url(text)
    except Refused:
        return ""
    return text


def _shown(text: str) -> str:
    """Return what a browser would show of ``text``."""
    kept: list[str] = []
    silent, end = "", 0
    for tag in _TAG.finditer(text):
        closes, name = tag[1], (tag[2] or "").lower()
        if not silent:
            kept.append(text[end : tag.start()])
            kept.append(" " if name in _BREAKS else "")
            silent = name if name in _SILENT and not closes else ""
        elif closes and name == silent:
            silent = ""
        end = tag.end()
    if not silent:
        kept.append(text[end:])
    return html.unescape("".join(kept))


def _is_unwanted(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in _INVISIBLE
