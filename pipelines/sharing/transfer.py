"""Many files at once, each tried a few times; the first failure for good ends them all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from tqdm import tqdm

from pipelines.sharing.files import StoreFile
from pipelines.sharing.remote import Moved, Stopped, TransferFailed, WrongBytes

# Does the work for one file and returns how many bytes travelled for it.
Work = Callable[[StoreFile, Moved], int]

_ATTEMPTS: Final = 4
_FIRST_WAIT_S: Final = 0.5
_GRACE_S: Final = 1.0
_Result = TypeVar("_Result")


def persistently(action: Callable[[], _Result]) -> _Result:
    """Return what ``action`` returns, tried up to four times with growing waits.

    Raises:
        TransferFailed: the last failure.
    """
    for attempt in range(_ATTEMPTS - 1):
        try:
            return action()
        except WrongBytes:
            continue
        except TransferFailed:
            time.sleep(_FIRST_WAIT_S * 2**attempt)
    return action()


def transfer(
    files: Sequence[StoreFile], work: Work, *, what: str, num_bytes: int, threads: int
) -> dict[str, int]:
    """Work on every file, on a few threads, with a bar where the output is a terminal.

    Args:
        files: what to work on; large ones come first, so that no thread is left with one.
        work: is called for each, until it succeeds or has failed for good.
        what: is done, for the bar.
        num_bytes: that are expected to travel.
        threads: how many at once.

    Returns:
        How many bytes travelled, by name.
    """
    bar = tqdm(total=num_bytes, desc=what, unit="B", unit_scale=True, disable=None)
    with bar:
        crew = _Crew(files, work, bar.update)
        crew.run(min(threads, len(files)))
    return crew.travelled


class _Crew:
    """Threads that share a list of files."""

    def __init__(
        self, files: Sequence[StoreFile], work: Work, shown: Callable[[float], object]
    ) -> None:
        self.travelled: dict[str, int] = {}
        self._todo = deque(sorted(files, key=lambda file: -file.size_bytes))
        self._work = work
        self._shown = shown
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failures: list[BaseException] = []

    def run(self, number: int) -> None:
        # Daemons: a process that is interrupted does not wait for a server that is silent.
        workers = [threading.Thread(target=self._labour, daemon=True) for _ in range(number)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                while worker.is_alive():
                    worker.join(0.5)
        finally:
            self._stop.set()
            end = time.monotonic() + _GRACE_S
            for worker in workers:
                worker.join(max(0.0, end - time.monotonic()))
        if self._failures:
            raise self._failures[0]

    def _labour(self) -> None:
        while not self._stop.is_set():
            try:
                file = self._todo.popleft()
            except IndexError:
                return
            try:
                self.travelled[file.name] = persistently(partial(self._work, file, self._moved))
            except Stopped:
                return
            except BaseException as error:
                self._failures.append(error)
                self._stop.set()

    def _moved(self, num_bytes: int) -> None:
        if self._stop.is_set():
            raise Stopped
        with self._lock:
            self._shown(num_bytes)
