"""What a training writes about itself: a JSON line per evaluated epoch, figures for trackers."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from model.run import METRICS, write_atomically
from model.training.trackers import Tracker

_log = logging.getLogger(__name__)


class Journal:
    """Writes for one sitting. Only the first process of a training has one that writes."""

    def __init__(self, folder: Path, trackers: Sequence[Tracker]) -> None:
        self._path = folder / METRICS
        self._trackers = list(trackers)

    def epoch(self, record: Mapping[str, object]) -> None:
        """Add a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, sort_keys=True) + "\n")

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Show figures of a step."""
        for tracker in list(self._trackers):
            self._tell(tracker, functools.partial(tracker.log, step, figures))

    def close(self) -> None:
        """Have trackers write what is left."""
        for tracker in list(self._trackers):
            self._tell(tracker, tracker.close)

    def _tell(self, tracker: Tracker, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:
            # A training of days must not end because somebody's server does.
            _log.warning("a tracker failed and is left out from here on: %s", error)
            self._trackers.remove(tracker)


def forget_after(folder: Path, step: int) -> None:
    """Drop lines of steps that will be taken again (the run was killed between two saves)."""
    path = folder / METRICS
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _step_of(line) <= step]
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 1 << 62  # a line cut by a crash: drop it
