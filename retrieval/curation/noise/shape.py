"""Noise that shows in the shape of a text, whatever it says: menus, lists, damage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# What sentences are held together by, in the languages that evidence mostly comes in; a text of
# some length without any is a list.
# English; German, Dutch, Scandinavian; Romance languages; Polish, Turkish, Indonesian.
_FUNCTION_WORDS: Final = _set(
    """
    a an the this that these those of in on at by for from with to and or but as is are was
    were be been has have had do does did will would can could may not no it its he she they
    we you i his her their our your my who what when where how why after before over under
    about into than amid via per off again while during between against near vs versus then
    there here if so up out all more most some any just only also
    der die das den dem des ein eine einer einem und oder ist sind war mit von zu im am auf
    für nicht sich er sie es wir het een van en dat voor met zijn niet aan och att det som är
    på till av med og ikke
    le la les un une et est dans pour que qui sur avec pas ne du au aux il elle el los las una
    y por con para su se lo es o os as um uma do da dos das em na não che di gli per è non ha
    della
    w z i na się nie jest do to ve bir bu için ile de dan yang di untuk dengan ini dari
    """
)
_NAVIGATION: Final = _set(
    """
    home news sport sports contact about privacy terms imprint login log register sign
    subscribe menu search help faq shop cart blog video videos photos weather business
    politics opinion entertainment culture lifestyle travel tech technology world local jobs
    careers advertise sitemap archive archives cookies accessibility support account
    newsletter rss feedback events gallery services products team press media legal more
    """
)
_BAR: Final = re.compile(r"\s*[|»\u203a•·>/\n\t]\s*|\s+[-\u2013\u2014]\s+")
_SEPARATOR: Final = re.compile(r"[,;|•·/\n\t]")
_HASHTAG: Final = re.compile(r"(?<!\w)#\w+")
_SENTENCE_END: Final = re.compile(r"[.!?\u2026](?:\s|$)")
# Text of one encoding read as another, and signs that stand for lost ones.
_DAMAGE: Final = re.compile(
    r"[ÃÂâð][\u0080-\u00bf\u2018-\u2022\u0152-\u0178\u20ac\u2122]|\ufffd|ï¿½|â€|Ã."
)
_TEMPLATE: Final = re.compile(
    r"\{\{.{0,80}?\}\}|\{%.{0,80}?%\}|<%.{0,80}?%>|\$\{.{0,80}?\}|%\(\w+\)s|\[object Object\]"
    r"|\[\[.{0,40}?\]\]|</?(?:div|span|script|html|body|style)\b|@media\b|function\s*\(",
    re.IGNORECASE,
)
_FEWEST_WORDS: Final = 8
_FEWEST_SEGMENTS: Final = 4
_FEWEST_CUES: Final = 2


def menu(text: str) -> str:
    """Return why ``text`` is a menu: short segments, some of them the names of site sections."""
    segments = [segment.split() for segment in _BAR.split(text) if segment.strip()]
    short = [segment for segment in segments if len(segment) <= 3]
    if len(segments) < _FEWEST_SEGMENTS or len(short) < 0.7 * len(segments):
        return ""
    sections = sum(any(word.casefold() in _NAVIGATION for word in segment) for segment in short)
    return (
        f"menu: {sections} of {len(segments)} segments are site sections" if sections >= 2 else ""
    )


def keyword_list(text: str, found: Sequence[str]) -> str:
    """Return why ``text`` (of the words ``found``) is a list of keywords: two signs of it."""
    hashtags = len(_HASHTAG.findall(text))
    if hashtags >= 4 and hashtags >= 0.4 * len(found):
        return f"{hashtags} hashtags in {len(found)} words"
    if len(found) < _FEWEST_WORDS:
        return ""
    # Function words of running text are a third of it or more; headlines have a few.
    function = sum(word in _FUNCTION_WORDS for word in found)
    if function > 0.06 * len(found):
        return ""
    cues = ["no function words"]
    separators = len(_SEPARATOR.findall(text))
    if separators >= 3 and separators >= 0.25 * len(found):
        cues.append(f"{separators} separators")
    most, times = Counter(found).most_common(1)[0]
    if times >= 3 and times >= 0.2 * len(found) and len(most) > 2:
        cues.append(f"{most!r} {times} times")
    if (
        text.isascii()
        and _starts_small(text)
        and not _SENTENCE_END.search(text)
        and _lower_case(text) > 0.6
    ):
        cues.append("lower case without an end")
    return ", ".join(cues) if len(cues) >= _FEWEST_CUES else ""


def damage(text: str, found: Sequence[str]) -> str:
    """Return why ``text`` is no text: template code, or another encoding read as this one."""
    code = len(_TEMPLATE.findall(text)) if any(sign in text for sign in "{<[%$@(") else 0
    if code >= 2 or (code and code >= 0.1 * len(found)):
        return f"{code} pieces of code"
    if text.isascii():
        return ""
    tokens = text.split()
    lost = sum(_DAMAGE.search(token) is not None for token in tokens)
    # A damaged dash or name is a slip of an otherwise readable page.
    if lost >= 3 and lost >= 0.25 * len(tokens):
        return f"{lost} of {len(tokens)} words are damaged"
    return ""


def _starts_small(text: str) -> bool:
    return next((sign for sign in text if sign.isalpha()), "A").islower()


def _lower_case(text: str) -> float:
    tokens = [token for token in text.split() if token[0].isalpha()]
    return sum(token[0].islower() for token in tokens) / max(len(tokens), 1)
