"""Photos are decoded ahead of who looks at them, so many pixels at a time."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from cache.records import Post
from retrieval.building.cases import Unfinished
from retrieval.building.stopwatch import Stopwatch
from retrieval.sight.lots import PIXELS_TOGETHER, num_pixels
from retrieval.sight.photos import Needs, Photo, PhotoProblem, decode_image, load_photo

# Threads that decode: one is ahead of any CPU, a GPU eats what many decode.
_MOST_DECODERS: Final = 8

# Where the bytes of a photo are: in a file, or here; or why they are nowhere.
PhotoSource: TypeAlias = Path | bytes | PhotoProblem
_log = logging.getLogger(__name__)


class Lot(NamedTuple):
    """Posts with their decoded photos, ready to be observed together.

    Attributes:
        posts: all of a batch, or, where their photos are large, the next ones of it.
        photos: of each post; None without a usable one.
        statuses: ``photo_status`` of each post's observation.
        problems: unusable photos by reason.
        unfinished: posts beside these whose photos nobody could look at.
        ends_batch: whether these are the last posts of their batch.
    """

    posts: list[Post]
    photos: list[Photo | None]
    statuses: list[str]
    problems: Counter[str]
    unfinished: list[Unfinished]
    ends_batch: bool


class _Loaded(NamedTuple):
    """A photo with the status of its post's observation, and the reason why there is none."""

    photo: Photo | None
    status: str
    problem: str = ""


class PhotoLoader:
    """Decodes the photos of posts; see `load`."""

    def __init__(
        self,
        sources: Mapping[str, PhotoSource],
        needs: Callable[[], Needs | None],
        watch: Stopwatch,
        decoders: int | None = None,
    ) -> None:
        """Decode in ``decoders`` threads.

        Args:
            sources: by example id, of the posts that have a photo.
            needs: tells to how many pixels; asked once, when the first photo is needed.
            watch: counts the time of the stage ``decode``.
            decoders: threads; None takes one less than there are processors, up to eight.
        """
        self._sources = sources
        self._needs = needs
        self._watch = watch
        spare = len(os.sched_getaffinity(0)) - 1
        self._decoders = decoders or max(1, min(spare, _MOST_DECODERS))

    def load(
        self, batches: Sequence[Sequence[Post]], stop: threading.Event
    ) -> Generator[Lot | None]:
        """Yield the posts of all ``batches`` in order, with their photos; end early on ``stop``.

        A lot ends with its batch, or once it has `PIXELS_TOGETHER` decoded pixels. As many
        photos beyond it may have been decoded as there are threads.
        """
        needs = self._needs()
        with ThreadPoolExecutor(self._decoders, "decode") as pool:
            for batch in batches:
                loaded = zip(batch, self._loaded(batch, needs, pool), strict=True)
                num_left = len(batch)
                while num_left:
                    start = time.perf_counter()
                    lot = _lot(loaded, stop)
                    self._watch.add("decode", time.perf_counter() - start)
                    if stop.is_set():
                        return
                    num_left -= len(lot.posts) + len(lot.unfinished)
                    yield lot._replace(ends_batch=not num_left)
                    del lot

    def _loaded(
        self, batch: Sequence[Post], needs: Needs | None, pool: ThreadPoolExecutor
    ) -> Iterator[_Loaded | Unfinished]:
        """Yield the photo of each post, a few of them decoded ahead."""
        jobs = (pool.submit(self._photo, post, needs) for post in batch)
        pending: deque[Future[_Loaded | Unfinished]] = deque(islice(jobs, self._decoders))
        while pending:
            loaded = pending.popleft().result()
            pending.extend(islice(jobs, 1))
            yield loaded

    def _photo(self, post: Post, needs: Needs | None) -> _Loaded | Unfinished:
        source = self._sources.get(post.example_id)
        if source is None:
            return (
                _Loaded(None, "missing", "missing") if post.photo_name else _Loaded(None, "none")
            )
        try:
            if isinstance(source, PhotoProblem):
                raise source
            if isinstance(source, bytes):
                return _Loaded(decode_image(source, needs), "ok")
            return _Loaded(load_photo(source, needs), "ok")
        except PhotoProblem as problem:
            if problem.passing:
                # It was there when the data set was read: "could not look" is no "has none".
                reason = f"photo {post.photo_name}: {problem} Then build again."
                _log.warning("post %s waits for its photo: %s", post.example_id, problem)
                return Unfinished(post.example_id, reason, unavailable=False)
            _log.warning("post %s goes on without its photo: %s", post.example_id, problem)
            return _Loaded(None, "unreadable", problem.reason)


def _lot(loaded: Iterator[tuple[Post, _Loaded | Unfinished]], stop: threading.Event) -> Lot:
    """Return the next posts, until they have enough pixels or there are no more."""
    lot, pixels = Lot([], [], [], Counter(), [], False), 0
    for post, one in loaded:
        if isinstance(one, Unfinished):
            lot.unfinished.append(one)
        else:
            lot.posts.append(post)
            lot.photos.append(one.photo)
            lot.statuses.append(one.status)
            lot.problems.update([one.problem] if one.problem else [])
            pixels += 0 if one.photo is None else num_pixels(one.photo.pixels)
        if pixels >= PIXELS_TOGETHER or stop.is_set():
            break
    return lot
