"""When a question was asked, as recordings say it."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from cache.errors import InputError

_EPOCH = "SOURCE_DATE_EPOCH"


def time_of_asking() -> str:
    """Return the time now as ISO 8601 (UTC, seconds).

    ``SOURCE_DATE_EPOCH`` (seconds since 1970) stands for now where it is set, so that two builds
    with equal answers give equal bytes. Source: reproducible-builds.org/specs/source-date-epoch.

    Raises:
        InputError: the variable is no such number.
    """
    return _now().isoformat(timespec="seconds")


def age_days(asked_at: str) -> float:
    """Return for how many days an answer has been known; infinite where its date is unreadable."""
    try:
        then = datetime.fromisoformat(asked_at)
        return (_now() - then).total_seconds() / 86400
    except (ValueError, TypeError):
        return float("inf")


def _now() -> datetime:
    value = os.environ.get(_EPOCH)
    if value is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(value), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{_EPOCH}={value!r} is no number of seconds since 1970. Correct or unset it."
        ) from error
