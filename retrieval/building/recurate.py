"""Curating a finished store anew with nothing but what is at hand: whoever is needed refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PIL import Image

from cache.errors import StoreMismatch
from cache.records import Observation, Post, Vector
from retrieval.asking.estimate import Questions
from retrieval.building.cases import Unfinished
from retrieval.building.gather import EvidenceEncoder
from retrieval.sight.photos import Photo

_WAY_OUT = "Run the build without --recurate; it adds what is missing."


class NoObserver:
    """A `PostObserver` that looks at nothing.

    Attributes:
        fingerprint: of the observer in whose place it stands.
        encoder_fingerprint: of that observer's encoder.
        forward_seconds: none.
        seconds: none.
        needs: nothing.
    """

    def __init__(self, fingerprint: str, stands_for: EvidenceEncoder) -> None:
        """Stand in the place of an observer."""
        self.fingerprint = fingerprint
        self.encoder_fingerprint = stands_for.encoder_fingerprint
        self.forward_seconds = 0.0
        self.seconds: dict[str, float] = {}
        self.needs = None

    def observe(
        self, posts: Sequence[Post], photos: Sequence[Photo | None], statuses: Sequence[str]
    ) -> list[Observation]:
        """Refuse.

        Raises:
            StoreMismatch: always.
        """
        raise StoreMismatch(
            f"what was seen in post {posts[0].example_id} is not in the store. {_WAY_OUT}"
        )

    def embed_texts(self, texts: Sequence[str]) -> Vector | None:
        """Return None where there is no encoder.

        Raises:
            StoreMismatch: there is one, and it would be needed.
        """
        self._refuse(f"{len(texts)} texts")
        return None

    def embed_images(self, images: Sequence[Image.Image]) -> Vector | None:
        """Return None where there is no encoder.

        Raises:
            StoreMismatch: there is one, and it would be needed.
        """
        self._refuse(f"{len(images)} images")
        return None

    def _refuse(self, what: str) -> None:
        if self.encoder_fingerprint:
            raise StoreMismatch(f"embeddings of {what} are not recorded. {_WAY_OUT}")


def refuse_missing(questions: Sequence[Questions]) -> None:
    """Refuse to curate anew without every recorded answer.

    Raises:
        StoreMismatch: some are missing.
    """
    missing = [f"{one.missing} to provider {one.provider}" for one in questions if one.missing]
    if missing:
        raise StoreMismatch(
            f"the answers to some questions are not recorded: {', '.join(missing)}. {_WAY_OUT}"
        )


def still_unfinished(example_id: str) -> Unfinished:
    """Return that a post, of which the store has no row, stays without one."""
    return Unfinished(example_id, f"it was not finished before. {_WAY_OUT}", unavailable=True)


def refuse_unfinished(posts: Iterable[Unfinished]) -> None:
    """Refuse to leave out posts that were finished.

    Raises:
        StoreMismatch: there is one.
    """
    for one in posts:
        raise StoreMismatch(f"post {one.example_id} cannot be curated anew: {one.reason}")
