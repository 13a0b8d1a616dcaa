"""A build, simulated: the stages of `retrieval.building.line.Line`, with measured durations.

Models work in the thread that leads; asking, fetching, and curating with writing have a thread
each, but what is not a model's holds Python's lock; between them wait as many batches as in the
line itself. A cluster only takes the looking away from the leading machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.planning.events import Loop, Machine, Process, Signal, Worker
from pipelines.planning.lines import DrawnLine, answer_side_by_side
from retrieval.building.line import MOST_ASKING, MOST_FINISHING
from retrieval.sight.look import MOST_POSTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a batch of posts takes.

    Attributes:
        look_s: of a post, on all cores of the machine that looks.
        ask_s: of a post, on one core: files at hand, and reading answers.
        embed_s: of a post, on all cores of the leading machine.
        finish_s: of a post, on one core: curating and writing.
        fetch_s: of a post: waiting for pages and images.
    """

    look_s: float
    ask_s: float
    embed_s: float
    finish_s: float
    fetch_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """What a build runs on.

    Attributes:
        cores: of each machine.
        workers: machines that look; with 1 the leading machine looks itself.
        ahead: batches that each of several workers may have under way.
    """

    cores: int
    workers: int = 1
    ahead: int = 2


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of it.

    Attributes:
        seconds: that the posts took, from the first one looked at to the last one written.
        asking_s: of them, in which questions were under way.
        leading_core_s: core seconds of the leading machine.
        requests: to live providers, tries again included.
        unanswered: questions that were given up.
        events: that were simulated.
    """

    seconds: float
    asking_s: float
    leading_core_s: float
    requests: int
    unanswered: int
    events: int


class SimulatedLine:
    """Takes posts through all stages; for one `run`."""

    def __init__(
        self,
        costs: Costs,
        machines: Machines,
        lines: Sequence[DrawnLine],
        questions: Callable[[str, int], int],
    ) -> None:
        """Simulate with the given costs.

        Args:
            costs: of the stages.
            machines: that they run on.
            lines: to live providers; empty where only files at hand are asked.
            questions: (name of a provider, posts so far) -> its distinct questions so far.
        """
        self._costs = costs
        self._machines = machines
        self._lines = lines
        self._questions = questions
        self._loop = Loop()
        self._lead = Machine(self._loop, machines.cores)
        self._asker, self._fetcher = Worker(self._loop), Worker(self._loop)
        self._finisher, self._lock = Worker(self._loop), Worker(self._loop)
        self._asking: deque[tuple[int, Signal]] = deque()
        self._finishing: deque[Signal] = deque()
        self._asking_s = 0.0
        self._asked_posts = 0

    def run(self, posts: int) -> Simulated:
        """Take so many posts through; return what it took."""
        batches = [min(MOST_POSTS, posts - start) for start in range(0, posts, MOST_POSTS)]
        self._loop.start(self._lead_through(batches))
        seconds = self._loop.run()
        return Simulated(
            seconds,
            self._asking_s,
            self._lead.busy_core_s,
            sum(line.requests for line in self._lines),
            sum(line.unanswered for line in self._lines),
            self._loop.num_events,
        )

    def _lead_through(self, batches: Sequence[int]) -> Process:
        looked = self._look_elsewhere(batches) if self._machines.workers > 1 else None
        for index, size in enumerate(batches):
            if looked is None:
                yield self._lead.work(size * self._costs.look_s, self._machines.cores)
            else:
                yield looked(index)
            asked = self._asker.submit(self._ask(size))
            self._asking.append((size, self._fetcher.submit(self._fetch(size, asked))))
            yield from self._take(MOST_ASKING)
        yield from self._take(0)
        yield from self._settle(0)

    def _look_elsewhere(self, batches: Sequence[int]) -> Callable[[int], Signal]:
        """Let workers look ahead; return what tells when a batch, asked for in order, is seen."""
        workers, ahead = self._machines.workers, self._machines.ahead
        threads = [Worker(self._loop) for _ in range(workers)]
        seen: dict[int, Signal] = {}

        def give_out(until: int) -> None:
            for index in range(len(seen_so_far), min(until, len(batches))):
                seen_so_far.append(index)
                seconds = batches[index] * self._costs.look_s
                seen[index] = threads[index % workers].submit(self._wait(seconds))

        seen_so_far: list[int] = []

        def take(index: int) -> Signal:
            give_out(index + workers * ahead)
            return seen.pop(index)

        return take

    def _wait(self, seconds: float) -> Process:
        yield self._loop.sleep(seconds)

    def _ask(self, size: int) -> Process:
        began = self._loop.now
        yield self._in_python(size * self._costs.ask_s)
        before, self._asked_posts = self._asked_posts, self._asked_posts + size
        numbers = {
            line: self._questions(line.provider.name, self._asked_posts)
            - self._questions(line.provider.name, before)
            for line in self._lines
        }
        yield self._loop.sleep(answer_side_by_side(numbers, self._loop.now) - self._loop.now)
        self._asking_s += self._loop.now - began

    def _fetch(self, size: int, asked: Signal) -> Process:
        yield asked
        yield self._loop.sleep(size * self._costs.fetch_s)

    def _finish(self, size: int) -> Process:
        yield self._in_python(size * self._costs.finish_s)

    def _in_python(self, seconds: float) -> Signal:
        """Return the end of work that holds Python's lock: one thread at a time has it."""

        def hold() -> Process:
            yield self._lead.work(seconds)

        return self._lock.submit(hold())

    def _take(self, most: int) -> Process:
        while self._asking and (len(self._asking) > most or self._asking[0][1].done):
            size, answered = self._asking[0]
            yield answered
            yield self._lead.work(size * self._costs.embed_s, self._machines.cores)
            self._asking.popleft()
            self._finishing.append(self._finisher.submit(self._finish(size)))
            yield from self._settle(MOST_FINISHING)

    def _settle(self, most: int) -> Process:
        while self._finishing and (len(self._finishing) > most or self._finishing[0].done):
            yield self._finishing.popleft()
