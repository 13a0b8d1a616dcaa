"""Embeddings of what providers found; each text and each image is embedded once, ever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.errors import InputError
from cache.keys import fingerprint
from cache.recording.recordings import Recording
from cache.records import Hit, Query, Vector
from retrieval.asking.answers import AnswerBook
from retrieval.curation.consistency import cosine
from retrieval.sight.photos import PhotoProblem, decode_image

_ENCODER: Final = "encoder"
# Pictures decoded at a time: enough for full batches, little enough for memory.
_IMAGES_TOGETHER: Final = 64
# Vectors kept in memory; a record on disk is decoded together with its neighbours.
_REMEMBERED: Final = 50_000
# Recorded in place of a vector where there can be none, so that nobody tries again.
_NO_VECTOR: Final = b""

Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """What embeds texts and images into one space; None where no encoder is configured."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors | None:
        """Return one unit vector per text."""
        ...

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors | None:
        """Return one unit vector per image."""
        ...


class HitVectors:
    """Gives hits their embedding: the provider's own, a recorded one, or a new one."""

    def __init__(self, encoder: Encoder, encoder_fingerprint: str, book: AnswerBook) -> None:
        """Embed with ``encoder`` only what ``book`` does not hold under its fingerprint."""
        self._encoder = encoder
        self._fingerprint = encoder_fingerprint
        self._book = book
        self._remembered: OrderedDict[str, Vector | None] = OrderedDict()
        self._not_seen: dict[str, PhotoProblem] = {}

    def embed(self, hits: Sequence[Hit]) -> None:
        """Record the embeddings of those of ``hits`` that come without one."""
        texts, images = self._missing(hits)
        if texts:
            self._record(list(texts), self._encoder.embed_texts(list(texts.values())))
        waiting = list(images.items())
        for start in range(0, len(waiting), _IMAGES_TOGETHER):
            self._embed_images(waiting[start : start + _IMAGES_TOGETHER])

    def lacks(self, hits: Sequence[Hit]) -> bool:
        """Return whether `embed` has something to do for the encoder."""
        return bool(self._fingerprint) and any(self._missing(hits))

    def _missing(self, hits: Sequence[Hit]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the texts, and the media keys of images, that nobody embedded, by key."""
        texts: dict[str, str] = {}
        images: dict[str, str] = {}
        for hit in hits:
            key = self._key(hit)
            if hit.embedding is not None or key is None or key in self._book:
                continue
            if hit.modality == "text":
                texts.setdefault(key, hit.text.strip())
            elif self._book.has_media(hit.media_key or ""):
                images.setdefault(key, hit.media_key or "")
        return texts, images

    def attach(self, hit: Hit, query: Query) -> Hit:
        """Return ``hit`` with its embedding and its relevance to ``query``, where they are known.

        Raises:
            EncoderMismatch: the hit's embedding is of another encoder than the query's.
            PhotoProblem: nobody could look at the hit's image this time.
        """
        vector = hit.embedding if hit.embedding is not None else self._recorded(hit)
        if vector is None:
            if problem := self._not_seen.get(self._key(hit) or ""):
                raise problem
            return hit
        if query.embedding is None:
            return replace(hit, embedding=vector)
        if vector.shape != query.embedding.shape:
            raise EncoderMismatch(
                f"provider {hit.provider!r} gives embeddings of {vector.size} numbers, but the "
                f"recipe's encoder has {query.embedding.size}. Build the knowledge base with the "
                "encoder that the recipe names under [observe]."
            )
        if hit.embedding is vector and hit.relevance is not None:
            return hit
        relevance = cosine(vector, query.embedding) if hit.relevance is None else hit.relevance
        return replace(hit, embedding=vector, relevance=relevance)

    def _embed_images(self, waiting: Sequence[tuple[str, str]]) -> None:
        keys: list[str] = []
        pixels: list[Image.Image] = []
        broken: list[Recording] = []
        for key, media_key in waiting:
            try:
                pixels.append(decode_image(self._book.media(media_key).data).pixels)
                keys.append(key)
            except PhotoProblem as problem:
                if problem.passing:
                    # Nothing is recorded: whoever needs this image fails for itself, in `attach`.
                    self._not_seen[key] = problem
                    continue
                # Curation drops the hit and says why.
                broken.append(Recording(key, _ENCODER, "", "", _NO_VECTOR))
        if broken:
            self._book.put_segment(broken)
        if keys:
            self._record(keys, self._encoder.embed_images(pixels))

    def _record(self, keys: Sequence[str], vectors: Vectors | None) -> None:
        if vectors is None:
            return
        self._book.put_segment(
            [
                Recording(key, _ENCODER, "", "", vector.astype("<f2").tobytes())
                for key, vector in zip(keys, vectors, strict=True)
            ]
        )

    def _recorded(self, hit: Hit) -> Vector | None:
        key = self._key(hit)
        if key is None:
            return None
        if key not in self._remembered:
            recording = self._book.get(key)
            body = _NO_VECTOR if recording is None else recording.body
            vector = np.frombuffer(body, dtype="<f2").astype(np.float32) if body else None
            self._remembered[key] = vector
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return self._remembered[key]

    def _key(self, hit: Hit) -> str | None:
        """Return the key of the embedding of what a hit shows; None where it shows nothing."""
        shown = hit.text.strip() if hit.modality == "text" else hit.media_key
        if not shown:
            return None
        return fingerprint(
            {"encoder": self._fingerprint, "modality": hit.modality, "content": shown}
        )


class EncoderMismatch(InputError):
    """Two embeddings that must be comparable are of different encoders."""
