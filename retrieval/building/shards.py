"""Posts in shards, and a shard taken all the way: seen, asked about, curated, written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from cache.records import Dropped, Example, Media, Post, StoredExample
from cache.writing.writer import StoreWriter
from retrieval.building.gather import Gatherer, Seen, Unfinished
from retrieval.building.progress import BuildProgress
from retrieval.building.recurate import refuse_unfinished, still_unfinished
from retrieval.datasets import Dataset
from retrieval.sight.sight import Sight


class Shards:
    """Which post is in which shard: by id alone, so neither split nor label decides anything.

    Attributes:
        num_posts: in all of them.
        mine: indices of those that this run is about.
    """

    def __init__(self, dataset: Dataset, size: int, part: tuple[int, int] | None = None) -> None:
        """Put ``size`` posts into each; ``part`` (number, of) is what this run is about."""
        self.num_posts = len(dataset.examples)
        self._examples = sorted(dataset.examples, key=lambda one: one.post.example_id)
        self._size = size
        number, of = part or (1, 1)
        self.mine = frozenset(range((number - 1) * len(self) // of, number * len(self) // of))

    def todo(self, finished: AbstractSet[int], redo: AbstractSet[int]) -> list[int]:
        """Return which to write; those of others only where nobody has begun them."""
        missing = set(range(len(self))) - finished
        return sorted(missing | (self.mine & redo))

    def __len__(self) -> int:
        """Return how many there are."""
        return -(-self.num_posts // self._size)

    def __getitem__(self, index: int) -> Sequence[Example]:
        """Return the posts of one, with their annotations."""
        return self._examples[index * self._size : (index + 1) * self._size]

    def posts(self, indices: Iterable[int]) -> list[Post]:
        """Return the posts of some shards."""
        return [one.post for index in indices for one in self[index]]


class ShardBuilder:
    """Takes shards all the way; each is final before the next one is begun.

    Attributes:
        gatherer: finds the evidence of their posts.
        num_written: shards written so far; one that is written twice counts twice.
    """

    def __init__(
        self,
        shards: Shards,
        sight: Sight,
        gatherer: Gatherer,
        writer: StoreWriter,
        bar: BuildProgress,
        only: frozenset[str] | None,
    ) -> None:
        """Take the posts with the ids ``only``, and leave none of them out; None takes all."""
        self._shards = shards
        self._sight = sight
        self.gatherer = gatherer
        self.num_written = 0
        self._writer = writer
        self._bar = bar
        self._only = only

    def stale(self, written: Iterable[int]) -> set[int]:
        """Return those of ``written`` whose evidence was compared with something else than now."""
        now = self.gatherer.compared_with
        mine = self._shards.mine.intersection(written)
        stale = {index for index in mine if self._writer.compared_with(index) != now}
        self._bar.again(len(self._shards.posts(stale)))
        return stale

    def build(self, todo: Sequence[int]) -> dict[int, list[Unfinished]]:
        """Write the shards ``todo``; return the posts of each that could not be finished."""
        return {index: self._build_shard(index) for index in todo}

    def _build_shard(self, index: int) -> list[Unfinished]:
        if index not in self._shards.mine:
            self._leave(index)
            return []
        examples = {one.post.example_id: one for one in self._shards[index]}
        seen: list[Seen] = []
        unfinished: list[Unfinished] = []
        posts = [one.post for one in examples.values()]
        if self._only is not None:
            unfinished += [still_unfinished(name) for name in examples if name not in self._only]
            posts = [post for post in posts if post.example_id in self._only]
        for batch in self._sight.see(posts):
            seen += [one for one in batch if isinstance(one, Seen)]
            unfinished += [one for one in batch if isinstance(one, Unfinished)]
            self._bar.posts(len(batch))
        rows: list[StoredExample] = []
        dropped: dict[str, tuple[Dropped, ...]] = {}
        media: dict[str, Media] = {}
        for post, found in zip(seen, self.gatherer.gather(seen), strict=True):
            if isinstance(found, Unfinished):
                unfinished.append(found)
                continue
            example = examples[post.example_id]
            rows.append(StoredExample(example, post.observation, found.evidence))
            dropped[post.example_id] = found.dropped
            media |= {image.key: image for image in found.media}
        if self._only is not None:
            refuse_unfinished(one for one in unfinished if one.example_id in self._only)
        with self.gatherer.watch.stage("write"):
            names = [one.example_id for one in unfinished]
            self._writer.write_shard(
                index, rows, dropped, media.values(), names, self.gatherer.compared_with
            )
        self.num_written += 1
        return unfinished

    def _leave(self, index: int) -> None:
        """Leave the posts of a shard to whoever builds its part."""
        names = [one.post.example_id for one in self._shards[index]]
        self._bar.posts(len(names))
        self._writer.write_shard(index, [], {}, (), names, self.gatherer.compared_with)
