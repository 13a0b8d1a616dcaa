"""What is seen in a post: regions of its photo; vectors of photo, crops and sentence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.errors import InputError
from cache.keys import fingerprint
from cache.records import Observation, Post, Region, Vector
from retrieval.asking.queries import query_text
from retrieval.settings import ObserveSettings
from retrieval.sight.detect import Detector, detector_identity, load_detector
from retrieval.sight.encoder_source import encoder_fingerprint
from retrieval.sight.photos import Photo

if TYPE_CHECKING:
    from retrieval.sight.embed import ClipEncoder, Look

Vectors = NDArray[np.float32]


class Observer:
    """Observes posts; models are loaded when the first post needs them.

    Attributes:
        encoder_fingerprint: what makes vectors comparable; empty without an encoder.
    """

    def __init__(self, settings: ObserveSettings, *, device: str | None = None) -> None:
        """Take ``settings``; ``device`` is a torch device, by default CUDA where there is one."""
        self._settings = settings
        self._device = device
        self.encoder_fingerprint = encoder_fingerprint(settings)

    @cached_property
    def fingerprint(self) -> str:
        """What decides the observations: models, weights, dtype, preprocessing, its libraries."""
        identity: dict[str, object] = {"regions": detector_identity(self._settings)}
        if self.encoder_fingerprint:
            identity["encoder"] = self.encoder_fingerprint
            identity["open_clip"] = version("open_clip_torch")
            identity["batch_size"] = self._settings.batch_size
        # Pillow decodes and scales: another version may give other pixels.
        identity["pillow"] = version("pillow")
        return fingerprint(identity)

    @property
    def forward_seconds(self) -> float:
        """Wall time inside the forward passes of detector and encoder so far."""
        # Models that were never needed must not be loaded to be asked for their time.
        seconds = self._detector.forward_seconds if "_detector" in vars(self) else 0.0
        if "_encoder" in vars(self) and self._encoder is not None:
            seconds += self._encoder.forward_seconds
        return seconds

    def observe(
        self, posts: Sequence[Post], photos: Sequence[Photo | None], statuses: Sequence[str]
    ) -> list[Observation]:
        """Return one observation per post; nothing in it depends on the other posts.

        Args:
            posts: any number; all photos are held in memory, so hundreds rather than thousands.
            photos: each post's photo, or None without a usable one.
            statuses: each post's ``photo_status``.
        """
        pixels = {photo.media.key: photo.pixels for photo in photos if photo is not None}
        seen = self._observe_photos(pixels)
        sentences = self.embed_texts([query_text(post) for post in posts])
        observations: list[Observation] = []
        for index, (post, photo, status) in enumerate(zip(posts, photos, statuses, strict=True)):
            key = None if photo is None else photo.media.key
            whole, regions = (None, ()) if key is None else seen[key]
            sentence = None if sentences is None else sentences[index]
            observations.append(Observation(post, key, status, whole, sentence, regions))
        return observations

    def embed_texts(self, texts: Sequence[str]) -> Vectors | None:
        """Return unit vectors ``[n, dim]`` of ``texts``, or None without an encoder."""
        return None if self._encoder is None else self._encoder.embed_texts(texts)

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors | None:
        """Return unit vectors ``[n, dim]`` of RGB ``images``, or None without an encoder."""
        return None if self._encoder is None else self._encoder.embed_images(images)

    def look(self, images: Sequence[Image.Image]) -> list[Look]:
        """Return what the stages of the encoder's image tower make of RGB ``images``.

        Raises:
            InputError: there is no encoder, or its tower does not show its stages.
        """
        if self._encoder is None:
            raise InputError(
                "the feature sets grid and pyramid are made by an encoder, and observe.encoder is "
                "'none'. Name one, or leave them out of observe.features."
            )
        return self._encoder.look(images)

    def _observe_photos(
        self, pixels: dict[str, Image.Image]
    ) -> dict[str, tuple[Vector | None, tuple[Region, ...]]]:
        """Return vector and regions of each photo by key; each photo is looked at once."""
        images = list(pixels.values())
        found = self._detector.detect(images)
        crops = [
            image.crop((int(left), int(top), int(right), int(bottom)))
            for image, regions in zip(images, found, strict=True)
            for left, top, right, bottom in (region.box for region in regions)
        ]
        # Photos and crops in one go: fewer half-empty batches.
        vectors = self.embed_images([*images, *crops])
        if vectors is None:
            return {key: (None, regions) for key, regions in zip(pixels, found, strict=True)}
        of_crops = iter(vectors[len(images) :])
        embedded = [tuple(_with_vector(r, next(of_crops)) for r in regions) for regions in found]
        wholes = vectors[: len(images)]
        return dict(zip(pixels, zip(wholes, embedded, strict=True), strict=True))

    @cached_property
    def _detector(self) -> Detector:
        return load_detector(self._settings, self._device)

    @cached_property
    def _encoder(self) -> ClipEncoder | None:
        if not self.encoder_fingerprint:
            return None
        try:
            from retrieval.sight.embed import ClipEncoder
        except ModuleNotFoundError as error:
            raise InputError(
                f"encoder {self._settings.encoder!r} needs {error.name}, which is not installed. "
                "Install the extra [retrieval], or set observe.encoder=none."
            ) from error
        return ClipEncoder(self._settings, self._device)


def _with_vector(region: Region, vector: Vector) -> Region:
    return Region(region.box, region.label, region.confidence, vector)
