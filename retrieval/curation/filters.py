"""Verdicts on one hit alone: nothing in it, a copy of the post, off the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cache.records import Dropped, Hit, Observation
from retrieval.asking.queries import clean_sentence
from retrieval.curation.dedup_images import HashOf, near_images
from retrieval.curation.dedup_text import jaccard, shingles_of, words

EMPTY: Final = "empty"
POST_TEXT: Final = "post_text"
POST_PHOTO: Final = "post_photo"
RELEVANCE: Final = "relevance"


def drop_empty(hits: Sequence[Hit], hash_of: HashOf) -> tuple[list[Hit], list[Dropped]]:
    """Drop hits without the text or the image that their stream is made of.

    Args:
        hits: of one post.
        hash_of: raises `UndecodableImage` for bytes that are no usable image.
    """
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for hit in hits:
        reason = _emptiness(hit, hash_of)
        if reason:
            dropped.append(Dropped(hit, EMPTY, reason))
        else:
            kept.append(hit)
    return kept, dropped


class UndecodableImage(Exception):
    """The bytes of an answered image cannot be shown; its text says why."""


def _emptiness(hit: Hit, hash_of: HashOf) -> str:
    if hit.modality == "text":
        return "" if words(hit.text) else "no text"
    if not hit.media_key:
        return "no image"
    try:
        hash_of(hit.media_key)
    except UndecodableImage as problem:
        return f"image cannot be read: {problem}"
    return ""


def drop_post_texts(
    hits: Sequence[Hit], tokens: Sequence[str], threshold: float
) -> tuple[list[Hit], list[Dropped]]:
    """Drop texts that are the post itself, with or without their title in front.

    Args:
        hits: of one post.
        tokens: the post's words; compared as they are and as the cleaned sentence.
        threshold: Jaccard of word trigrams, in (0, 1], from which a text is a copy.
    """
    forms = {words(" ".join(tokens)), words(clean_sentence(tokens))}
    posts = [shingles_of(form) for form in forms]
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for hit in hits:
        overlap = 0.0
        if hit.modality == "text":
            bodies = {shingles_of(body) for body in _bodies(hit)}
            overlap = max(jaccard(body, post) for body in bodies for post in posts)
        if overlap >= threshold:
            reason = f"copy of the post: trigram jaccard {overlap:.3f}"
            dropped.append(Dropped(hit, POST_TEXT, reason))
        else:
            kept.append(hit)
    return kept, dropped


def _bodies(hit: Hit) -> list[tuple[str, ...]]:
    """Return the words of a text, and those after the title where the text begins with it."""
    text, title = words(hit.text), words(hit.title)
    if title and len(text) > len(title) and text[: len(title)] == title:
        return [text, text[len(title) :]]
    return [text]


def drop_post_photos(
    hits: Sequence[Hit],
    observation: Observation,
    hash_of: HashOf,
    max_bits: int,
    min_cosine: float,
) -> tuple[list[Hit], list[Dropped]]:
    """Drop images that are the post's own photo: the same bytes, looks or embedding.

    Args:
        hits: of one post.
        observation: of that post.
        hash_of: hash of the image with a media key, the photo's among them.
        max_bits: see `near_images`.
        min_cosine: see `near_images`.
    """
    key = observation.photo_key
    if key is None:
        return list(hits), []
    images = [hit for hit in hits if hit.modality == "image" and hit.media_key is not None]
    seen = [(hash_of(hit.media_key or ""), hit.embedding) for hit in images]
    photo = (hash_of(key), observation.photo_embedding)
    near = near_images(photo, seen, max_bits, min_cosine)
    reasons = {
        id(hit): "same bytes" if hit.media_key == key else why
        for hit, why in zip(images, near, strict=True)
    }
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for hit in hits:
        if why := reasons.get(id(hit)):
            dropped.append(Dropped(hit, POST_PHOTO, f"the post's own photo: {why}"))
        else:
            kept.append(hit)
    return kept, dropped


def drop_irrelevant(hits: Sequence[Hit], min_relevance: float) -> tuple[list[Hit], list[Dropped]]:
    """Drop hits whose relevance is known and below ``min_relevance``; unknown passes."""
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for hit in hits:
        if hit.relevance is not None and hit.relevance < min_relevance:
            reason = f"relevance {hit.relevance:.3f} below {min_relevance:g}"
            dropped.append(Dropped(hit, RELEVANCE, reason))
        else:
            kept.append(hit)
    return kept, dropped
