"""Prepared posts, with what each is shown, to one batch of tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from cache.records import STREAMS, FeatureSet, Vector
from model.batch import Batch, EvidenceUse
from model.data import Evidences, Item, PreparedPost
from model.evidence_rows import EvidenceRows
from model.features import NUM_FEATURES, item_features, log_priors
from model.padding import mask, padded, rows_of, stacked
from model.pieces import Pieces

PHOTO_STREAM: Final = len(STREAMS)
REGION_STREAM: Final = len(STREAMS) + 1
NUM_STREAMS: Final = len(STREAMS) + 2


@dataclass(frozen=True, slots=True)
class Shown:
    """The evidence that a post is shown, and whether it is the post's own."""

    evidence: Evidences
    own: bool = True


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
        self.rows = EvidenceRows(pieces, evidence, joint=joint, largest_row=largest_row)

    @property
    def reads_evidence(self) -> bool:
        """Whether the system reads evidence at all."""
        return self.evidence != "none"

    def cost(self, post: PreparedPost, evidence: Evidences | None = None) -> int:
        """Return how many pieces the encoder reads for a post with ``evidence``, or its own."""
        return post.cost(joint=self.joint, reads_evidence=self.reads_evidence, evidence=evidence)

    def __call__(
        self, posts: Sequence[PreparedPost], shown: Sequence[Shown] | None = None
    ) -> Batch:
        """Return the batch of ``posts``, each with what it is shown (its own, unless given)."""
        shown = shown or [Shown(post.evidence) for post in posts]
        if not self.reads_evidence:
            shown = [Shown(Evidences()) for _ in posts]
        owners = [index for index, post in enumerate(posts) for _ in post.windows]
        windows = [window for post in posts for window in post.windows]
        length = max(len(window.pieces) for window in windows) + 2
        joined = _joined(posts, max(len(window.starts) for window in windows))
        return Batch(
            posts=tuple(posts),
            pieces=padded([self.pieces.alone(window) for window in windows], self.pieces.pad),
            mask=mask([len(window.pieces) + 2 for window in windows], length),
            starts=padded([[start + 1 for start in window.starts] for window in windows]),
            unit_mask=mask([len(window.starts) for window in windows]),
            unit_token=padded(self._unit_tokens(posts), -1),
            owner=torch.tensor(owners),
            unit_keys=padded([list(window.keys) for window in windows]),
            joined=joined,
            joined_mask=mask([sum(len(w.starts) for w in post.windows) for post in posts]),
            groups=self.rows.groups(windows, [shown[owner].evidence.texts for owner in owners]),
            **_textual(posts, shown, owners),
            **self._visual(posts, shown, owners),
            own=torch.tensor([float(shown[owner].own) for owner in owners]),
            labels=_labels(posts, joined.shape[1]),
            head_unit=torch.tensor([max(post.head_unit, 0) for post in posts]),
            tail_unit=torch.tensor([max(post.tail_unit, 0) for post in posts]),
            mention_keys=torch.tensor([posts[owner].mention_keys for owner in owners]),
            relations=_relations(posts),
            regions=self._regions(posts),
            region_mask=mask([len(post.regions) if self.visual_dim else 0 for post in posts]),
            arrays={
                name: stacked([post.arrays.get(name) for post in posts]) for name in self.needs
            },
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
        return rows_of(crops, range(len(posts)), self.visual_dim)

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
        views = [
            np.stack(v).astype(np.float32) if v else np.zeros((0, self.visual_dim), np.float32)
            for v in vectors
        ]
        return {
            "visual": rows_of(views, owners, self.visual_dim),
            "visual_mask": mask([len(streams[owner]) for owner in owners]),
            "visual_stream": padded([streams[owner] for owner in owners]),
            "visual_features": rows_of(features, owners, NUM_FEATURES),
            "visual_prior": rows_of(priors, owners, 1)[..., 0],
        }

    def _own_views(self, post: PreparedPost) -> list[tuple[Vector, int]]:
        """Return the photo and its regions; a text-only model sees neither."""
        if not (self.visual_dim and self.reads_evidence):
            return []
        views = [(post.photo, PHOTO_STREAM)] if post.photo is not None else []
        return views + [(region, REGION_STREAM) for region in post.regions]


def _textual(
    posts: Sequence[PreparedPost], shown: Sequence[Shown], owners: Sequence[int]
) -> dict[str, Tensor]:
    features = [item_features(p, s.evidence.texts) for p, s in zip(posts, shown, strict=True)]
    priors = [log_priors(what.evidence.texts, what.own)[:, None] for what in shown]
    shares = [_log_shares(what.evidence.texts) for what in shown]
    streams = [[item.stream for item in what.evidence.texts] for what in shown]
    return {
        "text_mask": mask([len(streams[owner]) for owner in owners]),
        "text_stream": padded([streams[owner] for owner in owners]),
        "text_features": rows_of(features, owners, NUM_FEATURES),
        "text_prior": rows_of(priors, owners, 1)[..., 0],
        "text_share": rows_of(shares, owners, 1)[..., 0],
    }


def _log_shares(items: Sequence[Item]) -> np.ndarray:
    """Return [texts, 1]: the log of how much of its text each item is."""
    sizes = [len(item.passage.pieces) if item.passage else 0 for item in items]
    whole: Counter[int] = Counter()
    for item, size in zip(items, sizes, strict=True):
        whole[item.index] += size
    shares = [size / whole[item.index] for item, size in zip(items, sizes, strict=True)]
    return np.log(np.array(shares, np.float32).reshape(-1, 1))


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
    return padded(rows)


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
