"""Posts are looked at, batch after batch: photos are loaded while models look at the last ones."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from cache.errors import RamieError
from cache.records import Observation, Post
from retrieval.building.cases import Seen, Unfinished
from retrieval.building.gather import EvidenceEncoder
from retrieval.building.stopwatch import Stopwatch
from retrieval.building.worker import Worker
from retrieval.sight.loading import Lot, PhotoLoader, PhotoSource
from retrieval.sight.photos import Needs, Photo

# Posts in one batch: enough to fill the models' batches.
MOST_POSTS: Final = 64

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def in_batches(items: Sequence[_T]) -> list[Sequence[_T]]:
    """Return posts, or what belongs to each of them, in the batches that a build handles."""
    return [items[start : start + MOST_POSTS] for start in range(0, len(items), MOST_POSTS)]


class PostObserver(EvidenceEncoder, Protocol):
    """What sees posts; `Observer` is the real one."""

    @property
    def fingerprint(self) -> str:
        """What decides the observations; known without loading a model."""
        ...

    @property
    def forward_seconds(self) -> float:
        """Wall time inside forward passes so far."""
        ...

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall time so far of ``detect`` and of ``embed``; empty where nobody looks."""
        ...

    @property
    def needs(self) -> Needs | None:
        """How many pixels photos are to be decoded to; None means all. May load models."""
        ...

    def observe(
        self, posts: Sequence[Post], photos: Sequence[Photo | None], statuses: Sequence[str]
    ) -> list[Observation]:
        """Return one observation per post; nothing in it depends on the other posts."""
        ...


class Looked(NamedTuple):
    """What was seen in a batch of posts, in some order, and their unusable photos by reason."""

    found: list[Seen | Unfinished]
    photo_problems: Counter[str]


class Eyes(Protocol):
    """What looks at posts: this process, or a cluster."""

    @property
    def forward_seconds(self) -> float:
        """Wall time inside forward passes in other processes so far, all of them together."""
        ...

    def look(self, batches: Sequence[Sequence[Post]]) -> Iterator[Looked]:
        """Yield what is seen in each of ``batches``, in their order.

        Raises:
            RamieError: the models cannot be used, so that no post can be looked at.
        """
        ...


class LocalEyes:
    """Looks with the models of this process; see `Eyes`.

    At most two lots of decoded photos (`PhotoLoader`) are in memory: one that is looked at, and
    the next one.

    Attributes:
        forward_seconds: none, for there are no other processes.
    """

    forward_seconds: Final = 0.0

    def __init__(
        self,
        observer: PostObserver,
        photos: Mapping[str, PhotoSource],
        watch: Stopwatch,
        decoders: int | None = None,
    ) -> None:
        """Look with ``observer``.

        Args:
            observer: sees.
            photos: by example id, of the posts that have one.
            watch: counts the time of the stages ``decode``, ``detect`` and ``embed``; of an
                observer that does not tell detecting from embedding all is ``embed``.
            decoders: threads that decode; None takes one less than there are processors.
        """
        self._observer = observer
        self._watch = watch
        self._loader = PhotoLoader(photos, lambda: observer.needs, watch, decoders)

    def look(self, batches: Sequence[Sequence[Post]]) -> Iterator[Looked]:
        """Yield what is seen in each of ``batches``, in their order."""
        stop = threading.Event()
        lots = self._loader.load(batches, stop)
        ahead = Worker("photos")
        looked = Looked([], Counter())
        try:
            pending = ahead.submit(next, lots, None)
            while (lot := pending.result()) is not None:
                pending = ahead.submit(next, lots, None)
                looked.found.extend(lot.unfinished)
                if lot.posts:
                    looked.found.extend(self._observe_timed(lot))
                looked.photo_problems.update(lot.problems)
                if lot.ends_batch:
                    yield looked
                    looked = Looked([], Counter())
        finally:
            stop.set()
            ahead.stop()
            lots.close()

    def _observe_timed(self, lot: Lot) -> list[Seen | Unfinished]:
        before = self._observer.seconds.get("detect", 0.0)
        try:
            with self._watch.stage("embed"):
                return self._observe(lot.posts, lot.photos, lot.statuses)
        finally:
            if detect := self._observer.seconds.get("detect", 0.0) - before:
                self._watch.add("detect", detect)
                self._watch.add("embed", -detect)

    def _observe(
        self, posts: Sequence[Post], photos: Sequence[Photo | None], statuses: Sequence[str]
    ) -> list[Seen | Unfinished]:
        try:
            observations = self._observer.observe(posts, photos, statuses)
        except RamieError:
            raise  # the models cannot be used: no post can be observed
        except Exception as error:
            if len(posts) > 1:
                # One post failed; alone, only that one does.
                return [
                    found
                    for post, photo, status in zip(posts, photos, statuses, strict=True)
                    for found in self._observe([post], [photo], [status])
                ]
            name = posts[0].example_id
            _log.exception("post %s could not be observed", name)
            return [Unfinished(name, f"{type(error).__name__}: {error}", unavailable=False)]
        return [
            Seen(observation, None if photo is None else photo.media)
            for observation, photo in zip(observations, photos, strict=True)
        ]
