"""Prepared posts to a batch: padding, pairs of post and evidence, groups of similar length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from cache.records import STREAMS, Vector
from model.batch import Batch, EvidenceGroup
from model.data import Evidences, Item, PreparedPost
from model.features import NUM_FEATURES, item_features, log_priors
from model.pieces import Pieces, Window

PHOTO_STREAM: Final = len(STREAMS)
REGION_STREAM: Final = len(STREAMS) + 1
NUM_STREAMS: Final = len(STREAMS) + 2

# A group holds rows down to this share of its longest row, so that little of it is padding.
_SHORTEST_SHARE: Final = 0.7
# Pieces of one encoder pass: bounds memory, and is far above what saturates a processor.
_MAX_GROUP_PIECES: Final = 32_768


@dataclass(frozen=True, slots=True)
class Shown:
    """The evidence that a post is shown, and whether it is the post's own."""

    evidence: Evidences
    own: bool = True


@dataclass(frozen=True, slots=True)
class _Row:
    """One text for the evidence encoder."""

    pieces: list[int]
    evidence_start: int
    keys: tuple[int, ...]
    window: int
    slot: int


class Collator:
    """Builds batches for one model."""

    def __init__(
        self, pieces: Pieces, *, joint: bool, visual_dim: int, reads_evidence: bool = True
    ) -> None:
        self.pieces = pieces
        self.joint = joint
        self.visual_dim = visual_dim
        self.reads_evidence = reads_evidence

    def __call__(
        self, posts: Sequence[PreparedPost], shown: Sequence[Shown] | None = None
    ) -> Batch:
        """Return the batch of ``posts``, each with what it is shown (its own, unless given)."""
        shown = shown or [Shown(post.evidence) for post in posts]
        if not self.reads_evidence:
            shown = [Shown(Evidences()) for _ in posts]
        owners = [index for index, post in enumerate(posts) for _ in post.windows]
        windows = [window for post in posts for window in post.windows]
        rows = self._rows(windows, [shown[owner].evidence.texts for owner in owners])
        length = max(len(window.pieces) for window in windows) + 2
        texts = [shown[owner].evidence.texts for owner in owners]
        joined = _joined(posts, max(len(window.starts) for window in windows))
        return Batch(
            posts=tuple(posts),
            pieces=_padded([self._alone(window) for window in windows], self.pieces.pad),
            mask=_mask([len(window.pieces) + 2 for window in windows], length),
            starts=_padded([[start + 1 for start in window.starts] for window in windows]),
            unit_mask=_mask([len(window.starts) for window in windows]),
            unit_keys=_padded([list(window.keys) for window in windows]),
            joined=joined,
            joined_mask=_mask([sum(len(w.starts) for w in post.windows) for post in posts]),
            groups=tuple(self._group(group) for group in _by_length(rows)),
            text_mask=_mask([len(items) for items in texts]),
            text_stream=_padded([[item.stream for item in items] for items in texts]),
            text_features=_rows_of(
                [item_features(p, s.evidence.texts) for p, s in zip(posts, shown, strict=True)],
                owners,
                NUM_FEATURES,
            ),
            text_prior=_rows_of(
                [log_priors(s.evidence.texts, s.own)[:, None] for s in shown], owners, 1
            )[..., 0],
            **self._visual(posts, shown, owners),
            own=torch.tensor([float(shown[owner].own) for owner in owners]),
            labels=_labels(posts, joined.shape[1]),
            head_unit=torch.tensor([max(post.head_unit, 0) for post in posts]),
            tail_unit=torch.tensor([max(post.tail_unit, 0) for post in posts]),
            mention_keys=torch.tensor([posts[owner].mention_keys for owner in owners]),
            relations=_relations(posts),
        )

    def _alone(self, window: Window) -> list[int]:
        return [self.pieces.cls, *window.pieces, self.pieces.sep]

    def _rows(self, windows: Sequence[Window], texts: Sequence[tuple[Item, ...]]) -> list[_Row]:
        rows = []
        for window_index, (window, items) in enumerate(zip(windows, texts, strict=True)):
            before = self._alone(window) if self.joint else [self.pieces.cls]
            for slot, item in enumerate(items):
                assert item.passage is not None
                pieces = [*before, *item.passage.pieces, self.pieces.sep]
                rows.append(_Row(pieces, len(before), item.passage.keys, window_index, slot))
        return rows

    def _group(self, rows: Sequence[_Row]) -> EvidenceGroup:
        length = max(len(row.pieces) for row in rows)
        places = torch.arange(length)[None]
        starts = torch.tensor([row.evidence_start for row in rows])[:, None]
        ends = torch.tensor([len(row.pieces) for row in rows])[:, None]
        after_post = (places >= starts) & (places < ends)
        keys = [[0] * row.evidence_start + list(row.keys) + [0] for row in rows]
        return EvidenceGroup(
            pieces=_padded([row.pieces for row in rows], self.pieces.pad),
            mask=places < ends,
            segments=(after_post if self.joint else torch.zeros_like(after_post)).long(),
            is_evidence=after_post & (places < ends - 1),
            keys=_padded(keys),
            window=torch.tensor([row.window for row in rows]),
            slot=torch.tensor([row.slot for row in rows]),
        )

    def _visual(
        self, posts: Sequence[PreparedPost], shown: Sequence[Shown], owners: Sequence[int]
    ) -> dict[str, Tensor]:
        vectors: list[list[Vector]] = []
        streams: list[list[int]] = []
        features, priors = [], []
        for post, what in zip(posts, shown, strict=True):
            images = what.evidence.images if self.visual_dim else ()
            own = self._own_views(post)
            vectors.append([v for item in images if (v := item.embedding) is not None])
            vectors[-1].extend(vector for vector, _ in own)
            streams.append([item.stream for item in images] + [stream for _, stream in own])
            blank = np.zeros((len(own), NUM_FEATURES), np.float32)
            features.append(np.concatenate([item_features(post, images), blank]))
            blank = np.zeros((len(own), 1), np.float32)
            priors.append(np.concatenate([log_priors(images, what.own)[:, None], blank]))
        stacked = [
            np.stack(v).astype(np.float32) if v else np.zeros((0, self.visual_dim), np.float32)
            for v in vectors
        ]
        return {
            "visual": _rows_of(stacked, owners, self.visual_dim),
            "visual_mask": _mask([len(streams[owner]) for owner in owners]),
            "visual_stream": _padded([streams[owner] for owner in owners]),
            "visual_features": _rows_of(features, owners, NUM_FEATURES),
            "visual_prior": _rows_of(priors, owners, 1)[..., 0],
        }

    def _own_views(self, post: PreparedPost) -> list[tuple[Vector, int]]:
        """Return the photo and its regions; a text-only model sees neither."""
        if not (self.visual_dim and self.reads_evidence):
            return []
        views = [(post.photo, PHOTO_STREAM)] if post.photo is not None else []
        return views + [(region, REGION_STREAM) for region in post.regions]


