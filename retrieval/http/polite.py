"""Requests that wait their turn, step back when they are not welcome, and give up in time."""

from __future__ import annotations

import logging
import random
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from cache.errors import ProviderUnavailable
from retrieval.http.base import Client, Judge, NoAnswer, Refused, Request, Response
from retrieval.http.clock import Clock, SystemClock
from retrieval.http.pace import HostPace
from retrieval.settings import PoliteSettings

# Longer waits are told to the person who looks on.
_WORTH_TELLING_S: Final = 10.0
_log = logging.getLogger(__name__)


class PoliteSender:
    """Sends the requests of one provider; see `retrieval.http.base.Sender`."""

    def __init__(
        self,
        client: Client,
        settings: PoliteSettings,
        provider: str,
        *,
        clock: Clock | None = None,
        pace: HostPace | None = None,
        seed: int = 0,
    ) -> None:
        """Send with ``client``, which sends once.

        Args:
            client: sends.
            settings: limits.
            provider: for whom, in messages.
            clock: tells the time; None means the machine's.
            pace: of the hosts, where several senders share it; None makes an own one.
            seed: of the random part of the pauses between tries.
        """
        self._client = client
        self._settings = settings
        self._provider = provider
        self._clock = clock or SystemClock()
        self._pace = pace or HostPace(settings.seconds_between, settings.together, self._clock)
        self._random = random.Random(seed)

    def send(self, request: Request, judge: Judge) -> Response:
        """Return the first response that ``judge`` takes as an answer.

        Raises:
            ProviderUnavailable: refused, blocked, or not reached; the message names the provider,
                the address without its parameters, the status and the way out.
        """
        problem = ""
        for attempt in range(self._settings.attempts):
            if attempt:
                self._wait(self._pause(attempt), request, problem)
            with self._pace.turn(request.url):
                try:
                    response = self._client.send(request)
                except NoAnswer as error:
                    problem = str(error)
                    continue
                except Refused as error:
                    way_out = "Change what is asked."
                    raise self._unavailable(request, str(error), way_out) from None
                verdict = judge(response)
                if verdict == "answer":
                    return response
                problem = f"status {response.status}"
                if verdict == "refused":
                    way_out = "Asking again will not help: check address, key and settings."
                    raise self._unavailable(request, problem, way_out)
                self._hold_back(request, response)
        tries = self._settings.attempts
        raise self._unavailable(request, f"{problem} ({tries} tries)", _LATER)

    def _pause(self, attempt: int) -> float:
        """Return how long to wait before a further try: exponential back-off with full jitter.

        Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        # An exponent that cannot overflow: 2**30 s are beyond every limit.
        longest = self._settings.first_pause_s * 2.0 ** min(attempt - 1, 30)
        return self._random.uniform(0, min(longest, self._settings.longest_wait_s))

    def _hold_back(self, request: Request, response: Response) -> None:
        """Leave the host alone for as long as it asks for, or give up if that is too long."""
        asked_for = retry_after(response, self._clock.date())
        if asked_for is None:
            return
        longest = self._settings.longest_wait_s
        if asked_for > longest:
            why = (
                f"status {response.status}, and it asks to be left alone for {asked_for:.0f} s, "
                f"more than ask.polite.longest_wait_s={longest:g}"
            )
            raise self._unavailable(request, why, _LATER)
        if asked_for >= _WORTH_TELLING_S:
            _log.warning("provider %s asks for a pause of %.0f s", self._provider, asked_for)
        self._pace.hold(request.url, asked_for)

    def _wait(self, seconds: float, request: Request, problem: str) -> None:
        if seconds >= _WORTH_TELLING_S:
            place = _place(request.url)
            _log.warning("%s: %s; trying again in %.0f s", place, problem, seconds)
        self._clock.wait(seconds)

    def _unavailable(self, request: Request, why: str, way_out: str) -> ProviderUnavailable:
        place = _place(request.url)
        return ProviderUnavailable(
            f"provider {self._provider!r} could not be asked at {place}: {why}. {way_out}"
        )


_LATER: Final = (
    "Run the build again later; answers so far are kept. If it stays so, raise "
    "ask.polite.seconds_between."
)


def retry_after(response: Response, date: float) -> float | None:
    """Return for how many seconds from ``date`` a server asks to be left alone; None: not.

    Source: RFC 9110, section 10.2.3: a number of seconds, or an HTTP date.
    """
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        # More digits than any wait has; `int` refuses thousands of them.
        return float(value) if len(value) <= 12 else float("inf")
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(until.timestamp() - date, 0.0)


def _place(url: str) -> str:
    """Return scheme, host and path: neither credentials nor parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
