"""How long a live provider takes for its questions: pace, latency, failures, rests.

The rules are those of `retrieval.http.polite.PoliteSender`, `retrieval.http.pace.HostPace`,
`retrieval.http.breaker.Breaker` and `retrieval.asking.live.LiveLine`, with drawn outcomes in place
of a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.settings import PoliteSettings

# Drawn in one go.
_MOST_TOGETHER: Final = 100_000


@dataclass(frozen=True, slots=True)
class Provider:
    """A live provider as the simulation knows it.

    Attributes:
        name: of the provider.
        host: whose pace counts; providers at one host share it.
        latency_s: of one request.
        failing: share of the requests that are blocked or answered with what cannot be read.
        hold_s: pause that a failing answer asks for (``Retry-After``).
    """

    name: str
    host: str
    latency_s: float
    failing: float = 0.0
    hold_s: float = 0.0


class _Drawn(NamedTuple):
    """What becomes of questions.

    Attributes:
        tries: requests of each.
        retrying: seconds from the start of its first request to that of its last one.
        after: seconds from the start of its last request until another question may be asked.
        answered: whether it was.
    """

    tries: NDArray[np.int64]
    retrying: NDArray[np.float64]
    after: NDArray[np.float64]
    answered: NDArray[np.bool_]


class DrawnLine:
    """Answers questions of one provider, one after the other; knows how long that takes.

    Attributes:
        requests: sent so far, tries again included.
        unanswered: questions so far that were given up.
    """

    def __init__(self, provider: Provider, polite: PoliteSettings, seed: int) -> None:
        self.provider = provider
        self.requests = 0
        self.unanswered = 0
        self._polite = polite
        self._rng = np.random.default_rng(seed)
        self._failures = self._openings = 0
        self._open_until = 0.0
        self._next_start = 0.0

    def answer(self, number: int, now: float) -> float:
        """Return when ``number`` questions that come up at ``now`` are answered or given up."""
        while number > 0:
            some = min(number, _MOST_TOGETHER)
            now = self._answer(some, now)
            number -= some
        return now

    def _answer(self, number: int, now: float) -> float:
        drawn = self._draw(number)
        if drawn.answered.all() and self._failures == 0:
            between = float(drawn.retrying.sum() + drawn.after[:-1].sum())
            return self._send(int(drawn.tries.sum()), between, float(drawn.after[-1]), now)
        for one in range(number):
            rest = self._open_until - now
            if rest > 0:
                if self._openings > 1:
                    self.unanswered += 1
                    continue
                now += rest
            between, after = float(drawn.retrying[one]), float(drawn.after[one])
            now = self._send(int(drawn.tries[one]), between, after, now)
            self._judge(bool(drawn.answered[one]), now)
        return now

    def _send(self, tries: int, between_s: float, after_s: float, now: float) -> float:
        """Send so many requests; return when the last answer is there.

        Args:
            tries: requests.
            between_s: from the start of the first one to that of the last one.
            after_s: from the start of the last one to the next that may start.
            now: nothing starts earlier.
        """
        self.requests += tries
        last = max(now, self._next_start) + between_s
        self._next_start = last + after_s
        return last + self.provider.latency_s

    def _gap(self, failed: bool) -> float:
        """Return the time from the start of a request until another question may be asked."""
        hold = self.provider.hold_s if failed else 0.0
        return max(self.provider.latency_s + hold, self._polite.seconds_between)

    def _draw(self, number: int) -> _Drawn:
        polite, failing = self._polite, self.provider.failing
        tries, retrying = np.ones(number, np.int64), np.zeros(number)
        if not failing:
            after = np.full(number, self._gap(False))
            return _Drawn(tries, retrying, after, np.ones(number, np.bool_))
        failed = self._rng.random((number, polite.attempts)) < failing
        answered: NDArray[np.bool_] = np.logical_not(failed.all(axis=1))
        tries = np.where(answered, failed.argmin(axis=1) + 1, polite.attempts)
        for attempt in range(1, polite.attempts):
            # Exponential back-off with full jitter, as the sender has it.
            longest = min(
                polite.first_pause_s * 2.0 ** min(attempt - 1, 30), polite.longest_wait_s
            )
            pauses = np.maximum(self._rng.random(number) * longest, self.provider.hold_s)
            waited = np.maximum(self.provider.latency_s + pauses, polite.seconds_between)
            retrying += np.where(tries > attempt, waited, 0.0)
        after = np.where(answered, self._gap(False), self._gap(True))
        return _Drawn(tries, retrying, after, answered)

    def _judge(self, answered: bool, now: float) -> None:
        if answered:
            self._failures = self._openings = 0
            return
        self.unanswered += 1
        self._failures += 1
        if self._openings or self._failures >= self._polite.failures_to_break:
            self._openings += 1
            self._open_until = now + self._polite.rest_s


def answer_side_by_side(numbers: Mapping[DrawnLine, int], now: float) -> float:
    """Return when all lines have answered so many questions each, which come up at ``now``.

    Those that ask one host take turns at its pace: together they take as long as one would.
    """
    ends = [now]
    together: dict[str, list[float]] = {}
    for line, number in numbers.items():
        ends.append(line.answer(number, now))
        together.setdefault(line.provider.host, []).append(ends[-1] - now)
    ends += [now + sum(took) for took in together.values()]
    return max(ends)
