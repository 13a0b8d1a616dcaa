"""Prepared posts to a batch: padding, pairs of post and evidence, groups of similar length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import torch
from torch import Tensor

from cache.records import STREAMS, FeatureSet, Vector
from model.batch import Batch, EvidenceGroup, EvidenceUse, Stacked
from model.data import Evidences, Item, PreparedPost
from model.features import NUM_FEATURES, item_features, log_priors
from model.pieces import Passage, Pieces, Window

PHOTO_STREAM: Final = len(STREAMS)
REGION_STREAM: Final = len(STREAMS) + 1
NUM_STREAMS: Final = len(STREAMS) + 2

# As context, texts are read by two experts.
NUM_EXPERTS: Final = 2

# What an encoder pass costs beside its pieces, in pieces: it reads and writes all weights once.
_PASS_COST: Final = 40
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
        self,
        pieces: Pieces,
        *,
        evidence: EvidenceUse,
        joint: bool,
        visual_dim: int,
        needs: Sequence[FeatureSet] = (),
        largest_row: int = 512,
    ) -> None:
        """Build batches for a system.

        Args:
            pieces: of the encoder's tokenizer.
            evidence: how the system reads textual evidence.
            joint: each text is encoded beside the post.
            visual_dim: of image embeddings; 0 where the store has none.
            needs: feature sets that the system reads.
            largest_row: pieces that the encoder has positions for; a longer context is cut.
        """
        self.pieces = pieces
        self.evidence: EvidenceUse = evidence
        self.joint = joint
        self.visual_dim = visual_dim
        self.needs = tuple(needs)
        self.largest_row = largest_row

    @property
    def reads_evidence(self) -> bool:
        """Whether the system reads evidence at all."""
        return self.evidence != "none"

    def __call__(
        self, posts: Sequence[PreparedPost], shown: Sequence[Shown] | None = None
    ) -> Batch:
        """Return the batch of ``posts``, each with what it is shown (its own, unless given)."""
        shown = shown or [Shown(post.evidence) for post in posts]
        if not self.reads_evidence:
            shown = [Shown(Evidences()) for _ in posts]
        owners = [index for index, post in enumerate(posts) for _ in post.windows]
        windows = [window for post in posts for window in post.windows]
        texts = [shown[owner].evidence.texts for owner in owners]
        length = max(len(window.pieces) for window in windows) + 2
        joined = _joined(posts, max(len(window.starts) for window in windows))
        return Batch(
            posts=tuple(posts),
            pieces=_padded([self._alone(window) for window in windows], self.pieces.pad),
            mask=_mask([len(window.pieces) + 2 for window in windows], length),
            starts=_padded([[start + 1 for start in window.starts] for window in windows]),
            unit_mask=_mask([len(window.starts) for window in windows]),
            unit_token=_padded(self._unit_tokens(posts), -1),
            owner=torch.tensor(owners),
            unit_keys=_padded([list(window.keys) for window in windows]),
            joined=joined,
            joined_mask=_mask([sum(len(w.starts) for w in post.windows) for post in posts]),
            groups=tuple(self._group(rows) for rows in self._row_groups(windows, texts)),
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
            text_share=_rows_of([_log_shares(s.evidence.texts) for s in shown], owners, 1)[..., 0],
            **self._visual(posts, shown, owners),
            own=torch.tensor([float(shown[owner].own) for owner in owners]),
            labels=_labels(posts, joined.shape[1]),
            head_unit=torch.tensor([max(post.head_unit, 0) for post in posts]),
            tail_unit=torch.tensor([max(post.tail_unit, 0) for post in posts]),
            mention_keys=torch.tensor([posts[owner].mention_keys for owner in owners]),
            relations=_relations(posts),
            regions=self._regions(posts),
            region_mask=_mask([len(post.regions) if self.visual_dim else 0 for post in posts]),
            arrays={
                name: _stacked([post.arrays.get(name) for post in posts]) for name in self.needs
            },
        )

    def _alone(self, window: Window) -> list[int]:
        return [self.pieces.cls, *window.pieces, self.pieces.sep]

    def _row_groups(
        self, windows: Sequence[Window], texts: Sequence[tuple[Item, ...]]
    ) -> list[list[_Row]]:
        if self.evidence == "context":
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
            pieces = self._alone(window)
            start, keys = len(pieces), []
            for text in _whole_texts([item for item in items if _expert_of(item) == expert]):
                room = self.largest_row - len(pieces) - 1
                if room > 0:
                    pieces += [*text.pieces[:room], self.pieces.sep]
                    keys += [*text.keys[:room], 0]
            # The last separator is no evidence; a post without any ends with its own.
            if keys or expert:
                evidence_start = start if keys else start - 1
                rows.append(_Row(pieces, evidence_start, tuple(keys[:-1]), index, expert))
        return rows

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
        # Where only the last separator is left there is no second text.
        after_post = (places >= starts) & (places < ends) & (ends - starts > 1)
        keys = [[0] * row.evidence_start + list(row.keys) + [0] for row in rows]
        return EvidenceGroup(
            pieces=_padded([row.pieces for row in rows], self.pieces.pad),
            mask=places < ends,
            segments=(after_post & (self.joint or self.evidence == "context")).long(),
            is_evidence=after_post & (places < ends - 1),
            keys=_padded(keys),
            window=torch.tensor([row.window for row in rows]),
            slot=torch.tensor([row.slot for row in rows]),
        )

    def _unit_tokens(self, posts: Sequence[PreparedPost]) -> list[list[int]]:
        """Return for each window which token of its post each unit is; -1 for markers."""
        markers = set(self.pieces.markers.values())
        rows: list[list[int]] = []
        for post in posts:
            token = 0
            for window in post.windows:
                row: list[int] = []
                for start in window.starts:
                    is_marker = window.pieces[start] in markers
                    row.append(-1 if is_marker else token)
                    token += not is_marker
                rows.append(row)
        return rows

    def _regions(self, posts: Sequence[PreparedPost]) -> Tensor:
        blank = np.zeros((0, self.visual_dim), np.float32)
        crops = [
            np.stack(post.regions) if post.regions and self.visual_dim else blank for post in posts
        ]
        return _rows_of(crops, range(len(posts)), self.visual_dim)

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


def _log_shares(items: Sequence[Item]) -> np.ndarray:
    """Return [texts, 1]: the log of how much of its text each item is."""
    sizes = [len(item.passage.pieces) if item.passage else 0 for item in items]
    whole: Counter[int] = Counter()
    for item, size in zip(items, sizes, strict=True):
        whole[item.index] += size
    shares = [size / whole[item.index] for item, size in zip(items, sizes, strict=True)]
    return np.log(np.array(shares, np.float32).reshape(-1, 1))


def _stacked(arrays: Sequence[np.ndarray | None]) -> Stacked:
    """Return arrays of the same number of axes, padded to the largest; None is an empty one."""
    known = [array for array in arrays if array is not None]
    shape = np.max([array.shape for array in known], axis=0) if known else np.zeros(1, np.int64)
    whole = bool(known) and np.issubdtype(known[0].dtype, np.integer)
    out = np.zeros((len(arrays), *shape), np.int64 if whole else np.float32)
    for index, array in enumerate(arrays):
        if array is not None:
            out[index][tuple(map(slice, array.shape))] = array
    lengths = [0 if array is None else len(array) for array in arrays]
    return Stacked(torch.from_numpy(out), _mask(lengths, int(shape[0])))


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
