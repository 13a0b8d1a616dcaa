"""Where the wall time of a build goes, stage by stage; stages may overlap."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# In these a build itself is at work; while it only loads photos, or waits for answers, it is not.
_WORK: Final = frozenset({"detect", "embed", "curate", "write", "features"})


class Stopwatch:
    """Adds up wall time by stage, from any thread.

    Attributes:
        seconds: by the name of the stage; stages that overlap count side by side, so that the sum
            may be more than the wall time.
        working_seconds: wall time in which at least one stage that is work was under way:
            detecting, embedding, curating, writing, making features.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.working_seconds = 0.0
        self._lock = threading.Lock()
        self._num_working = 0
        self._working_since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the block for stage ``name``, however the block ends."""
        start = time.perf_counter()
        self._work(name, 1)
        try:
            yield
        finally:
            self._work(name, -1)
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Count time for stage ``name`` that was measured elsewhere; negative takes it back."""
        with self._lock:
            self.seconds[name] += seconds

    def _work(self, name: str, change: int) -> None:
        if name not in _WORK:
            return
        with self._lock:
            now = time.perf_counter()
            if self._num_working == 0:
                self._working_since = now
            self._num_working += change
            if self._num_working == 0:
                self.working_seconds += now - self._working_since
