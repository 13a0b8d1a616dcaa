"""Observed posts: looked at now, or read from what an earlier build saw in them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TypeAlias

from cache.errors import RamieError
from cache.reading.parquet_reader import ParquetReader
from cache.records import Post
from retrieval.building.cases import Seen, Unfinished
from retrieval.sight.look import Eyes, in_batches

_Batches: TypeAlias = Sequence[Sequence[Post]]
_Looks: TypeAlias = Generator[list[Seen | Unfinished]]
_log = logging.getLogger(__name__)


class Sight:
    """Observes posts, or reads what an earlier build of the same store saw in them.

    Attributes:
        photo_problems: unusable photos of posts observed in this run, by reason.
        num_observed: posts observed in this run.
    """

    def __init__(self, eyes: Eyes, earlier: ParquetReader | None) -> None:
        """Look with ``eyes`` at what ``earlier`` has not.

        Args:
            eyes: look.
            earlier: a finished store with the same posts and observer, or None.
        """
        self._eyes = eyes
        self._earlier = earlier
        self._known = frozenset(earlier.example_ids()) if earlier is not None else frozenset()
        self._remembered: dict[str, Seen | Unfinished] = {}
        self._expected: tuple[_Batches, _Looks] | None = None
        self.photo_problems: Counter[str] = Counter()
        self.num_observed = 0

    def remember(self, posts: Sequence[Post], then: _Batches) -> list[Seen]:
        """Return what is seen in ``posts``, as far as it can be, and keep it for `see`.

        Args:
            posts: are looked at.
            then: what `see` will be asked for next: it is looked at without a break, for eyes may
                take long to open.
        """
        batches = in_batches(posts)
        kept = {post.example_id for post in posts}
        fresh = self._fresh(batches)
        later = [[post for post in batch if post.example_id not in kept] for batch in then]
        looks = self._look([*fresh, *self._fresh(later)])
        found = [one for batch in self._see(batches, looks) for one in batch]
        self._remembered = {one.example_id: one for one in found}
        self._expected = (then, looks)
        return [one for one in found if isinstance(one, Seen)]

    def see(self, batches: _Batches) -> _Looks:
        """Yield what is seen in each of ``batches``, in some order within the batch."""
        expected, self._expected = self._expected, None
        if expected is not None and expected[0] == batches:
            looks = expected[1]
        else:
            if expected is not None:
                expected[1].close()
            looks = self._look(self._fresh(batches))
        with closing(looks):
            yield from self._see(batches, looks)

    def close(self) -> None:
        """Look no further at what was expected."""
        if self._expected is not None:
            self._expected[1].close()
            self._expected = None

    def _see(self, batches: _Batches, looks: _Looks) -> _Looks:
        for batch, fresh in zip(batches, self._fresh(batches), strict=True):
            yield self._read(batch) + (next(looks) if fresh else [])

    def _fresh(self, batches: _Batches) -> list[list[Post]]:
        return [[post for post in batch if not self._is_known(post)] for batch in batches]

    def _is_known(self, post: Post) -> bool:
        return post.example_id in self._remembered or post.example_id in self._known

    def _look(self, batches: _Batches) -> _Looks:
        batches = [batch for batch in batches if batch]
        if not batches:
            return
        looked = self._eyes.look(batches)
        for batch, (found, problems) in zip(batches, looked, strict=True):
            self.num_observed += len(batch)
            self.photo_problems.update(problems)
            yield found

    def _read(self, posts: Sequence[Post]) -> list[Seen | Unfinished]:
        """Return what is known of those of ``posts`` that were seen before."""
        found: list[Seen | Unfinished] = []
        damaged: list[Post] = []
        for post in filter(self._is_known, posts):
            seen = self._remembered.get(post.example_id) or self._stored(post)
            if seen is None:
                damaged.append(post)
            else:
                found.append(seen)
        for again in self._look([damaged] if damaged else []):
            found += again
        return found

    def _stored(self, post: Post) -> Seen | None:
        if self._earlier is None:
            return None
        try:
            observation = self._earlier.read(post.example_id).observation
            key = observation.photo_key
            return Seen(observation, None if key is None else self._earlier.media(key))
        except RamieError as problem:
            _log.warning("post %s is observed again: %s", post.example_id, problem)
            return None
