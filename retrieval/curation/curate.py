"""From the hits of one post to its evidence, every other hit with the step and reason it fell to.

First the verdicts on a hit alone (empty, the post itself, off the question), then those that
compare hits: were it the other way round, a hit that is dropped anyway could take a better copy
of itself along.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from cache.records import Dropped, Evidence, Hit, Media, Observation
from retrieval.curation.consistency import Reference, drop_inconsistent, score_consistency
from retrieval.curation.dedup_images import (
    HashOf,
    ImageHash,
    drop_near_images,
    drop_same_images,
    image_hash,
)
from retrieval.curation.dedup_text import (
    drop_contained_texts,
    drop_near_texts,
    drop_same_texts,
    words,
)
from retrieval.curation.filters import (
    UndecodableImage,
    drop_empty,
    drop_irrelevant,
    drop_post_photos,
    drop_post_texts,
)
from retrieval.curation.leaks import LeakGuard, drop_leaks
from retrieval.curation.noise import drop_noise
from retrieval.curation.rank import canonical_key, cut, fused_scores
from retrieval.settings import CurateSettings
from retrieval.sight.photos import PhotoProblem, decode_image

# Part of the curate fingerprint: raise it when a step's result changes under equal settings.
CURATION_VERSION: Final = 2
# About 6 kB each; the oldest goes, and is made again if it is asked for.
_MOST_HASHES: Final = 65536


class ImageHashes:
    """Hashes of images by media key; an image is decoded once for all posts that are near it."""

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
            if len(self._known) >= _MOST_HASHES:
                del self._known[next(iter(self._known))]
            try:
                self._known[key] = image_hash(decode_image(self._images(key).data).pixels)
            except PhotoProblem as problem:
                if problem.passing:
                    raise
                self._known[key] = problem.reason
        known = self._known[key]
        if isinstance(known, str):
            raise UndecodableImage(known)
        return known


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What curation knows beside the post and its hits.

    Attributes:
        hash_of: perceptual hash by media key, of every image hit and of the post's photo.
        reference: other posts, which say what a hit would score by chance; None scores nothing.
        guard: every post of the data set, to know copies of them; None knows only the post's own.
    """

    hash_of: HashOf
    reference: Reference | None = None
    guard: LeakGuard | None = None


def curate(
    observation: Observation, hits: Sequence[Hit], settings: CurateSettings, around: Surroundings
) -> tuple[list[Evidence], list[Dropped]]:
    """Return the evidence of a post in the order of the streams, and all other hits with reasons.

    Args:
        observation: the post.
        hits: all that its queries found, in any order: it changes nothing.
        settings: the thresholds.
        around: what is known beside them.
    """
    bits, cosine = settings.near_duplicate_image_bits, settings.near_duplicate_image_cosine
    left, dropped = drop_unfit(observation, hits, settings, around)
    left = score_consistency(left, observation, around.reference)
    left, gone = drop_inconsistent(left, settings.max_false_keeps)
    dropped += gone
    left, gone = drop_irrelevant(left, settings.min_relevance)
    dropped += gone
    # Fused before the duplicates go, for their places count towards the one that stays.
    scores = fused_scores(left, settings.rrf_k, same=_identity)
    left, gone = drop_same_texts(left, scores)
    dropped += gone
    left, gone = drop_near_texts(left, scores, settings.near_duplicate_text)
    dropped += gone
    left, gone = drop_contained_texts(left, scores, settings.contained_text)
    dropped += gone
    left, gone = drop_same_images(left, scores)
    dropped += gone
    left, gone = drop_near_images(left, scores, around.hash_of, bits, cosine)
    dropped += gone
    evidence, gone = cut(left, scores, settings.keep_per_stream)
    return evidence, _in_order(dropped + gone)


def drop_unfit(
    observation: Observation, hits: Sequence[Hit], settings: CurateSettings, around: Surroundings
) -> tuple[list[Hit], list[Dropped]]:
    """Drop what is judged without other hits: nothing in it, leaks, noise; see `curate`."""
    bits, cosine = settings.near_duplicate_image_bits, settings.near_duplicate_image_cosine
    left, dropped = drop_empty(hits, around.hash_of)
    left, gone = drop_post_texts(left, observation.post.tokens, settings.leaks.post_overlap)
    dropped += gone
    left, gone = drop_post_photos(left, observation, around.hash_of, bits, cosine)
    dropped += gone
    left, gone = drop_leaks(left, observation.post, around.guard, settings.leaks)
    dropped += gone
    left, gone = drop_noise(left, settings.noise)
    return left, dropped + gone


def _identity(hit: Hit) -> Hashable:
    return words(hit.text) if hit.modality == "text" else hit.media_key


def _in_order(dropped: list[Dropped]) -> list[Dropped]:
    """Return dropped hits stream by stream, each as its provider ranked it."""
    return sorted(
        dropped,
        key=lambda one: canonical_key(one.hit),
    )
