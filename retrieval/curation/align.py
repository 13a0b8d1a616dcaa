"""How many words two texts have in common, in order and in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Alignment(NamedTuple):
    """How two texts lie beside each other.

    Attributes:
        score: equal words less the words left out between them.
        pairs: places of words that lie beside each other, equal or not, in falling order.
    """

    score: int
    pairs: list[tuple[int, int]]


def align(one: Sequence[str], other: Sequence[str]) -> Alignment:
    """Return the best alignment of two texts.

    Needleman and Wunsch 1970 with 1 for equal words, 0 for different ones and -1 for a word left
    out between aligned ones; what hangs over at either end is free. The longest common
    subsequence, where gaps are free too, gives any two texts of twenty words a few words in
    common, wherever they stand.

    Args:
        one: words of a text.
        other: words of another one; which is which changes nothing but the choice among equally
            good alignments.
    """
    table = _scores(one, other)
    ends = [(int(table[-1].max()), len(one), int(table[-1].argmax()))]
    ends.append((int(table[:, -1].max()), int(table[:, -1].argmax()), len(other)))
    score, i, j = max(ends)
    pairs = []
    while i and j:
        if table[i, j] == table[i - 1, j - 1] + (one[i - 1] == other[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif table[i, j] == table[i - 1, j] - 1:
            i -= 1
        else:
            j -= 1
    return Alignment(score, pairs)


def _scores(one: Sequence[str], other: Sequence[str]) -> NDArray[np.int32]:
    """Return the best score of each pair of beginnings, ``[len(one) + 1, len(other) + 1]``."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys([*one, *other]))}
    columns = np.array([numbers[word] for word in other], dtype=np.int32)
    offsets = np.arange(len(other) + 1, dtype=np.int32)
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=np.int32)
    for place, word in enumerate(one, start=1):
        row, last = table[place], table[place - 1]
        row[1:] = np.maximum(last[1:] - 1, last[:-1] + (columns == numbers[word]))
        # A gap of k words costs k: the best start of it is a running maximum of value + place.
        row[:] = np.maximum.accumulate(row + offsets) - offsets
    return table
