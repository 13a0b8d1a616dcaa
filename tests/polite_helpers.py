"""A clock that waits without waiting, and a client that answers from a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from retrieval.http.base import Request, Response

START = 1_700_000_000.0


@dataclass
class FakeClock:
    """Time passes only by waiting; every wait is noted."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        """Return the seconds waited so far."""
        return self.seconds

    def date(self) -> float:
        """Return a date that the waits move on."""
        return START + self.seconds

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        with self.lock:
            self.waits.append(seconds)
            self.seconds += seconds


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    """Return a response; ``retry_after="3"`` becomes the header ``retry-after: 3``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, "https://host.example/", named, body)


@dataclass
class ScriptedClient:
    """Gives one scripted response after the other; notes when each request came."""

    clock: FakeClock
    script: Sequence[Response | Exception | Callable[[], Response]]
    starts: list[float] = field(default_factory=list)
    takes_s: float = 0.0

    def send(self, request: Request) -> Response:
        """Return, or raise, what comes next in the script; its last entry is repeated."""
        place = min(len(self.starts), len(self.script) - 1)
        self.starts.append(self.clock.now())
        self.clock.seconds += self.takes_s
        one = self.script[place]
        if isinstance(one, Exception):
            raise one
        return one if isinstance(one, Response) else one()
