"""Signs that a text wants something of its reader, or is no running text, whatever its subject.

Wording differs from page to page; a price beside a deadline, or bits of three words in a row, do
not. No sign makes noise by itself: they add to what a `Lexicon` has found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from retrieval.curation.dedup_text import words
from retrieval.curation.noise.lexicon import TO_READERS, Lexicon


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Who asks for something begins with it: the first word of a sentence.
_ORDERS: Final = _set(
    """
    act add answer apply ask become beat begin bet boost book borrow browse buy call chat check
    choose claim click collect complete confirm consolidate contact copy dial discover dm double
    download earn eliminate enjoy enroll enter erase fill find fix follow get give grab grow hire
    hurry improve increase install invest join learn listen look lose make meet message multiply
    open order participate pay pick place play pre read receive reclaim recover redeem refinance
    register reply request reserve restore retire reverse save say scan score secure see select
    sell send share shop shrink sign skip spin start stop stream submit subscribe swipe switch take
    tap text trade transform trust try turn unlock unmask unsubscribe update upgrade use verify
    view visit vote want watch whatsapp win withdraw write
    """
)
_URGENT: Final = _set(
    """
    now today tonight midnight hurry urgent urgently immediately instantly instant asap fast
    quick quickly limited expires expire expiring ends last remaining hours minutes seconds
    deadline final overnight immediate
    """
)
_SURE: Final = _set(
    """
    guaranteed guarantee guarantees guaranteeing assured sure certified genuine verified proven
    trusted legit legitimate reliable safe secure secret confidential discreet anonymous risk
    obligation refund refunds satisfaction satisfied undetected untraceable authentic original
    reputable professional expert experts affordable easy easily simple free cheap cheapest
    bonus exclusive lifetime permanent unlimited effortless effortlessly hassle
    """
)
# Repeats are bounded: without a bound, a number of 10,000 groups is read again from every group.
_MONEY: Final = re.compile(
    r"[$\u20ac\u00a3\u20b9]\s?\d|\b\d[\d,.]{0,20}\s?(?:k|m|usd|eur|gbp|btc|eth|usdt|inr|dollars?|euros?"
    r"|pounds?|rupees?|bucks|cents)\b",
    re.IGNORECASE,
)
_SHARE: Final = re.compile(r"\d\s?%|\b\d+ percent\b|\b\d+x\b|\d/7\b", re.IGNORECASE)
_PHONE: Final = re.compile(r"\+\d[\d ()-]{7,}|\b1?-?8\d\d-\d{3}-\d{4}\b")
_PERIOD: Final = re.compile(
    r"\b(?:in|within|under|just|only|every|per|each|a|an|next)\s(?:\w+\s)?(?:\d+\s)?"
    r"(?:seconds?|minutes?|hours?|days?|weeks?|months?)\b|\b(?:daily|weekly|monthly|24h?)\b",
    re.IGNORECASE,
)
_BREAK: Final = re.compile(
    r"[.!?:;\u2026](?:\s|$)|\s[-\u2013\u2014|]\s|[|\u00b7\u2022\u00bb\u203a>\n\t]"
)
_UNADDRESSED: Final = 0.2
# "No gym, no hunger", "no card needed", "without exam"; "Need a loan?", "Unemployed?".
_WITHOUT: Final = re.compile(
    r"\bno \w+(?: \w+)?(?:,| and| or) no\b|\bwithout any\b", re.IGNORECASE
)
_ASKED: Final = re.compile(
    r"(?:^|[.!?:]\s+)(?:need|want|looking for|tired of|struggling|ready|bored|lonely|worried"
    r"|in debt|fancy|wanna|still|having|do you|are you|would you|have you)\b[^.!?]{0,80}\?",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"(?<=[.!?\u2026])\s+")
# Of running text, so many words at least and so many times those of the furniture beside it.
_FEWEST_TOLD: Final = 5
_TIMES_TOLD: Final = 1.0
_MOST_OF_SENTENCE: Final = 0.9
_LONGEST_BIT: Final = 4
_FEWEST_BITS: Final = 3


def selling(text: str, found: Sequence[str]) -> float:
    """Return how much ``text`` (of the words ``found``) urges its reader, 0 to about 5 points."""
    points = 0.3 * bool(_PERIOD.search(text))
    points += 0.3 * min(2, len(_URGENT.intersection(found)))
    points += 0.4 * min(2, len(_SURE.intersection(found)))
    phone = False
    if any(sign.isdigit() for sign in text):
        phone = bool(_PHONE.search(text))
        points += 0.6 * bool(_MONEY.search(text)) + 0.4 * bool(_SHARE.search(text)) + 0.6 * phone
    points += 0.3 * ("!" in text)
    points += 0.8 * bool(_WITHOUT.search(text))
    asked = "?" in text and _ASKED.search(text) is not None
    orders = _orders(text) + asked
    points += 0.5 * min(2, orders)
    if orders or phone or "!" in text or not TO_READERS.isdisjoint(found):
        return points
    # News of prices and deadlines has them as well; it asks nothing of anybody.
    return min(points, _UNADDRESSED)


def in_bits(text: str) -> float:
    """Return how much ``text`` is made of bits of few words, 0 to 2 points."""
    bits = [len(bit.split()) for bit in _BREAK.split(text) if bit.strip()]
    short = sum(length <= _LONGEST_BIT for length in bits)
    if short < _FEWEST_BITS or 2 * short < len(bits):
        return 0.0
    return min(2.0, 0.4 * (short - _FEWEST_BITS + 2))


def tells_something(text: str, furniture: Lexicon) -> bool:
    """Return whether ``text`` has sentences enough beside those that ``furniture`` knows.

    A page is no worse for the "read more below" behind it.
    """
    told = other = 0
    for sentence in _SENTENCE.split(text):
        found = words(sentence)
        points = furniture.points(found)
        running = len(found) >= _FEWEST_TOLD and sentence[-1:] in ".!?" and "|" not in sentence
        plain = points <= min(_MOST_OF_SENTENCE, 0.12 * len(found))
        if running and plain and (not points or TO_READERS.isdisjoint(found)):
            told += len(found)
        elif points:
            other += len(found)
    return told >= _FEWEST_TOLD and told >= _TIMES_TOLD * other


def _orders(text: str) -> int:
    """Return how many sentences begin with what their reader is to do."""
    starts = (bit.split(None, 1)[0] for bit in _BREAK.split(text) if bit.strip())
    return sum(start.casefold().strip("\"'(") in _ORDERS for start in starts)
