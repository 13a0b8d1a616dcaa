"""A thread that does one job after the other, for stages of a build that overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Worker:
    """Does jobs in the order in which they came, until one fails; the rest is then cancelled.

    Not a `ThreadPoolExecutor`, whose threads the interpreter waits for at its end: after Ctrl-C a
    job that waits for a server has to be left behind, so the thread is a daemon.
    """

    def __init__(self, name: str) -> None:
        """Start a thread called ``name``."""
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(
        self,
        job: Callable[_Arguments, _Result],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> Future[_Result]:
        """Return the future result of ``job``; what it raises, waiting for the result raises."""
        future: Future[_Result] = Future()
        self._jobs.put(partial(self._do, future, partial(job, *arguments, **named)))
        return future

    def stop(self, wait: bool = True) -> None:
        """Begin no further job; ``wait`` for the end of the one at hand."""
        self._stopped.set()
        self._jobs.put(None)
        if wait:
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            # Neither job nor result is to live on in an idle thread: they hold photos.
            del job

    def _do(self, future: Future[_Result], job: Callable[[], _Result]) -> None:
        if self._stopped.is_set():
            future.cancel()
            return
        try:
            future.set_result(job())
        except BaseException as failure:  # raised again where the result is waited for
            self._stopped.set()
            future.set_exception(failure)
