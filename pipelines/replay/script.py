"""What the replay server is to do, and a memory of what it did."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.replay.faults import Faults


@dataclass(frozen=True, slots=True)
class Logged:
    """One request as it was answered.

    Attributes:
        method: ``GET`` or ``POST``.
        path: without query string.
        query: the query string, as sent.
        question: API and what it was asked, without what else is in the query; empty for pages
            and images. Equal questions are equal texts.
        status: of the response.
        answered: whether the response was a sound answer of the API (or the page, or image).
        user_agent: as sent.
    """

    method: str
    path: str
    query: str
    question: str
    status: int
    answered: bool
    user_agent: str


class Script:
    """What the server is to do, and what it did; threads share it.

    Attributes:
        faults: what goes wrong with the APIs; may be set between requests.
        address: scheme, host and port of the server.
    """

    def __init__(self, faults: Faults, log_file: Path | None) -> None:
        """Remember in memory, and in ``log_file`` as one JSON line per request."""
        self.faults = faults
        self.address = ""
        self._log: list[Logged] = []
        self._log_file = log_file
        self._times_asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    @property
    def log(self) -> list[Logged]:
        """The requests so far, in the order in which they came."""
        with self._lock:
            return list(self._log)

    def next_place(self, question: str) -> int:
        """Return how often ``question`` was asked before, and count it."""
        with self._lock:
            self._times_asked[question] += 1
            return self._times_asked[question] - 1

    def remember(self, request: Logged) -> None:
        """Add a request to the log."""
        with self._lock:
            self._log.append(request)
            if self._log_file is not None:
                with self._log_file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(request)) + "\n")

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``, or when the server closes."""
        self._closing.wait(seconds)

    def close(self) -> None:
        """Wake whoever sleeps."""
        self._closing.set()
