"""From the hits of one post to its evidence, every other hit with the step and reason it fell to.

First the verdicts on a hit alone (empty, the post itself, off the question), then those that
compare hits: were it the other way round, a hit that is dropped anyway could take a better copy
of itself along.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final

from cache.records import Dropped, Evidence, Hit, Media, Observation
from retrieval.consistency import score_consistency
from retrieval.dedup_images import (
    HashOf,
    ImageHash,
    drop_near_images,
    drop_same_images,
    image_hash,
)
from retrieval.dedup_text import drop_near_texts, drop_same_texts, words
from retrieval.filters import (
    UndecodableImage,
    drop_empty,
    drop_irrelevant,
    drop_post_photos,
    drop_post_texts,
)
from retrieval.photos import PhotoProblem, decode_image
from retrieval.rank import canonical_key, cut, fused_scores
from retrieval.settings import CurateSettings

# Part of the curate fingerprint: raise it when a step's result changes under equal settings.
CURATION_VERSION: Final = 1


class ImageHashes:
    """Hashes of images by media key; each image is decoded once for all posts."""

    def __init__(self, images: Callable[[str], Media]) -> None:
        """Read bytes with ``images`` when a hash is asked for the first time."""
        self._images = images
        self._known: dict[str, ImageHash | str | None] = {}

    def __call__(self, key: str) -> ImageHash | None:
        """Return the hash of an image, or None if it is too flat to have one.

        Raises:
            UndecodableImage: its bytes are no usable image.
        """
        if key not in self._known:
            try:
                self._known[key] = image_hash(decode_image(self._images(key).data).pixels)
            except PhotoProblem as problem:
                self._known[key] = problem.reason
        known = self._known[key]
        if isinstance(known, str):
            raise UndecodableImage(known)
        return known


def curate(
    observation: Observation, hits: Sequence[Hit], settings: CurateSettings, hash_of: HashOf
) -> tuple[list[Evidence], list[Dropped]]:
    """Return the evidence of a post in the order of the streams, and all other hits with reasons.

    Args:
        observation: the post.
        hits: all that its queries found, in any order: it changes nothing.
        settings: the thresholds.
        hash_of: perceptual hash by media key, of every image hit and of the post's photo.
    """
    left = score_consistency(hits, observation)
    bits, cosine = settings.near_duplicate_image_bits, settings.near_duplicate_image_cosine
    dropped: list[Dropped] = []

    left, gone = drop_empty(left, hash_of)
    dropped += gone
    left, gone = drop_post_texts(left, observation.post.tokens, settings.post_overlap)
    dropped += gone
    left, gone = drop_post_photos(left, observation, hash_of, bits, cosine)
    dropped += gone
    left, gone = drop_irrelevant(left, settings.min_relevance)
    dropped += gone
    # Fused before the duplicates go, for their places count towards the one that stays.
    scores = fused_scores(left, settings.rrf_k, same=_identity)
    left, gone = drop_same_texts(left, scores)
    dropped += gone
    left, gone = drop_near_texts(left, scores, settings.near_duplicate_text)
    dropped += gone
    left, gone = drop_same_images(left, scores)
    dropped += gone
    left, gone = drop_near_images(left, scores, hash_of, bits, cosine)
    dropped += gone
    evidence, gone = cut(left, scores, settings.keep_per_stream)
    return evidence, _in_order(dropped + gone)


def _identity(hit: Hit) -> Hashable:
    return words(hit.text) if hit.modality == "text" else hit.media_key


def _in_order(dropped: list[Dropped]) -> list[Dropped]:
    """Return dropped hits stream by stream, each as its provider ranked it."""
    return sorted(
        dropped,
        key=lambda one: canonical_key(one.hit),
    )
