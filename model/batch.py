"""What the network gets: tensors of one batch, with a mask wherever there is padding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from cache.records import FeatureSet
from model.data import PreparedPost

# How a system reads textual evidence: not at all; each text as an item of its own; or all texts
# behind the post as one context, a row for those found by the sentence and one for those found
# by the photo.
EvidenceUse = Literal["none", "items", "context"]


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceGroup:
    """Evidence texts of similar length, encoded together.

    Attributes:
        pieces: [rows, pieces] piece ids; in joint reading ``[CLS] post [SEP] evidence [SEP]``, and
            for systems that read evidence as context all texts of a row, each with a ``[SEP]``.
        mask: [rows, pieces] True where a piece is real.
        segments: [rows, pieces] 1 in the evidence part of a pair.
        is_evidence: [rows, pieces] True at pieces of the evidence text itself.
        keys: [rows, pieces] `match_key` of the evidence pieces, 0 elsewhere.
        window: [rows] which window of the batch the row belongs to.
        slot: [rows] which text item of that window it is; as context, which expert reads it.
    """

    pieces: Tensor
    mask: Tensor
    segments: Tensor
    is_evidence: Tensor
    keys: Tensor
    window: Tensor
    slot: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """What a feature set holds of the posts of a batch, padded with zeros.

    Attributes:
        values: [posts, ...] float32, or int64 where the set holds whole numbers.
        mask: [posts, first axis] True where a row is real; all False for a post without any.
    """

    values: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Posts of one step. ``windows`` >= posts: a long post is several windows.

    Attributes:
        posts: the prepared posts, in order.
        pieces: [windows, pieces] piece ids with special tokens.
        mask: [windows, pieces] True where a piece is real.
        starts: [windows, units] where each unit's first piece is.
        unit_mask: [windows, units] True where a unit is real.
        unit_token: [windows, units] index of the token among those of its post; -1 for markers.
        owner: [windows] index of the post.
        unit_keys: [windows, units] `match_key` of the words.
        joined: [posts, words] flat index into windows x units that puts the windows of a post
            behind each other.
        joined_mask: [posts, words].
        groups: textual evidence, one encoder pass each.
        text_mask: [windows, texts] True where a textual item is real.
        text_stream: [windows, texts] index into ``STREAMS``.
        text_features: [windows, texts, features], see `model.features`.
        text_prior: [windows, texts] log of the store's consistency, 0 where it is not known.
        text_share: [windows, texts] log of how much of its text the item is, by pieces; 0 where it
            is all of it.
        visual: [windows, images, visual_dim] image evidence, the photo, and its regions.
        visual_mask: [windows, images].
        visual_stream: [windows, images] index into ``STREAMS``; 6 for the photo, 7 for regions.
        visual_features: [windows, images, features].
        visual_prior: [windows, images] as ``text_prior``.
        own: [windows] 1.0 where the evidence shown is the post's own, 0.0 where another's.
        labels: [posts, words] label indices, 0 in padding; None where not all are annotated.
        head_unit: [posts] unit that opens the head; 0 for entities.
        tail_unit: [posts] the same for the tail.
        mention_keys: [windows, 2] `match_key` of head and tail; 0 where there is none.
        relations: [posts] relation indices; None where not all are annotated.
        regions: [posts, regions, visual_dim] crops of the regions that have a vector.
        region_mask: [posts, regions].
        arrays: of each feature set that the model needs.
    """

    posts: tuple[PreparedPost, ...]
    pieces: Tensor
    mask: Tensor
    starts: Tensor
    unit_mask: Tensor
    unit_token: Tensor
    owner: Tensor
    unit_keys: Tensor
    joined: Tensor
    joined_mask: Tensor
    groups: tuple[EvidenceGroup, ...]
    text_mask: Tensor
    text_stream: Tensor
    text_features: Tensor
    text_prior: Tensor
    text_share: Tensor
    visual: Tensor
    visual_mask: Tensor
    visual_stream: Tensor
    visual_features: Tensor
    visual_prior: Tensor
    own: Tensor
    labels: Tensor | None
    head_unit: Tensor
    tail_unit: Tensor
    mention_keys: Tensor
    relations: Tensor | None
    regions: Tensor
    region_mask: Tensor
    arrays: Mapping[FeatureSet, Stacked]

    def to(self, device: torch.device) -> Batch:
        """Return the batch with every tensor on ``device``."""
        if device.type == "cpu":
            return self
        moved: Batch = _moved(self, device)
        return dataclasses.replace(
            moved,
            groups=tuple(_moved(group, device) for group in self.groups),
            arrays={name: _moved(array, device) for name, array in self.arrays.items()},
        )


def _moved(record: Any, device: torch.device) -> Any:
    tensors = {
        field.name: getattr(record, field.name).to(device, non_blocking=True)
        for field in dataclasses.fields(record)
        if isinstance(getattr(record, field.name), Tensor)
    }
    return dataclasses.replace(record, **tensors)
