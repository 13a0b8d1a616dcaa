"""Textual evidence to encoder passes: one row for each text, or for each context, by length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import torch

from cache.records import STREAMS
from model.batch import EvidenceGroup, EvidenceUse
from model.data import Item
from model.padding import padded
from model.pieces import Passage, Pieces, Window

# As context, texts are read by two experts.
NUM_EXPERTS: Final = 2
# What an encoder pass costs beside its pieces, in pieces: it reads and writes all weights once.
_PASS_COST: Final = 40
# Pieces of one encoder pass: bounds memory, and is far above what saturates a processor.
_MAX_GROUP_PIECES: Final = 32_768


@dataclass(frozen=True, slots=True)
class _Row:
    """One text for the evidence encoder."""

    pieces: list[int]
    evidence_start: int
    keys: tuple[int, ...]
    window: int
    slot: int


class EvidenceRows:
    """Lays out the texts of a batch for the evidence encoder."""

    def __init__(
        self, pieces: Pieces, evidence: EvidenceUse, *, joint: bool, largest_row: int
    ) -> None:
        """Lay out rows as `Collator` says."""
        self._pieces, self._evidence = pieces, evidence
        self._joint, self.largest_row = joint, largest_row

    def groups(
        self, windows: Sequence[Window], texts: Sequence[tuple[Item, ...]]
    ) -> tuple[EvidenceGroup, ...]:
        """Return the encoder passes over the texts of each window, longest rows first."""
        return tuple(self._group(rows) for rows in self._row_groups(windows, texts))

    def _row_groups(
        self, windows: Sequence[Window], texts: Sequence[tuple[Item, ...]]
    ) -> list[list[_Row]]:
        if self._evidence == "context":
            return [
                group
                for expert in range(NUM_EXPERTS)
                for group in _by_length(self._contexts(windows, texts, expert))
            ]
        return _by_length(self._rows(windows, texts))

    def _contexts(
        self, windows: Sequence[Window], texts: Sequence[tuple[Item, ...]], expert: int
    ) -> list[_Row]:
        """Return one row per window: the post, then the texts of one expert, as many as fit.

        The first encoder has read the post alone: where it has no texts, it needs no row.
        """
        rows = []
        for index, (window, items) in enumerate(zip(windows, texts, strict=True)):
            pieces = self._pieces.alone(window)
            start, keys = len(pieces), []
            for text in _whole_texts([item for item in items if _expert_of(item) == expert]):
                room = self.largest_row - len(pieces) - 1
                if room > 0:
                    pieces += [*text.pieces[:room], self._pieces.sep]
                    keys += [*text.keys[:room], 0]
            # The last separator is no evidence; a post without any ends with its own.
            if keys or expert:
                evidence_start = start if keys else start - 1
                rows.append(_Row(pieces, evidence_start, tuple(keys[:-1]), index, expert))
        return rows

    def _rows(self, windows: Sequence[Window], texts: Sequence[tuple[Item, ...]]) -> list[_Row]:
        rows = []
        for window_index, (window, items) in enumerate(zip(windows, texts, strict=True)):
            before = self._pieces.alone(window) if self._joint else [self._pieces.cls]
            for slot, item in enumerate(items):
                assert item.passage is not None
                pieces = [*before, *item.passage.pieces, self._pieces.sep]
                rows.append(_Row(pieces, len(before), item.passage.keys, window_index, slot))
        return rows

    def _group(self, rows: Sequence[_Row]) -> EvidenceGroup:
        length = max(len(row.pieces) for row in rows)
        places = torch.arange(length)[None]
        starts = torch.tensor([row.evidence_start for row in rows])[:, None]
        ends = torch.tensor([len(row.pieces) for row in rows])[:, None]
        # Where only the last separator is left there is no second text.
        after_post = (places >= starts) & (places < ends) & (ends - starts > 1)
        keys = [[0] * row.evidence_start + list(row.keys) + [0] for row in rows]
        return EvidenceGroup(
            pieces=padded([row.pieces for row in rows], self._pieces.pad),
            mask=places < ends,
            segments=(after_post & (self._joint or self._evidence == "context")).long(),
            is_evidence=after_post & (places < ends - 1),
            keys=padded(keys),
            window=torch.tensor([row.window for row in rows]),
            slot=torch.tensor([row.slot for row in rows]),
        )


def _expert_of(item: Item) -> int:
    """Return which expert reads a text: 0 what the sentence found, 1 what the photo found."""
    return int(STREAMS[item.stream][0] != "sentence")


def _whole_texts(items: Sequence[Item]) -> list[Passage]:
    """Return the texts, the best of each stream first; parts of a long one are put together."""
    parts: dict[tuple[int, int, int], list[Passage]] = {}
    for item in items:
        assert item.passage is not None
        parts.setdefault((item.rank, item.stream, item.index), []).append(item.passage)
    return [
        Passage(tuple(chain(*(p.pieces for p in text))), tuple(chain(*(p.keys for p in text))))
        for _, text in sorted(parts.items())
    ]


def _by_length(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Return the rows in groups of similar length, longest first; the order is fixed."""
    ordered = sorted(rows, key=lambda row: (-len(row.pieces), row.window, row.slot))
    groups = []
    for begin, end in _cheapest_groups([len(row.pieces) for row in ordered]):
        size = max(1, _MAX_GROUP_PIECES // len(ordered[begin].pieces))
        groups += [ordered[at : min(at + size, end)] for at in range(begin, end, size)]
    return groups


def _cheapest_groups(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Return begin and end of groups; of all ways to cut ``lengths`` this costs least.

    A group costs its pieces, with padding, and ``_PASS_COST``.

    Args:
        lengths: of rows, longest first.
    """
    # Rows of one length stay together: a group begins only where the length changes.
    begins = [at for at, length in enumerate(lengths) if not at or length < lengths[at - 1]]
    # For the rows before each of these, and for all: the least cost, and its last group.
    best = [(0, (0, 0))]
    for end in [*begins[1:], len(lengths)] if lengths else []:
        ways = zip(best, begins, strict=False)
        costs = [(cost + lengths[at] * (end - at), (at, end)) for (cost, _), at in ways]
        cheapest, group = min(costs)
        best.append((cheapest + _PASS_COST, group))
    groups: list[tuple[int, int]] = []
    while (group := best[-1][1]) != (0, 0):
        groups.append(group)
        del best[begins.index(group[0]) + 1 :]
    return groups[::-1]
