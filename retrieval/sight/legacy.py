"""An observer that shows the objects published with MNRE in place of regions of its own.

The published crops leak the relation by their number (`retrieval.datasets.protocol`). Only their
number is at hand in a form that can be read safely, so each stands for the whole photo: whatever
a system gains under this protocol, it gains by counting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from PIL import Image

from cache.keys import fingerprint
from cache.records import Observation, Post, Region, Vector
from retrieval.datasets.legacy_objects import LegacyObjects
from retrieval.sight.look import PostObserver
from retrieval.sight.photos import Needs, Photo

_LABEL: Final = "published object"


class LegacyObserver:
    """A `PostObserver` that sees as another one does, but for the regions.

    Attributes:
        encoder_fingerprint: of the other observer.
        fingerprint: of both.
    """

    def __init__(self, observer: PostObserver, objects: LegacyObjects) -> None:
        """Show ``objects`` in what ``observer`` sees."""
        self._observer, self._objects = observer, objects
        self.encoder_fingerprint = observer.encoder_fingerprint
        self.fingerprint = fingerprint([observer.fingerprint, _LABEL, objects.fingerprint])

    @property
    def forward_seconds(self) -> float:
        """Wall time inside forward passes so far."""
        return self._observer.forward_seconds

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall time of detecting and embedding so far."""
        return self._observer.seconds

    @property
    def needs(self) -> Needs | None:
        """How many pixels the other observer looks at."""
        return self._observer.needs

    def observe(
        self, posts: Sequence[Post], photos: Sequence[Photo | None], statuses: Sequence[str]
    ) -> list[Observation]:
        """Return one observation per post, with as many regions as objects were published."""
        seen = self._observer.observe(posts, photos, statuses)
        return [
            replace(one, regions=self._regions(one, photo))
            for one, photo in zip(seen, photos, strict=True)
        ]

    def embed_texts(self, texts: Sequence[str]) -> Vector | None:
        """Return what the other observer's encoder makes of ``texts``."""
        return self._observer.embed_texts(texts)

    def embed_images(self, images: Sequence[Image.Image]) -> Vector | None:
        """Return what the other observer's encoder makes of ``images``."""
        return self._observer.embed_images(images)

    def _regions(self, seen: Observation, photo: Photo | None) -> tuple[Region, ...]:
        width, height = (1, 1) if photo is None else (photo.media.width, photo.media.height)
        box = (0.0, 0.0, float(width), float(height))
        region = Region(box, _LABEL, 1.0, seen.photo_embedding)
        return (region,) * self._objects.counts[seen.post.example_id]
