"""What is seen in a post: regions of its photo; vectors of photo, crops and sentence."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.errors import InputError
from cache.keys import fingerprint
from cache.records import Observation, Post, Region, Vector
from retrieval.asking.queries import query_text
from retrieval.settings import ObserveSettings
from retrieval.sight.bounds import backend_library
from retrieval.sight.detect import Detector, detector_identity, load_detector
from retrieval.sight.encoder_source import encoder_fingerprint
from retrieval.sight.photos import Needs, Photo

if TYPE_CHECKING:
    from retrieval.sight.embed import ClipEncoder
    from retrieval.sight.stages import Look

Vectors = NDArray[np.float32]
# Goes up when photos are scaled down by another rule.
_SCALING_VERSION: Final = 2
# A photo that is scaled down keeps so many times the pixels that the encoder reads of a side, so
# that a crop of half of it still has all that are read.
_ROOM_FOR_CROPS: Final = 2


class Observer:
    """Observes posts; models are loaded when the first post needs them.

    Attributes:
        encoder_fingerprint: what makes vectors comparable; empty without an encoder.
    """

    def __init__(self, settings: ObserveSettings, *, device: str | None = None) -> None:
        """Take ``settings``; ``device`` is a torch device, by default CUDA where there is one."""
        self._settings = settings
        self._device = device
        self._loading = threading.RLock()
        self._counting = threading.Lock()
        self._seconds = {"detect": 0.0, "embed": 0.0}
        self.encoder_fingerprint = encoder_fingerprint(settings)

    @cached_property
    def fingerprint(self) -> str:
        """What decides the observations: models, weights, dtype, preprocessing, its libraries."""
        identity: dict[str, object] = {"regions": detector_identity(self._settings)}
        if self.encoder_fingerprint:
            identity["encoder"] = self.encoder_fingerprint
            identity["open_clip"] = version("open_clip_torch")
            identity["batch_size"] = self._settings.batch_size
            identity.update(backend_library(self._settings))
        # Pillow decodes and scales: another version may give other pixels.
        identity["pillow"] = version("pillow")
        if self._settings.decode != "full":
            identity["decode"] = [self._settings.decode, _SCALING_VERSION]
        return fingerprint(identity)

    @property
    def forward_seconds(self) -> float:
        """Wall time inside the forward passes of detector and encoder so far."""
        return sum(self.forwards.values())

    @property
    def forwards(self) -> Mapping[str, float]:
        """Wall time inside the forward passes of ``detect`` and of ``embed`` so far."""
        # Models that were never needed must not be loaded to be asked for their time.
        detector, encoder = (
            vars(self).get(name) for name in ("_loaded_detector", "_loaded_encoder")
        )
        return {
            "detect": 0.0 if detector is None else detector.forward_seconds,
            "embed": 0.0 if encoder is None else encoder.forward_seconds,
        }

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall time so far of ``detect`` and of ``embed``, all that they need included."""
        with self._counting:
            return dict(self._seconds)

    @property
    def needs(self) -> Needs | None:
        """How many pixels of a photo are looked at; None where photos are decoded in full.

        Photos for `observe` are to be decoded for it. To know it, models are loaded.
        """
        if self._settings.decode == "full":
            return None
        detector, encoder = self._detector, self._encoder
        if encoder is None:
            return Needs(detector.side, 1)
        room = _ROOM_FOR_CROPS if detector.side > 1 else 1
        return Needs(detector.side, room * encoder.image_side)

    def observe(
        self, posts: Sequence[Post], photos: Sequence[Photo | None], statuses: Sequence[str]
    ) -> list[Observation]:
        """Return one observation per post; nothing in it depends on the other posts.

        Args:
            posts: any number; all photos are held in memory, so hundreds rather than thousands.
            photos: each post's photo, or None without a usable one.
            statuses: each post's ``photo_status``.
        """
        seen = self._observe_photos({photo.media.key: photo for photo in photos if photo})
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
        encoder = self._encoder
        with self._stage("embed"):
            return None if encoder is None else encoder.embed_texts(texts)

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors | None:
        """Return unit vectors ``[n, dim]`` of RGB ``images``, or None without an encoder."""
        encoder = self._encoder
        with self._stage("embed"):
            return None if encoder is None else encoder.embed_images(images)

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
        self, photos: Mapping[str, Photo]
    ) -> dict[str, tuple[Vector | None, tuple[Region, ...]]]:
        """Return vector and regions of each photo by key; each photo is looked at once."""
        images = [photo.pixels for photo in photos.values()]
        sizes = [(photo.media.width, photo.media.height) for photo in photos.values()]
        detector = self._detector
        with self._stage("detect"):
            found = detector.detect(images, sizes)
        crops = [
            _crop(photo, region)
            for photo, regions in zip(photos.values(), found, strict=True)
            for region in regions
        ]
        # Photos and crops in one go: fewer half-empty batches.
        vectors = self.embed_images([*images, *crops])
        if vectors is None:
            return {key: (None, regions) for key, regions in zip(photos, found, strict=True)}
        of_crops = iter(vectors[len(images) :])
        embedded = [tuple(_with_vector(r, next(of_crops)) for r in regions) for regions in found]
        wholes = vectors[: len(images)]
        return dict(zip(photos, zip(wholes, embedded, strict=True), strict=True))

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._counting:
                self._seconds[name] += time.perf_counter() - start

    # Properties are read by threads that decode and by one that looks: a model is loaded once.
    @property
    def _detector(self) -> Detector:
        with self._loading:
            return self._loaded_detector

    @property
    def _encoder(self) -> ClipEncoder | None:
        with self._loading:
            return self._loaded_encoder

    @cached_property
    def _loaded_detector(self) -> Detector:
        return load_detector(self._settings, self._device)

    @cached_property
    def _loaded_encoder(self) -> ClipEncoder | None:
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


def _crop(photo: Photo, region: Region) -> Image.Image:
    """Return a region, from a photo that may have fewer pixels than its box is told in."""
    across = photo.pixels.width / photo.media.width
    down = photo.pixels.height / photo.media.height
    left, top, right, bottom = region.box
    return photo.pixels.crop(
        (
            math.floor(left * across),
            math.floor(top * down),
            min(math.ceil(right * across), photo.pixels.width),
            min(math.ceil(bottom * down), photo.pixels.height),
        )
    )


def _with_vector(region: Region, vector: Vector) -> Region:
    return Region(region.box, region.label, region.confidence, vector)
