"""Observed posts, a batch at a time: photos are loaded while the models look at the last ones."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cache.errors import RamieError
from cache.reading.parquet_reader import ParquetReader
from cache.records import Observation, Post
from retrieval.building.gather import EvidenceEncoder, Seen, Unfinished
from retrieval.building.stopwatch import Stopwatch
from retrieval.sight.photos import Photo, PhotoProblem, load_photo

# One batch ends with either: enough posts to fill the models' batches, or so many pixels that
# more decoded photos would only take memory (64 million are 192 MB).
_MOST_POSTS: Final = 64
_MOST_PIXELS: Final = 64_000_000

_log = logging.getLogger(__name__)


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

    def observe(
        self, posts: Sequence[Post], photos: Sequence[Photo | None], statuses: Sequence[str]
    ) -> list[Observation]:
        """Return one observation per post; nothing in it depends on the other posts."""
        ...


class _Loaded(NamedTuple):
    """Posts with their decoded photos, ready to be observed together."""

    posts: list[Post]
    photos: list[Photo | None]
    statuses: list[str]


class Sight:
    """Observes posts, or reads what an earlier build of the same store saw in them.

    Attributes:
        photo_problems: unusable photos of posts observed in this run, by reason.
        num_observed: posts observed in this run.
    """

    def __init__(
        self,
        observer: PostObserver,
        photos: Mapping[str, Path],
        earlier: ParquetReader | None,
        watch: Stopwatch,
    ) -> None:
        """Observe with ``observer`` what ``earlier`` has not.

        Args:
            observer: sees.
            photos: path by example id, of the posts that have one.
            earlier: a finished store with the same posts and observer, or None.
            watch: counts the time of the stages ``photos`` and ``observe``.
        """
        self._observer = observer
        self._photos = photos
        self._earlier = earlier
        self._known = frozenset(earlier.example_ids()) if earlier is not None else frozenset()
        self._watch = watch
        self._remembered: dict[str, Seen] = {}
        self.photo_problems: Counter[str] = Counter()
        self.num_observed = 0

    def see(self, posts: Sequence[Post]) -> Iterator[list[Seen | Unfinished]]:
        """Yield what is seen in ``posts``, in some order, a batch at a time."""
        unknown: list[Post] = []
        stored: list[Seen | Unfinished] = []
        for post in posts:
            seen = self._stored(post)
            if seen is None:
                unknown.append(post)
            else:
                stored.append(seen)
        if stored:
            yield stored
        yield from self._look(unknown)

    def remember(self, posts: Sequence[Post]) -> list[Seen]:
        """Return what is seen in ``posts``, as far as it can be, and keep it for `see`."""
        found = [one for batch in self.see(posts) for one in batch if isinstance(one, Seen)]
        self._remembered = {one.example_id: one for one in found}
        return found

    def _stored(self, post: Post) -> Seen | None:
        if post.example_id in self._remembered:
            return self._remembered[post.example_id]
        if self._earlier is None or post.example_id not in self._known:
            return None
        try:
            observation = self._earlier.read(post.example_id).observation
            key = observation.photo_key
            return Seen(observation, None if key is None else self._earlier.media(key))
        except RamieError as problem:
            _log.warning("post %s is observed again: %s", post.example_id, problem)
            return None

    def _look(self, posts: Sequence[Post]) -> Iterator[list[Seen | Unfinished]]:
        batches = self._load(posts)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="photos") as ahead:
            pending = ahead.submit(next, batches, None)
            while True:
                with self._watch.stage("photos"):
                    batch = pending.result()
                if batch is None:
                    return
                pending = ahead.submit(next, batches, None)
                with self._watch.stage("observe"):
                    found = self._observe(batch)
                self.num_observed += len(batch.posts)
                yield found

    def _load(self, posts: Sequence[Post]) -> Iterator[_Loaded]:
        batch, pixels = _Loaded([], [], []), 0
        for post in posts:
            photo, status = self._photo(post)
            batch.posts.append(post)
            batch.photos.append(photo)
            batch.statuses.append(status)
            pixels += 0 if photo is None else photo.media.width * photo.media.height
            if len(batch.posts) == _MOST_POSTS or pixels >= _MOST_PIXELS:
                yield batch
                batch, pixels = _Loaded([], [], []), 0
        if batch.posts:
            yield batch

    def _photo(self, post: Post) -> tuple[Photo | None, str]:
        """Return the photo of a post, and the status that its observation gets."""
        path = self._photos.get(post.example_id)
        if path is None:
            if post.photo_name:
                self.photo_problems["missing"] += 1
            return None, "missing" if post.photo_name else "none"
        try:
            return load_photo(path), "ok"
        except PhotoProblem as problem:
            _log.warning("post %s goes on without its photo: %s", post.example_id, problem)
            self.photo_problems[problem.reason] += 1
            return None, "missing" if problem.reason == "missing" else "unreadable"

    def _observe(self, batch: _Loaded) -> list[Seen | Unfinished]:
        try:
            observations = self._observer.observe(batch.posts, batch.photos, batch.statuses)
        except RamieError:
            raise  # the models cannot be used: no post can be observed
        except Exception as error:
            if len(batch.posts) > 1:
                # One post failed; alone, only that one does.
                singles = (_Loaded([p], [f], [s]) for p, f, s in zip(*batch, strict=True))
                return [found for single in singles for found in self._observe(single)]
            name = batch.posts[0].example_id
            _log.exception("post %s could not be observed", name)
            return [Unfinished(name, f"{type(error).__name__}: {error}", unavailable=False)]
        return [
            Seen(observation, None if photo is None else photo.media)
            for observation, photo in zip(observations, batch.photos, strict=True)
        ]
