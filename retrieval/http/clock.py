"""Time as something that is passed in, so that pauses can be tested without pausing."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...

    def date(self) -> float:
        """Return seconds since 1970 (UTC), for dates that others name."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after ``seconds``."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def date(self) -> float:
        """Return seconds since 1970 (UTC)."""
        return time.time()

    def wait(self, seconds: float) -> None:
        """Return after ``seconds``; Ctrl-C in the main thread ends it at once."""
        time.sleep(seconds)