def _by_length(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Return the rows in groups of similar length, longest first; the order is fixed."""
    ordered = sorted(rows, key=lambda row: (-len(row.pieces), row.window, row.slot))
    groups: list[list[_Row]] = []
    for row in ordered:
        group = groups[-1] if groups else []
        longest = len(group[0].pieces) if group else 0
        fits = (len(group) + 1) * longest <= _MAX_GROUP_PIECES
        if group and fits and len(row.pieces) >= _SHORTEST_SHARE * longest:
            group.append(row)
        else:
            groups.append([row])
    return groups


def _padded(rows: Sequence[Sequence[int]], fill: int = 0) -> Tensor:
    width = max((len(row) for row in rows), default=0)
    out = np.full((len(rows), width), fill, np.int64)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return torch.from_numpy(out)


def _mask(lengths: Sequence[int], width: int | None = None) -> Tensor:
    size = max(lengths, default=0) if width is None else width
    return torch.arange(size)[None] < torch.tensor(lengths)[:, None]


def _rows_of(arrays: Sequence[np.ndarray], owners: Sequence[int], dim: int) -> Tensor:
    """Return [windows, items, dim] with each window holding the array of its post."""
    width = max((len(array) for array in arrays), default=0)
    out = np.zeros((len(owners), width, dim), np.float32)
    for index, owner in enumerate(owners):
        out[index, : len(arrays[owner])] = arrays[owner]
    return torch.from_numpy(out)


def _joined(posts: Sequence[PreparedPost], width: int) -> Tensor:
    rows: list[list[int]] = []
    first_window = 0
    for post in posts:
        rows.append(
            [
                (first_window + index) * width + unit
                for index, window in enumerate(post.windows)
                for unit in range(len(window.starts))
            ]
        )
        first_window += len(post.windows)
    return _padded(rows)


def _labels(posts: Sequence[PreparedPost], width: int) -> Tensor | None:
    rows = [post.labels for post in posts]
    if any(row is None for row in rows):
        return None
    out = torch.zeros(len(posts), width, dtype=torch.long)
    for index, row in enumerate(rows):
        assert row is not None
        out[index, : len(row)] = torch.tensor(row)
    return out


def _relations(posts: Sequence[PreparedPost]) -> Tensor | None:
    found = [post.relation for post in posts]
    if any(relation is None for relation in found):
        return None
    return torch.tensor([r for r in found if r is not None])
