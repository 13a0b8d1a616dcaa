"""The stages of a build at the same time: asking, fetching, curating while models look ahead."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from typing import Final, NamedTuple, TypeAlias

from cache.records import Post
from retrieval.building.cases import Case, Seen, Unfinished
from retrieval.building.gather import Gatherer
from retrieval.building.worker import Worker

# Batches that were looked at and wait for answers: asking may be slower for a while.
MOST_ASKING: Final = 4
# Batches with all their answers that wait to be curated and written.
MOST_FINISHING: Final = 2
# After a failure, or Ctrl-C, batches that have all they need are still finished for so long.
_PATIENCE_S: Final = 5.0


class Batch(NamedTuple):
    """Posts of one shard that go through the stages together.

    Attributes:
        shard: index of their shard.
        posts: some of its posts, in their order.
        start: how many of the shard's posts come before them.
        ends_shard: whether no post of the shard comes after them.
    """

    shard: int
    posts: Sequence[Post]
    start: int
    ends_shard: bool


# Takes a batch, its posts that could not be observed, and the others with all their answers.
Finish: TypeAlias = Callable[[Batch, list[Unfinished], list[Case]], None]


class Line:
    """Takes batches of posts through all stages, each batch in the order it came; for one `run`.

    All that models do is done by the thread that calls `run`: what looks at the next batch is an
    iterator, and hits without embeddings are embedded between two batches. Asking, fetching, and
    curating with writing have a thread each. Between them wait a few batches at most, however many
    there are.
    """

    def __init__(self, gatherer: Gatherer, finish: Finish) -> None:
        """Ask and fetch with ``gatherer``; call ``finish`` in a thread of its own."""
        self._gatherer = gatherer
        self._finish = finish
        self._asking: deque[_Asking] = deque()
        self._finishing: deque[Future[None]] = deque()
        self._asker, self._fetcher = Worker("ask"), Worker("fetch")
        self._finisher = Worker("curate and write")

    def run(self, batches: Sequence[Batch], seen: Generator[list[Seen | Unfinished]]) -> None:
        """Take ``batches`` through; ``seen`` looks at the next one each time it is asked to.

        What a stage raises is raised here, and so is Ctrl-C. Then nothing further is looked at,
        asked or fetched; what has all its answers is finished, if that takes seconds.
        """
        try:
            with closing(seen):
                for batch, found in zip(batches, seen, strict=True):
                    self._ask(batch, found)
                    self._take(MOST_ASKING)
            self._take(0)
            self._settle(0)
        except BaseException:
            self._gatherer.stop()
            self._finish_what_is_there()
            raise
        finally:
            # A server may keep these two waiting; what they record meanwhile does no harm.
            self._asker.stop(wait=False)
            self._fetcher.stop(wait=False)
            self._finisher.stop()

    def _ask(self, batch: Batch, found: list[Seen | Unfinished]) -> None:
        failed = [one for one in found if isinstance(one, Unfinished)]
        seen = [one for one in found if isinstance(one, Seen)]
        asked = self._asker.submit(self._gatherer.ask, seen)
        self._asking.append(_Asking(batch, failed, self._fetcher.submit(self._fetch, asked)))

    def _fetch(self, asked: Future[list[Case]]) -> list[Case]:
        cases = asked.result()
        self._gatherer.fetch(cases)
        return cases

    def _take(self, most: int) -> None:
        """Take on what has its answers; wait until at most so many batches have not."""
        while self._asking and (len(self._asking) > most or self._asking[0].answered.done()):
            cases = self._asking[0].answered.result()
            self._gatherer.embed(cases)
            self._submit(cases)
            self._settle(MOST_FINISHING)

    def _submit(self, cases: list[Case]) -> None:
        """Let the oldest batch that waited for answers be finished."""
        batch, failed, _ = self._asking.popleft()
        self._finishing.append(self._finisher.submit(self._finish, batch, failed, cases))

    def _settle(self, most: int) -> None:
        """Wait until at most so many batches are not finished."""
        while self._finishing and (len(self._finishing) > most or self._finishing[0].done()):
            self._finishing.popleft().result()

    def _finish_what_is_there(self) -> None:
        """Finish, within seconds, what needs neither models nor an answer that is not there."""
        end = time.monotonic() + _PATIENCE_S
        # What stopped the build is what the caller has to know, not what else fails, or a second
        # Ctrl-C.
        with suppress(BaseException):
            while self._asking:
                cases = self._asking[0].answered.result(max(end - time.monotonic(), 0))
                if self._gatherer.lacks_embeddings(cases):
                    break
                self._submit(cases)
        with suppress(BaseException):
            while self._finishing:
                self._finishing.popleft().result(max(end - time.monotonic(), 0))


class _Asking(NamedTuple):
    """A batch that waits for answers, and its posts that could not be observed."""

    batch: Batch
    failed: list[Unfinished]
    answered: Future[list[Case]]
