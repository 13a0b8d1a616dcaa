"""From an observed post to its questions. No label can get here: an `Observation` has none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from cache.records import MODALITIES, Level, Observation, Post, Query, Region, Span, Vector

_URL = re.compile(r"(?:https?:/|www\.|t\.co/|pic\.twitter\.com)\S*", re.IGNORECASE)
_RETWEET = re.compile(r"^(?:\s*RT\s+@\s?\w+\s*:?\s+(?=\S))+")
_SIGIL = re.compile(r"(?<!\w)[@#][@#\s]*(?=\w)")
# Cc, Cf, Cs, Co: control, format (zero-width joiners, direction marks), surrogate, private use.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean_sentence(tokens: Sequence[str]) -> str:
    """Return the sentence as one would type it into a search box.

    The retweet header (``RT @name :``) and links go; of handles and hashtags the word stays, for
    it is often the name that the post is about. A sentence of nothing else stays as it is.
    """
    raw = _visible(" ".join(tokens))
    cleaned = _SIGIL.sub("", _URL.sub(" ", _RETWEET.sub("", raw)))
    return " ".join(cleaned.split()) or raw


def query_text(post: Post) -> str:
    """Return what the sentence level asks: the cleaned sentence, then the given mentions.

    The mentions say which two of the sentence's names a relation is asked of; both are known at
    inference.
    """
    parts = [clean_sentence(post.tokens)]
    parts += [_mention(post, span) for span in (post.head, post.tail) if span is not None]
    return " ".join(part for part in parts if part)


def make_queries(observation: Observation) -> list[Query]:
    """Return the questions of a post, in the order of the streams, regions best first.

    Without a photo there is no image level, without regions no object level, and without a word
    no sentence level.
    """
    queries: list[Query] = []
    name = observation.post.photo_name
    key = observation.photo_key or ""
    if key or name:
        queries += _by_image("image", key, name, -1, observation.photo_embedding)
    if key:
        for index, region in enumerate(observation.regions):
            crop_key = f"{key}#{_box_text(region)}"
            queries += _by_image("object", crop_key, name, index, region.embedding)
    text = query_text(observation.post)
    if text:
        queries += [
            Query("sentence", modality, text=text, embedding=observation.sentence_embedding)
            for modality in MODALITIES
        ]
    return queries


def _by_image(
    level: Level, key: str, name: str, region_index: int, embedding: Vector | None
) -> list[Query]:
    return [
        Query(
            level,
            modality,
            image_key=key,
            image_name=name,
            region_index=region_index,
            embedding=embedding,
        )
        for modality in MODALITIES
    ]


def _box_text(region: Region) -> str:
    return ",".join(f"{side:g}" for side in region.box)


def _mention(post: Post, span: Span) -> str:
    return _visible(" ".join(post.tokens[span.start : span.end]))


def _visible(text: str) -> str:
    """Return ``text`` in composed form, without invisible characters, with single spaces."""
    composed = unicodedata.normalize("NFC", text)
    kept = (c if unicodedata.category(c) not in _INVISIBLE else " " for c in composed)
    return " ".join("".join(kept).split())
