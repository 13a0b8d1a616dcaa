"""Ctrl-C at a moment that a test names, in the process of the test itself."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest


def seconds_after_ctrl_c(work: Callable[[], object], when: Callable[[], object]) -> float:
    """Return for how long ``work`` goes on after Ctrl-C, which comes as soon as ``when`` is true.

    ``when`` may be true only while ``work`` is at it.
    """
    main = threading.main_thread().ident
    assert main is not None
    pressed: list[float] = []
    over = threading.Event()

    def press() -> None:
        while not when():
            if over.wait(0.01):
                return
        pressed.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    def begin() -> None:
        threading.Thread(target=press, daemon=True).start()
        work()

    try:
        # From the first line of it on: the process may stand still anywhere.
        with pytest.raises(KeyboardInterrupt):
            begin()
    finally:
        over.set()
    return time.monotonic() - pressed[0]
