"""How phrases that noise is made of add up: no single ordinary word suffices.

Points of the distinct phrases of a text are added; `Lexicon` says how many are too many for a
text of its length, so that an article may mention its newsletter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# What a text needs at least (one phrase that hardly anything else says, or three ordinary ones),
# and one point more for so many words.
_FEWEST_POINTS: Final = 2.0
_WORDS_PER_POINT: Final = 12
# Who tells of something seldom speaks to the reader; who wants something of the reader does.
TO_READERS: Final = frozenset({"you", "your", "yours", "please", "click", "our"})
_ADDRESSED: Final = 1.7
# Who reports on such things names who said so, or the law.
_TELLING: Final = _set(
    """
    said says told tells announced according reported reportedly reports police officials court
    judge lawsuit sued sues charged arrested accused alleged minister mayor president senator
    election officer spokesman spokeswoman spokesperson analysts researchers authorities
    prosecutors lawmakers regulators mentions sentence announces unveils launches powerball
    soar soars drawing ceo analyst inflation forecast fed earnings quarter revenue stocks govt
    cm pm recruitment notification fined probe investigation hearing beats kills killed dies
    dead injured senate congress gop governor cops suspect sec ministry quarterly nifty sensex
    ipo vs
    """
)
_TOLD: Final = 0.6
# Of ordinary phrases two may meet by chance.
_FEWEST_ORDINARY: Final = 3
_TELLS_ALONE: Final = 0.8
# The manner of a text says nothing where its words do not.
_FEWEST_OF_PHRASES: Final = 0.4
_FEWEST_OF_SIGNS: Final = 0.5
_MOST_OF_SIGNS: Final = 5.0
_PLAIN: Final = 1.3

# Points of signs, found out when asked.
Signs: TypeAlias = Callable[[], float]


class Lexicon:
    """Phrases of one kind of noise, found in the `words` of a text."""

    def __init__(self, points: Mapping[float, str], sober: frozenset[str] = frozenset()) -> None:
        """Take what tells noise from all else.

        Args:
            points: phrases, spelt as `words` does, by how many points each is worth.
            sober: words of those who speak of the same things without being noise.
        """
        self._telling = _TELLING | sober
        # By first and second word, for most words begin phrases that go on otherwise.
        self._words: dict[str, float] = {}
        self._phrases: dict[str, dict[str, list[tuple[tuple[str, ...], float]]]] = {}
        for worth, listed in points.items():
            for phrase in listed.split(","):
                spelt = tuple(phrase.split())
                if len(spelt) == 1:
                    self._words[spelt[0]] = worth
                else:
                    longer = self._phrases.setdefault(spelt[0], {}).setdefault(spelt[1], [])
                    longer.append((spelt, worth))
        for following in self._phrases.values():
            for phrases in following.values():
                phrases.sort(key=lambda known: -len(known[0]))

    def verdict(self, found: Sequence[str], signs: Signs | None = None) -> str:
        """Return the phrases that make a text noise; empty if they do not.

        Args:
            found: the words of the text.
            signs: points that its manner adds where it says enough for `_FEWEST_OF_PHRASES`;
                asked for only then.
        """
        known = self._known(found)
        points = sum(known.values())
        if not known or points < (_FEWEST_OF_PHRASES if signs else _FEWEST_POINTS / _ADDRESSED):
            return ""
        addressed = not TO_READERS.isdisjoint(found)
        points *= _ADDRESSED if addressed else 1.0
        told = 1.0 if self._telling.isdisjoint(found) else _TOLD
        enough = max(_FEWEST_POINTS, len(found) / _WORDS_PER_POINT)
        if signs is None:
            few = len(known) < _FEWEST_ORDINARY and max(known.values()) < _TELLS_ALONE
            if few or points * told < enough:
                return ""
        elif points + _MOST_OF_SIGNS < enough:
            return ""
        else:
            manner = signs()
            # Plain words that address nobody are what news of such things is made of.
            plain = _PLAIN if not addressed and manner < _FEWEST_OF_SIGNS else 0.0
            if (points + manner) * told < enough + plain:
                return ""
        return ", ".join(
            " ".join(phrase) for phrase in sorted(known, key=lambda p: (-known[p], p))
        )

    def points(self, found: Sequence[str]) -> float:
        """Return what the distinct phrases among the words ``found`` are worth."""
        return sum(self._known(found).values())

    def _known(self, found: Sequence[str]) -> dict[tuple[str, ...], float]:
        """Return the distinct phrases among the words ``found``, with their points."""
        known: dict[tuple[str, ...], float] = {}
        taken = 0
        last = len(found) - 1
        for place, word in enumerate(found):
            # Words count once: of phrases in phrases the longest.
            if place < taken:
                continue
            if place < last and word in self._phrases:
                for phrase, worth in self._phrases[word].get(found[place + 1], ()):
                    if len(phrase) == 2 or tuple(found[place : place + len(phrase)]) == phrase:
                        known[phrase] = worth
                        taken = place + len(phrase)
                        break
                if place < taken:
                    continue
            if word in self._words:
                known[(word,)] = self._words[word]
        return known
