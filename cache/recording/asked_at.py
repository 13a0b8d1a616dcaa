"""When a question was asked, as far as a recording that anybody wrote can be believed.

Of two answers to one question the later one counts, so a time that no clock has shown yet, or that
is no time at all, would keep every real answer out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

# The one form whose order as text is the order in time; a date alone comes before its day.
_FORM: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)?)?", re.ASCII
)
# Clocks of two machines differ, hardly by more.
_AHEAD: Final = timedelta(days=1)
Clock = Callable[[], datetime]


def latest_now() -> datetime:
    """Return the time now: that of the clock, or ``SOURCE_DATE_EPOCH`` where that is later.

    A build that fixes its time to a past one may still use what was recorded since, and one that
    fixes it to a later one uses what it records itself.
    """
    now = datetime.now(UTC)
    try:
        return max(now, datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC))
    except (KeyError, ValueError, OverflowError, OSError):
        return now


def believable(asked_at: str, now: datetime) -> str:
    """Return ``asked_at``, or an empty text (the earliest) where it cannot be a time of asking.

    Args:
        asked_at: should be an ISO 8601 time (UTC).
        now: times more than a day after it cannot be.
    """
    if not _FORM.fullmatch(asked_at):
        return ""
    try:
        then = datetime.fromisoformat(asked_at).replace(tzinfo=UTC)
    except ValueError:
        return ""
    return asked_at if then <= now + _AHEAD else ""
