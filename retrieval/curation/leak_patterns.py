"""The forms in which annotations of posts circulate; ordinary prose has none of them.

Each form is looked for after a plain search for the signs it cannot do without, for most texts
have none of them and every text of a build comes by here. All patterns are linear in the text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SHOWN: Final = 60
# Texts whose verdict is kept at hand: a post's streams find the same pages, and so do its likes.
_REMEMBERED: Final = 16384

_TYPE_NAMES: Final = ("PER", "LOC", "ORG", "MISC", "OTHER")
_TYPES: Final = r"(?:PER(?:SON)?|LOC(?:ATION)?|ORG(?:ANI[SZ]ATION)?|MISC|OTHER)"
_RELATION_ENDS: Final = ("per", "loc", "org", "misc")
_IMGID: Final = re.compile(r"\bIMGID\s*:\s*\w+", re.IGNORECASE)
# Beginning, inside, end, single, last, unit: the tags of BIO, IOBES and BILOU.
_TAG: Final = re.compile(rf"(?<![\w-])[BIESLU]-{_TYPES}(?![\w-])")
_RELATION: Final = re.compile(
    r"(?<![\w./-])/(?:per|loc|org|misc)/(?:per|loc|org|misc)/[a-z_]+", re.IGNORECASE
)
_QUOTE: Final = r"[\"'\u2018\u2019\u201c\u201d]"
_KEY: Final = re.compile(rf"{_QUOTE}(\w{{1,20}}){_QUOTE}\s*:")
_ANSWER_KEYS: Final = frozenset(
    {"relation", "relations", "entities", "ner_tags", "labels", "label", "pos"}
)
_INPUT_KEYS: Final = frozenset({"token", "tokens", "words", "h", "t", "head", "tail", "img_id"})
# Known types after a sign that assigns them; one alone may be anything, such as a statistic.
_ASSIGNED: Final = re.compile(rf"(?:[=:>|]\s?|\()\b{_TYPES}\b")
_TRIPLE: Final = re.compile(
    r"\b(?:head|subject)\s*[=:][^;|,\n]{1,80}[;|,\n]\s*(?:tail|object)\s*[=:][^;|,\n]{1,80}"
    r"[;|,\n]\s*relation\s*[=:]",
    re.IGNORECASE,
)
_OUTSIDE: Final = "O"
_FEWEST_OUTSIDE: Final = 4
# A model's answer says "entities :", too; what is gold is said to be so.
_ANNOUNCED: Final = re.compile(
    r"\b(?:(?:gold(?:en)?|ground[\s-]?truth|true|correct|annotated|reference)\s+"
    r"(?:labels?|annotations?|tags?|answers?|entit(?:y|ies)|relations?)"
    r"|labels?|annotations?|ner[\s_]tags?)\b\s*[=:]",
    re.IGNORECASE,
)


@lru_cache(maxsize=_REMEMBERED)
def shown_annotation(text: str) -> str:
    """Return what annotation a text shows, as a reason; empty where it shows none."""
    small = text.casefold()
    if "imgid" in small and (found := _IMGID.search(text)):
        return f"image id of a data set: {_cut(found[0])}"
    if any(name in text for name in _TYPE_NAMES):
        if found := _TAG.search(text):
            return f"entity tag: {_cut(found[0])}"
        if len(assigned := _ASSIGNED.findall(text)) > 1:
            return f"entity types: {_cut(', '.join(assigned))}"
    if any(f"/{name}/" in small for name in _RELATION_ENDS) and (found := _RELATION.search(text)):
        return f"relation label: {_cut(found[0])}"
    if "relation" in small and (found := _TRIPLE.search(text)):
        return f"annotated relation: {_cut(found[0])}"
    return _literal(text) or _columns(text)


def announced_answer(text: str) -> str:
    """Return the words that announce an answer (``gold labels :``), or an empty text.

    Alone they say nothing ("labels: rock, pop" is a record shop); beside a post they do.
    """
    found = _ANNOUNCED.search(text) if ":" in text or "=" in text else None
    return _cut(found[0]) if found else ""


def _literal(text: str) -> str:
    """Find a line of a data set as a Python or JSON literal: keys of inputs and of answers."""
    if ":" not in text:
        return ""
    keys = {key.casefold() for key in _KEY.findall(text)}
    if keys & _ANSWER_KEYS and keys & _INPUT_KEYS:
        return f"line of a data set with {', '.join(sorted(keys & (_ANSWER_KEYS | _INPUT_KEYS)))}"
    return ""


def _columns(text: str) -> str:
    """Find token and tag columns in which all is outside: every other word is ``O``."""
    if text.count(_OUTSIDE) < _FEWEST_OUTSIDE:
        return ""
    tokens = text.split()
    run = 0
    for place in range(1, len(tokens)):
        if tokens[place] != _OUTSIDE:
            continue
        run = run + 1 if place >= 2 and tokens[place - 2] == _OUTSIDE else 1
        if run >= _FEWEST_OUTSIDE:
            return f"columns of words and tags: {_cut(' '.join(tokens[place - 5 : place + 1]))}"
    return ""


def _cut(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]
