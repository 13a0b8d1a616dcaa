"""A circuit breaker: who keeps failing is left alone for a while."""

from __future__ import annotations

from retrieval.http.clock import Clock


class Breaker:
    """Opens after failures in a row; after a rest it lets one trial through.

    Source: M. Nygard, "Release It!" (2007), stability pattern "circuit breaker".

    Attributes:
        openings: how often it opened since the last success.
    """

    def __init__(self, failures_to_break: int, rest_s: float, clock: Clock) -> None:
        """Open after ``failures_to_break`` failures in a row, for ``rest_s``."""
        self.openings = 0
        self._failures_to_break = failures_to_break
        self._rest_s = rest_s
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    def rest_left_s(self) -> float:
        """Return how long it stays open; 0 where the next one may try."""
        return max(self._open_until - self._clock.now(), 0.0)

    def succeeded(self) -> None:
        """Hear that all is well."""
        self._failures = self.openings = 0

    def failed(self) -> None:
        """Hear of a failure; the failure of a trial opens it again at once."""
        self._failures += 1
        if self.openings or self._failures >= self._failures_to_break:
            self.openings += 1
            self._open_until = self._clock.now() + self._rest_s
