"""A build in a child that tells which change of the disk it is about to make, and is killed."""

from __future__ import annotations

import os
import select
import time
from collections import Counter
from pathlib import Path

from pipelines.soak.children import ended, fork, kill
from pipelines.soak.moments import PHASES, tell_changes
from pipelines.soak.subject import Order

_ALL = 1 << 16


class Watched:
    """One run of a build; one of its methods is called, once.

    Attributes:
        code: with which it ended; negative if it was killed.
        changes: that it was about to make, by number of the phase.
        phase: of the last one.
        by_clock: whether it was killed at a moment that the clock chose.
    """

    def __init__(self, order: Order, store: Path, log: Path) -> None:
        """Start it; what it says goes to ``log``."""
        self.code = 0
        self.changes: Counter[int] = Counter()
        self.phase = PHASES[0]
        self.by_clock = False
        self._pipe, writing = os.pipe()

        def work() -> int:
            tell_changes(store, writing)
            return order.build(store)

        self._pid = fork(work, log)
        os.close(writing)

    def run_on(self) -> None:
        """Wait for its end."""
        while told := os.read(self._pipe, _ALL):
            self._note(told)
        self.code = ended(self._pid)
        os.close(self._pipe)

    def kill_after(self, seconds: float) -> None:
        """Kill it after so long, if it has not ended by then."""
        self.by_clock = True
        end = time.monotonic() + seconds
        while select.select([self._pipe], [], [], max(end - time.monotonic(), 0))[0]:
            told = os.read(self._pipe, _ALL)
            if not told:
                break
            self._note(told)
        self._kill()

    def kill_at(self, phase: int, nth: int, then_s: float) -> None:
        """Kill it ``then_s`` after it began the ``nth`` change of a phase, if it comes so far."""
        while self.changes[phase] < nth and (told := os.read(self._pipe, 1)):
            self._note(told)
        time.sleep(then_s)
        self._kill()

    def _kill(self) -> None:
        kill(self._pid)
        self.run_on()

    def _note(self, told: bytes) -> None:
        self.changes.update(told)
        self.phase = PHASES[told[-1]]
