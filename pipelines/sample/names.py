"""Invented names: pronounceable, told apart from words by nothing but being unknown."""

from __future__ import annotations

import random
from typing import Final

_ONSETS: Final = ("b", "br", "d", "dr", "f", "g", "gl", "h", "k", "kr", "l", "m", "n", "p", "pr",
                  "r", "s", "sk", "st", "t", "tr", "v", "vl", "z", "zh")  # fmt: skip
_VOWELS: Final = ("a", "e", "i", "o", "u", "ae", "ei", "ou", "ia")
_CODAS: Final = ("", "", "", "l", "n", "r", "s", "k", "m", "nd", "rt", "sh", "x")
_TWO_WORDS: Final = 0.3


class Namer:
    """Gives names whose words it never gives again."""

    def __init__(self, rng: random.Random, taken: frozenset[str] = frozenset()) -> None:
        """Start; no name will contain a word of ``taken`` (lower case)."""
        self._rng = rng
        self._taken = set(taken)

    def name(self) -> str:
        """Return a new name of one word or two."""
        words = 2 if self._rng.random() < _TWO_WORDS else 1
        return " ".join(self.word(short=words == 2) for _ in range(words))

    def word(self, short: bool = False) -> str:
        """Return a new capitalised word of two syllables, or three."""
        while True:
            count = 2 if short or self._rng.random() < 0.6 else 3
            syllables = [
                self._rng.choice(_ONSETS) + self._rng.choice(_VOWELS) for _ in range(count)
            ]
            word = "".join(syllables) + self._rng.choice(_CODAS)
            if word not in self._taken and len(word) >= 4:
                self._taken.add(word)
                return word.capitalize()
