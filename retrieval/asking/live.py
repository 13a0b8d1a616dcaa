"""Asking a live provider: one question at a time, within a budget, and not believing silence."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Final

from cache.errors import InputError, ProviderUnavailable
from cache.records import Hit, Query
from retrieval.http.breaker import Breaker
from retrieval.http.clock import Clock
from retrieval.providers.base import LiveProvider, query_key
from retrieval.settings import PoliteSettings

# So long, and for so many answers without hits in a row, one canary that was found vouches for
# them: few enough that a block which looks like silence is noticed soon.
_TRUST_S: Final = 300.0
_TRUSTED_ANSWERS: Final = 5
_log = logging.getLogger(__name__)


class BudgetSpent(ProviderUnavailable):
    """A limit of the run itself was reached; nobody failed."""


class Budget:
    """How much one run may ask, over all live providers."""

    def __init__(self, max_queries: int | None, max_minutes: float | None, clock: Clock) -> None:
        """Start counting; None sets no limit."""
        self._clock = clock
        self._max_queries = max_queries
        self._max_minutes = max_minutes
        self._num_asked = 0
        self._end = float("inf") if max_minutes is None else clock.now() + 60 * max_minutes
        self._lock = threading.Lock()

    def left_s(self) -> float:
        """Return the seconds in which something may still be asked."""
        return self._end - self._clock.now()

    def take(self) -> None:
        """Count a question that is about to be asked.

        Raises:
            BudgetSpent: it must not be asked.
        """
        if self.left_s() <= 0:
            raise BudgetSpent(
                f"not asked: ask.polite.max_minutes={self._max_minutes:g} are over. "
                "Run the build again to go on."
            )
        with self._lock:
            if self._max_queries is not None and self._num_asked >= self._max_queries:
                raise BudgetSpent(
                    f"not asked: ask.polite.max_queries={self._max_queries} were asked. "
                    "Run the build again to go on."
                )
            self._num_asked += 1


@dataclass(slots=True, eq=False)
class _Trust:
    """How long answers of one kind without hits are still believed."""

    until: float
    answers: int


class LiveLine:
    """The line to one live provider; see `answer`."""

    def __init__(
        self,
        provider: LiveProvider,
        k: int,
        polite: PoliteSettings,
        budget: Budget,
        clock: Clock,
        patient: bool,
    ) -> None:
        """Ask ``provider`` for ``k`` hits per question.

        Args:
            provider: is asked.
            k: hits per question.
            polite: when to leave it alone.
            budget: of the run.
            clock: tells the time.
            patient: whether to wait while the provider is left alone for the first time since it
                last answered; otherwise its questions fail at once.
        """
        self._provider = provider
        self._k = k
        self._budget = budget
        self._clock = clock
        self._patient = patient
        self._breaker = Breaker(polite.failures_to_break, polite.rest_s, clock)
        self._trust: dict[str, _Trust] = {}
        self._last_failure = ""

    def answer(self, query: Query) -> bytes:
        """Return a raw answer that can be read and believed.

        Raises:
            BudgetSpent: a limit of the run is reached.
            ProviderUnavailable: blocked, left alone, unreadable, or silent without being
                trustworthy.
        """
        self._admit()
        try:
            body = self._believed(query)
        except BudgetSpent:
            raise
        except ProviderUnavailable as problem:
            self._last_failure = str(problem)
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return body

    def _admit(self) -> None:
        """Return when the provider may be asked.

        Raises:
            ProviderUnavailable: it is to be left alone for longer than this run waits.
        """
        rest = self._breaker.rest_left_s()
        if rest <= 0:
            return
        name = self._provider.name
        if self._patient and self._breaker.openings == 1 and rest < self._budget.left_s():
            _log.warning(
                "provider %s keeps failing and is left alone for %.0f s: %s",
                name,
                rest,
                self._last_failure,
            )
            self._clock.wait(rest)
            return
        raise ProviderUnavailable(
            f"provider {name!r} keeps failing and is left alone for {rest:.0f} s. Run the build "
            f"again after that. Its last failure: {self._last_failure}"
        )

    def _believed(self, query: Query) -> bytes:
        body = self._ask(query)
        if self._read(query, body):
            return body
        canary = self._provider.canary(query)
        kind = query_key(self._provider, canary, self._k)
        trust = self._trust.get(kind)
        if trust is None or trust.answers <= 0 or trust.until <= self._clock.now():
            if not self._read(canary, self._ask(canary)):
                raise ProviderUnavailable(
                    f"provider {self._provider.name!r} finds nothing at all, not even for "
                    f"{canary.text or canary.image_key!r}: a block in disguise. Run the build "
                    "again later."
                )
            trust = self._trust[kind] = _Trust(self._clock.now() + _TRUST_S, _TRUSTED_ANSWERS)
        trust.answers -= 1
        return body

    def _ask(self, query: Query) -> bytes:
        self._budget.take()
        answer = self._provider.ask([query], self._k)[0]
        if isinstance(answer, ProviderUnavailable):
            raise answer
        return answer

    def _read(self, query: Query, body: bytes) -> list[Hit]:
        name = self._provider.name
        try:
            return self._provider.parse(query, body, "")
        except InputError as problem:
            why = str(problem)
        except Exception as error:  # what others send must not stop the build
            _log.exception("an answer of provider %s could not be read", name)
            why = type(error).__name__
        raise ProviderUnavailable(
            f"provider {name!r} gave an answer that cannot be read ({why}). Run the build again; "
            "if it stays so, check the provider's settings."
        )
