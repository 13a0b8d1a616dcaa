"""Cross-modal retrieval and synthesis: the method of the paper that started this project.

Each word selects among all evidence of the six streams by attention (over tokens of texts, over
vectors of images), the post's photo and regions vote as visual queries, every item is weighted by
its consistency with the post, a null slot lets a word read nothing, and a gate decides how much
enters the word. Selection over all items at once equals selection within each stream followed by a
choice between streams, because both are softmax. Without evidence and photo, words pass unchanged,
to the bit.

Hu et al., ACL 2023 (short), and the SIGIR 2023 description. What is not stated there is our own:
joint reading, the match bonus, the null slot and learning consistency from mismatched evidence.
What is stated and done otherwise: what photo and regions select is no vector beside the words'
but a vote for each item, and an item that does not fit is weighed down, not dropped at a
threshold. Streams meet in the one choice between all their items; with ``model.cross_stream``
items also read each other before it (`model.fusion.cross_stream`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cache.records import STREAMS
from model.batch import Batch, EvidenceGroup
from model.encoders import TextEncoder
from model.fusion.base import Encode, Fused, Fusion, FusionSize
from model.fusion.consistency import Consistency
from model.fusion.cross_stream import CrossStream
from model.fusion.items import Items, StreamEmbedding
from model.fusion.reading import TokenReader, by_head

_GATE_AT_START: Final = -1.0
# Scales of cosines: of a word to an image, and of the post's own views to an item.
_SIGHT_AT_START: Final = 2.0
_VOTE_AT_START: Final = 1.0
# A light hand: that a hit fits other posts as well makes it no worse, it only proves nothing.
_TRUST_AT_START: Final = 0.25


class Synthesis(Fusion):
    """Selection, consistency, gates and null slot over the six streams."""

    weighs_consistency = True

    def __init__(self, size: FusionSize, encoder: TextEncoder) -> None:
        super().__init__(size, encoder)
        dim = size.dim
        self.size = size
        self.streams = StreamEmbedding(dim)
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.null = nn.Parameter(torch.zeros(size.heads))
        self.reader = TokenReader(dim, size.heads, size.match_bonus)
        if size.cross_stream:
            self.cross_stream = CrossStream(dim, size.heads)
        if size.consistency:
            # How far the store's consistency is believed, beside the learned one.
            self.trust = nn.Parameter(torch.tensor(_TRUST_AT_START))
            self.text_consistency = Consistency(dim, dim)
        if size.consistency and size.joint:
            self.pair_consistency = nn.Linear(dim, 1, bias=False)
            nn.init.zeros_(self.pair_consistency.weight)
        if size.consistency and size.visual_dim:
            self.visual_consistency = Consistency(dim, dim)
        if size.visual_dim:
            self.visual = nn.Sequential(nn.Linear(size.visual_dim, dim), nn.LayerNorm(dim))
            self.view_query = nn.Linear(dim, dim, bias=False)
            self.view_key = nn.Linear(dim, dim, bias=False)
            self.sight = nn.Parameter(torch.full((size.heads,), _SIGHT_AT_START))
            self.vote = nn.Parameter(torch.tensor(_VOTE_AT_START))
        self.gate = nn.Linear(2 * dim, dim)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, _GATE_AT_START)
        self.dropout = nn.Dropout(size.dropout)

    def forward(
        self, words: Float[Tensor, "windows units dim"], batch: Batch, encode: Encode
    ) -> Fused:
        """Return words with what they read; unchanged in windows that have nothing to read."""
        if not batch.groups and not batch.visual_mask.any():
            return Fused(words)
        texts = self._texts(words, batch, encode)
        images = self._images(words, batch)
        if self.size.cross_stream:
            texts, images = self._reasoned(texts, images)
        text_weights, image_weights = self._select(words, texts, images)
        read = self._weighted(text_weights, texts.values)
        read = read + self._weighted(image_weights, images.values)
        gate = torch.sigmoid(self.gate(torch.cat([words, read], dim=-1)).float())
        present = batch.text_mask.any(dim=1) | batch.visual_mask.any(dim=1)
        fused = words + present[:, None, None] * self.dropout(gate * read)
        odds = torch.cat([texts.odds[texts.judged], images.odds[images.judged]])
        own = [batch.own[:, None].expand_as(i.odds)[i.judged] for i in (texts, images)]
        judged = self.size.consistency and len(odds)
        return Fused(
            fused,
            text_weights.mean(dim=1),
            image_weights.mean(dim=1),
            odds if judged else None,
            torch.cat(own) if judged else None,
            gate.mean(dim=-1),
        )

    def _texts(self, words: Tensor, batch: Batch, encode: Encode) -> Items:
        """Read all textual evidence: one encoder pass for each group of similar length."""
        windows, units, dim = words.shape
        count = batch.text_mask.shape[1]
        flat = windows * count
        logits = words.new_zeros(flat, self.size.heads, units)
        values = words.new_zeros(flat, units, dim)
        summary = words.new_zeros(flat, dim)
        odds = words.new_zeros(flat)
        if batch.groups:
            read = [self._read_group(words, batch, group, encode) for group in batch.groups]
            place = torch.cat([group.window * count + group.slot for group in batch.groups])
            logits = logits.index_copy(0, place, torch.cat([r[0] for r in read]))
            values = values.index_copy(0, place, torch.cat([r[1] for r in read]))
            summary = summary.index_copy(0, place, torch.cat([r[2] for r in read]))
            odds = odds.index_copy(0, place, torch.cat([r[3] for r in read]))
        return Items(
            # Parts of a long text want together what it would as a whole: no more for being many.
            logits=logits.view(windows, count, self.size.heads, units).permute(0, 2, 3, 1)
            + batch.text_share[:, None, None],
            values=values.view(windows, count, units, dim).transpose(1, 2),
            summary=summary.view(windows, count, dim),
            key=self.streams(batch.text_stream),
            odds=odds.view(windows, count),
            prior=batch.text_prior,
            judged=batch.text_mask,
            mask=batch.text_mask,
            stream=batch.text_stream,
        )

    def _read_group(
        self, words: Tensor, batch: Batch, group: EvidenceGroup, encode: Encode
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits [rows, heads, units], values [.., units, dim], summaries and log-odds."""
        states = encode(group.pieces, group.mask, group.segments)
        mine = words[group.window]
        read = self.reader(
            mine, states, group.is_evidence, batch.unit_keys[group.window], group.keys
        )
        # A passage that names both mentions is about the pair; one that names one, maybe not.
        named = _share_named(batch.mention_keys[group.window], group.keys)
        logits = read.logits + self.reader.match_bonus[None, :, None] * named[:, None, None]
        values = read.values
        if self.size.joint:
            # The word as the encoder sees it beside this evidence, minus the word alone: with one
            # item, gate 1 and no null this is exactly the state of the joint sequence.
            starts = batch.starts[group.window]
            beside = states.gather(1, starts[..., None].expand(*starts.shape, states.shape[-1]))
            values = values + beside - mine
        summary = _mean(self.reader.norm(states).float(), group.is_evidence)
        odds = summary.new_zeros(len(summary))
        if self.size.consistency:
            post = _mean(mine, batch.unit_mask[group.window])
            features = batch.text_features[group.window, group.slot]
            odds = self.text_consistency(post, summary, features)
        if self.size.consistency and self.size.joint:
            odds = odds + self.pair_consistency(states[:, 0])[:, 0].float()
        return logits, values, summary, odds

    def _images(self, words: Tensor, batch: Batch) -> Items:
        """Return retrieved images, the photo and its regions as items of one vector each."""
        windows, count = batch.visual_mask.shape
        evidence = batch.visual_mask & (batch.visual_stream < len(STREAMS))
        odds = words.new_zeros(windows, count)
        states = words.new_zeros(windows, count, words.shape[-1])
        if self.size.visual_dim and count:
            states = self.visual(batch.visual).float()
        if self.size.consistency and self.size.visual_dim and count:
            post = _mean(words, batch.unit_mask)[:, None].expand_as(states)
            odds = self.visual_consistency(
                post.flatten(0, 1), states.flatten(0, 1), batch.visual_features.flatten(0, 1)
            ).view(windows, count)
        return Items(
            logits=self._seen(words, states),
            values=states[:, None],
            summary=states,
            key=self.streams(batch.visual_stream),
            odds=odds,
            prior=batch.visual_prior,
            judged=evidence,
            mask=batch.visual_mask,
            stream=batch.visual_stream,
        )

    def _reasoned(self, texts: Items, images: Items) -> tuple[Items, Items]:
        """Return the items with what each learned from all others, in its key and its values."""
        both = (texts, images)
        known = torch.cat([items.summary + items.key for items in both], dim=1)
        belief = torch.cat([self._belief(items) for items in both], dim=1)
        mask = torch.cat([items.mask for items in both], dim=1)
        sizes = [items.mask.shape[1] for items in both]
        learned = self.cross_stream(known, belief, mask).split(sizes, dim=1)
        texts, images = (
            replace(items, key=items.key + more, values=items.values + more[:, None])
            for items, more in zip(both, learned, strict=True)
        )
        return texts, images

    def _seen(self, words: Tensor, states: Tensor) -> Tensor:
        """Return [windows, heads, units, images]: how much each word wants each image.

        Cosines with a learned scale, and no plain products: vectors of images are few and the
        same for every word, and products of them grew in some trainings until they took all
        attention and no text was ever read.
        """
        windows, units = words.shape[:2]
        if not (self.size.visual_dim and states.shape[1]):
            return words.new_zeros(windows, self.size.heads, units, states.shape[1])
        query = nn.functional.normalize(self._words_as_queries(words), dim=-1)
        key = by_head(states, self.size.heads).transpose(1, 2).float()
        cosine = query @ nn.functional.normalize(key, dim=-1).transpose(-1, -2)
        return cosine * self.sight[:, None, None]

    def _words_as_queries(self, words: Tensor) -> Tensor:
        query: Tensor = self.query(self.norm(words)).float()
        query = by_head(query, self.size.heads).transpose(1, 2)
        return query / math.sqrt(query.shape[-1])

    def _select(self, words: Tensor, texts: Items, images: Items) -> tuple[Tensor, Tensor]:
        """Return attention [windows, heads, units, items] over texts and over images.

        Weights of one word sum to one together with the null slot, which is not returned.
        """
        query = self._words_as_queries(words)
        logits = []
        for items in (texts, images):
            key = by_head(items.key, self.size.heads).transpose(1, 2)
            total = items.logits + query @ key.transpose(-1, -2)
            belief = self._belief(items) + self._votes_of_views(items, images)
            total = total + belief[:, None, None, :]
            logits.append(total.masked_fill(~items.mask[:, None, None, :], -torch.inf))
        null = self.null[None, :, None, None].expand(*logits[0].shape[:3], 1)
        weights = torch.cat([*logits, null], dim=-1).softmax(dim=-1)
        num_texts = logits[0].shape[-1]
        return weights[..., :num_texts], weights[..., num_texts:-1]

    def _belief(self, items: Items) -> Tensor:
        """Return [windows, items]: how likely each belongs to the post, as a log; or zeros."""
        if not self.size.consistency:
            return torch.zeros_like(items.odds)
        learned = nn.functional.logsigmoid(items.odds).masked_fill(~items.judged, 0.0)
        return learned + self.trust * items.prior

    def _votes_of_views(self, items: Items, images: Items) -> Tensor:
        """Return [windows, items]: the visual query path, from photo and regions to evidence."""
        views = images.mask & (images.stream >= len(STREAMS))
        if not self.size.visual_dim or not views.shape[1]:
            return torch.zeros_like(items.odds)
        query = self.view_query(_mean(images.summary, views)).float()
        key = self.view_key(items.summary).float()
        votes = nn.functional.cosine_similarity(key, query[:, None], dim=-1)
        return self.vote * votes * (items.judged & views.any(dim=1)[:, None])

    def _weighted(self, weights: Tensor, values: Tensor) -> Tensor:
        """Return [windows, units, dim]; each head weights its own slice of the values."""
        per_head = by_head(values, self.size.heads)
        if values.shape[1] == 1:
            read = torch.einsum("whui,wihd->wuhd", weights, per_head[:, 0])
        else:
            read = torch.einsum("whui,wuihd->wuhd", weights, per_head)
        flat: Tensor = read.flatten(2).float()
        return flat


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over dim 1 of [rows, tokens, dim] where ``mask`` is True; 0 for none."""
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return (states * mask[..., None]).sum(dim=1) / count


def _share_named(mentions: Tensor, passages: Tensor) -> Tensor:
    """Return [rows]: the share of the given mentions [rows, 2] among the keys [rows, pieces]."""
    given = mentions != 0
    found = (mentions[:, :, None] == passages[:, None, :]).any(dim=2) & given
    return found.sum(dim=1).float() / given.sum(dim=1).clamp(min=1)
