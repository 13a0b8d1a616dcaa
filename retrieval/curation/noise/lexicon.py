"""How phrases that noise is made of add up: no single ordinary word suffices.

Points of the distinct phrases of a text are added; `Lexicon` says how many are too many for a
text of its length, so that an article may mention its newsletter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

# What a text needs at least (one phrase that hardly anything else says, or three ordinary ones),
# and one point more for so many words.
_FEWEST_POINTS: Final = 2.0
_WORDS_PER_POINT: Final = 12
# Who tells of something seldom speaks to the reader; who wants something of the reader does.
_TO_READERS: Final = frozenset({"you", "your", "yours", "please", "click", "our"})
_ADDRESSED: Final = 1.7


class Lexicon:
    """Phrases of one kind of noise, found in the `words` of a text."""

    def __init__(self, points: Mapping[float, str]) -> None:
        """Take phrases, spelt as `words` does, by how many points each is worth."""
        self._phrases: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for worth, listed in points.items():
            for phrase in listed.split(","):
                spelt = tuple(phrase.split())
                self._phrases.setdefault(spelt[0], []).append((spelt, worth))
        for phrases in self._phrases.values():
            phrases.sort(key=lambda known: -len(known[0]))

    def verdict(self, found: Sequence[str]) -> str:
        """Return the phrases that make a text of these words noise; empty if they do not."""
        known: dict[tuple[str, ...], float] = {}
        taken = 0
        for place, word in enumerate(found):
            # Words count once: of phrases in phrases the longest.
            if word in self._phrases and place >= taken:
                for phrase, worth in self._phrases[word]:
                    if tuple(found[place : place + len(phrase)]) == phrase:
                        known[phrase] = worth
                        taken = place + len(phrase)
                        break
        points = sum(known.values()) * (_ADDRESSED if _TO_READERS.intersection(found) else 1.0)
        if points < max(_FEWEST_POINTS, len(found) / _WORDS_PER_POINT):
            return ""
        return ", ".join(
            " ".join(phrase) for phrase in sorted(known, key=lambda p: (-known[p], p))
        )
