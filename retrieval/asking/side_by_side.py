"""Several jobs at the same time, and Ctrl-C that does not wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def run_side_by_side(jobs: Sequence[Callable[[], None]], stop: threading.Event) -> None:
    """Run ``jobs`` at the same time; return when all are done.

    Args:
        jobs: each looks at ``stop`` now and then, and returns early when it is set.
        stop: is set when one of them failed, and on Ctrl-C.

    Raises:
        BaseException: what the first of them to fail raised, once the others have returned.
        KeyboardInterrupt: at once; a job that waits for a server is left to itself.
    """
    if len(jobs) == 1:
        # In this thread, where Ctrl-C ends even a wait for a server.
        jobs[0]()
        return
    failures: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as failure:  # raised again below, in the caller's thread
            failures.append(failure)
            stop.set()

    # Daemons, for the interpreter would wait for others at its end.
    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        raise
    if failures:
        raise failures[0]
