"""A discrete-event loop: processes that wait, work on a machine's cores, and hand things on.

A process is a generator. It yields what it waits for, and is resumed when that has come about:
`Loop.sleep`, `Machine.work`, another `Signal`. Nothing here is random, and nothing takes time.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

# Work of less than a nanosecond is done: what floats leave over must not become an event. After a
# year there are no nanoseconds: the next float is several away.
_NO_WORK_S: Final = 1e-9
_NO_WORK_ULPS: Final = 4


@dataclass(slots=True, eq=False)
class Signal:
    """Something that comes about once.

    Attributes:
        done: whether it has.
    """

    done: bool = False
    _waiting: list[Callable[[], None]] = field(default_factory=list)

    def fire(self) -> None:
        """Let it come about; whoever waits for it goes on at this very time."""
        self.done = True
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()

    def then(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` when it comes about; at once where it has."""
        if self.done:
            resume()
        else:
            self._waiting.append(resume)


Process: TypeAlias = Generator[Signal, None, None]


class Loop:
    """Runs processes in the order of their times; equal times in the order they were planned.

    Attributes:
        now: seconds since the start.
        num_events: that were run so far.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.num_events = 0
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Run ``action`` at ``time``."""
        self._number += 1
        heapq.heappush(self._planned, (time, self._number, action))

    def sleep(self, seconds: float) -> Signal:
        """Return what comes about after ``seconds``."""
        signal = Signal()
        self.at(self.now + seconds, signal.fire)
        return signal

    def start(self, process: Process) -> Signal:
        """Start ``process``; return what comes about at its end."""
        ended = Signal()

        def resume() -> None:
            # A loop, for a process may wait a million times for what has come about already.
            while True:
                awaited = next(process, None)
                if awaited is None:
                    ended.fire()
                    return
                if not awaited.done:
                    awaited.then(resume)
                    return

        self.at(self.now, resume)
        return ended

    def run(self) -> float:
        """Run until nothing is planned; return the time."""
        while self._planned:
            self.now, _, action = heapq.heappop(self._planned)
            self.num_events += 1
            action()
        return self.now


@dataclass(slots=True, eq=False)
class _Job:
    left_s: float
    cores: float
    done: Signal


class Machine:
    """Some cores that jobs share: more jobs than cores slow each other down alike.

    Attributes:
        busy_core_s: core seconds that were worked so far.
    """

    def __init__(self, loop: Loop, cores: float) -> None:
        """Have so many ``cores``."""
        self.busy_core_s = 0.0
        self._loop = loop
        self._cores = cores
        self._jobs: list[_Job] = []
        self._updated = 0.0
        self._plan = 0

    def work(self, seconds: float, cores: float = 1.0) -> Signal:
        """Return what comes about once work was done that takes ``seconds`` alone on ``cores``."""
        done = Signal()
        if seconds <= _NO_WORK_S:
            done.done = True
            return done
        self._advance()
        self._jobs.append(_Job(seconds, min(cores, self._cores), done))
        self._replan()
        return done

    def _speed(self) -> float:
        wanted = sum(job.cores for job in self._jobs)
        return min(1.0, self._cores / wanted) if wanted else 1.0

    def _advance(self) -> None:
        passed = (self._loop.now - self._updated) * self._speed()
        self._updated = self._loop.now
        for job in self._jobs:
            job.left_s -= passed
            self.busy_core_s += passed * job.cores

    def _replan(self) -> None:
        """Plan the end of the job that ends first; what was planned before no longer counts."""
        self._plan += 1
        if not self._jobs:
            return
        plan = self._plan
        first = min(job.left_s for job in self._jobs)
        wait = max(first, 0.0) / self._speed()
        self._loop.at(self._loop.now + wait, lambda: self._end(plan))

    def _end(self, plan: int) -> None:
        if plan != self._plan:
            return
        self._advance()
        nothing = max(_NO_WORK_S, _NO_WORK_ULPS * math.ulp(self._loop.now))
        ended = [job for job in self._jobs if job.left_s <= nothing]
        self._jobs = [job for job in self._jobs if job.left_s > nothing]
        self._replan()
        for job in ended:
            job.done.fire()


class Worker:
    """A thread that does one job after the other, as `retrieval.building.worker.Worker`."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._last = Signal(done=True)

    def submit(self, job: Process) -> Signal:
        """Return what comes about at the end of ``job``, which begins after all earlier ones."""
        before, ended = self._last, Signal()

        def follow() -> None:
            self._loop.start(job).then(ended.fire)

        before.then(follow)
        self._last = ended
        return ended
