"""The same batch as the authors' code would show it to the encoder.

Every evidence text is a pass of its own, and everything is padded to the largest length: the
sentence to 128 pieces (as published for Twitter-2017; 80 for the other data sets), each text to
80. This is how THU-BPM/MRE b5e1e1c pads captions and, in a loop that it carries as a comment,
encodes them. Its loop that runs takes the eleven entity names of one post in one pass, padded to
the longest text of the batch: `pieces_per_post_pass` says how much that is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from torch import Tensor, nn

from model.batch import Batch, EvidenceGroup
from pipelines.bench.training.posts import MAX_TEXT_PIECES

_SENTENCE_PIECES: Final = 128
_OF_PIECES: Final = ("pieces", "mask", "segments", "is_evidence", "keys")


def author_style(batch: Batch, pad: int) -> Batch:
    """Return ``batch`` with each text on its own and everything padded.

    Args:
        batch: read separately (``evidence_reading``), no row longer than the lengths above.
        pad: piece id of padding.
    """
    return dataclasses.replace(
        batch,
        pieces=_widened(batch.pieces, _SENTENCE_PIECES, pad),
        mask=_widened(batch.mask, _SENTENCE_PIECES, False),
        groups=tuple(_one_by_one(batch, pad)),
    )


def pieces_of(batch: Batch) -> tuple[int, int]:
    """Return how many pieces are encoded, and how many of them are no padding."""
    masks = [batch.mask, *(group.mask for group in batch.groups)]
    return sum(mask.numel() for mask in masks), sum(int(mask.sum()) for mask in masks)


def pieces_per_post_pass(batch: Batch) -> int:
    """Return how many pieces the published code encodes, with its padding."""
    longest = max(group.pieces.shape[1] for group in batch.groups)
    texts = sum(len(group.pieces) for group in batch.groups)
    return len(batch.pieces) * _SENTENCE_PIECES + texts * longest


def _one_by_one(batch: Batch, pad: int) -> Iterator[EvidenceGroup]:
    for group in batch.groups:
        for row in range(len(group.pieces)):
            columns = {name: getattr(group, name)[row : row + 1] for name in _OF_PIECES}
            yield EvidenceGroup(
                **{
                    name: _widened(column, MAX_TEXT_PIECES, pad if name == "pieces" else 0)
                    for name, column in columns.items()
                },
                window=group.window[row : row + 1],
                slot=group.slot[row : row + 1],
            )


def _widened(rows: Tensor, width: int, fill: float) -> Tensor:
    """Return ``rows`` padded or, where all that is cut off is padding, cut to ``width``."""
    return nn.functional.pad(rows, (0, width - rows.shape[1]), value=fill)
