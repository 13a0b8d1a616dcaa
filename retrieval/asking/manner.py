"""How providers are asked in one run: who at all, how politely, how patiently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from retrieval.http.clock import Clock, SystemClock
from retrieval.providers.base import Provider, is_live
from retrieval.settings import PoliteSettings


@dataclass(frozen=True, slots=True)
class AskingOptions:
    """Who is asked in one run; machine facts, for they change no answer.

    Attributes:
        offline: live providers are not asked; their recordings answer.
        refresh_days: recorded answers of live providers that are older are asked for again; None
            keeps all.
        recurate_only: nobody is asked, whether live or not.
        part: (number, of) asks about the posts of one of so many parts, from 1; the others are
            left for somebody else. None asks about all.
    """

    offline: bool = False
    refresh_days: float | None = None
    recurate_only: bool = False
    part: tuple[int, int] | None = None

    def asks(self, provider: Provider) -> bool:
        """Return whether ``provider`` may be asked."""
        return not (self.recurate_only or (self.offline and is_live(provider)))


@dataclass(frozen=True, slots=True)
class Manner:
    """How providers are asked.

    Attributes:
        options: who is asked.
        polite: how live ones are treated.
        patient: whether to wait while a live one is left alone (`retrieval.asking.live.LiveLine`).
        clock: tells the time.
        progress: called after each question that a live provider was asked.
    """

    options: AskingOptions = AskingOptions()
    polite: PoliteSettings = field(default_factory=PoliteSettings)
    patient: bool = False
    clock: Clock = field(default_factory=SystemClock)
    progress: Callable[[], None] = lambda: None
