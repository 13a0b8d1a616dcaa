"""The pace at which a host is asked: not too often, not too much at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from retrieval.http.clock import Clock


@dataclass(slots=True, eq=False)
class _Host:
    """What is known of one host.

    Attributes:
        places: free places for requests under way.
        next_start: on the clock: no request starts earlier.
    """

    places: threading.Semaphore
    next_start: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class HostPace:
    """Lets requests to each host begin one after the other, ``seconds_between`` apart."""

    def __init__(self, seconds_between: float, together: int, clock: Clock) -> None:
        """Let at most ``together`` requests be under way at one host at a time."""
        self._seconds_between = seconds_between
        self._together = together
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, url: str) -> Iterator[None]:
        """Wait until a request to the host of ``url`` may start; it is under way in the block."""
        host = self._host(url)
        with host.places:
            while (pause := self._book(host)) > 0:
                self._clock.wait(pause)
            yield

    def hold(self, url: str, seconds: float) -> None:
        """Let no request to the host of ``url`` start for so long."""
        host = self._host(url)
        with host.lock:
            host.next_start = max(host.next_start, self._clock.now() + seconds)

    def _book(self, host: _Host) -> float:
        """Take the turn and return 0, or return how long it is still to wait.

        Asked again after the wait: in the meantime the host may have been put on hold.
        """
        with host.lock:
            now = self._clock.now()
            if now < host.next_start:
                return host.next_start - now
            host.next_start = now + self._seconds_between
            return 0.0

    def _host(self, url: str) -> _Host:
        try:
            name = urlsplit(url).hostname or ""
        except ValueError:
            name = ""  # no address: the client refuses it
        with self._lock:
            if name not in self._hosts:
                self._hosts[name] = _Host(threading.Semaphore(self._together))
            return self._hosts[name]
