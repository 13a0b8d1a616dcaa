"""Posts in shards, and shards taken all the way: seen, asked about, curated, written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from cache.records import Example, Post
from cache.writing.writer import StoreWriter
from retrieval.building.cases import Case, Seen, Unfinished
from retrieval.building.gather import Gatherer
from retrieval.building.line import Batch, Line
from retrieval.building.progress import BuildProgress
from retrieval.building.recurate import refuse_unfinished, still_unfinished
from retrieval.building.shard_rows import ShardRows
from retrieval.datasets import Dataset
from retrieval.sight.look import MOST_POSTS, in_batches
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
    """Takes shards all the way; they become final in the order in which they were begun.

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
        self._open = ShardRows()
        self._unfinished: dict[int, list[Unfinished]] = {}

    def stale(self, written: Iterable[int]) -> set[int]:
        """Return those of ``written`` whose evidence was compared with something else than now."""
        now = self.gatherer.compared_with
        mine = self._shards.mine.intersection(written)
        stale = {index for index in mine if self._writer.compared_with(index) != now}
        self._bar.again(len(self._shards.posts(stale)))
        return stale

    def build(self, todo: Sequence[int]) -> dict[int, list[Unfinished]]:
        """Write the shards ``todo``; return the posts of each that could not be finished."""
        self._unfinished = {}
        for index in todo:
            if index not in self._shards.mine:
                self._leave(index)
        batches = [one for index in todo for one in self._batches_of(index)]
        seen = self._sight.see([batch.posts for batch in batches])
        Line(self.gatherer, self._finish).run(batches, seen)
        return self._unfinished

    def remember(self, reference: Sequence[Post], todo: Sequence[int]) -> list[Seen]:
        """Return what is seen in ``reference``; the posts of the shards ``todo`` are seen next."""
        batches = [one.posts for index in todo for one in self._batches_of(index)]
        return self._sight.remember(reference, batches)

    def _batches_of(self, index: int) -> Iterator[Batch]:
        """Yield the posts of a shard in batches, one at least; none of a shard of others."""
        if index not in self._shards.mine:
            return
        posts = self._shards.posts([index])
        if self._only is not None:
            posts = [post for post in posts if post.example_id in self._only]
        parts = in_batches(posts) or [()]
        for number, part in enumerate(parts, 1):
            yield Batch(index, part, MOST_POSTS * (number - 1), number == len(parts))

    def _finish(self, batch: Batch, failed: list[Unfinished], cases: list[Case]) -> None:
        """Curate a batch; with the last one of a shard, write the shard."""
        if batch.start == 0:
            self._open = ShardRows()
        shard = self._open
        if batch.start != shard.num_posts:
            raise RuntimeError(
                f"a batch of shard {batch.shard} got lost before post {batch.start}"
            )
        examples = {one.post.example_id: one for one in self._shards[batch.shard]}
        shard.unfinished += failed
        shard.add(cases, self.gatherer.curate(cases), examples)
        self._bar.posts(len(batch.posts))
        if batch.ends_shard:
            self._write(batch.shard, shard)

    def _write(self, index: int, shard: ShardRows) -> None:
        if self._only is not None:
            refuse_unfinished(one for one in shard.unfinished if one.example_id in self._only)
            names = [one.post.example_id for one in self._shards[index]]
            shard.unfinished += [still_unfinished(n) for n in names if n not in self._only]
        with self.gatherer.watch.stage("write"):
            missing = [one.example_id for one in shard.unfinished]
            shard.write(self._writer, index, missing, self.gatherer.compared_with)
        self.num_written += 1
        self._unfinished[index] = shard.unfinished
        self._open = ShardRows()

    def _leave(self, index: int) -> None:
        """Leave the posts of a shard to whoever builds its part."""
        names = [one.post.example_id for one in self._shards[index]]
        self._bar.posts(len(names))
        self._writer.write_shard(index, [], {}, (), names, self.gatherer.compared_with)
