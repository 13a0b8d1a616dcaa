"""Builds in processes of their own, each in its own group: forked, so that none has to start up.

The process that forks has one thread only, and so leaves to children whatever may start others.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from cache.errors import InputError
from pipelines.replay.server import ReplayServer

_BROKEN: Final = 99


def fork(work: Callable[[], int], log: Path) -> int:
    """Return the process id of a child at ``work``, in a group of its own.

    It ends with what ``work`` returns, or with 99 where an error escapes; what it says goes to
    the end of ``log``.
    """
    pid = os.fork()
    if pid:
        # The child does the same: whoever comes first.
        with suppress(ProcessLookupError, PermissionError):
            os.setpgid(pid, pid)
        return pid
    code = _BROKEN
    try:
        os.setpgid(0, 0)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a child; return its exit code, or the negative number of what killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(pid: int) -> None:
    """Kill a child's whole group, as a power switch would; one that has ended is left alone."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def answer(work: Callable[[], Any], log: Path) -> Any:
    """Return what ``work`` returns in a child, as JSON takes it.

    Raises:
        InputError: it failed; the message names the log.
    """
    reading, writing = os.pipe()

    def told() -> int:
        with os.fdopen(writing, "w") as pipe:
            json.dump(work(), pipe)
        return 0

    pid = fork(told, log)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    if code := ended(pid):
        raise InputError(f"a step of the soak ended with {code}, see {log}.")
    return json.loads(text)


def import_what_is_imported_by(work: Callable[[], object], log: Path) -> None:
    """Run ``work`` in a child, and import here what it imported, for all children to come."""

    def names() -> list[str]:
        work()
        return list(sys.modules)

    for name in answer(names, log):
        with suppress(ImportError):
            importlib.import_module(name)


@contextmanager
def serving() -> Iterator[str]:
    """Yield the address of a replay server in a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        try:
            with ReplayServer() as server:
                os.write(writing, server.address.encode())
                os.close(writing)
                parent = os.getppid()
                while os.getppid() == parent:
                    signal.sigtimedwait([], 1)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            yield pipe.read()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
