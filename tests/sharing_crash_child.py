"""Run by test_push_pull: pushes or pulls and is killed at a chosen moment, again and again."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from cache_helpers import files_of
from sharing_helpers import change_store, make_store, shown, travelling

from pipelines.sharing.pull import PullOptions, pull
from pipelines.sharing.push import PushOptions, push

# Before each of these the process may die; together they are all that changes a file system.
_EVENTS = {"os.rename", "os.remove", "os.truncate", "os.mkdir"}
_count = 0
_kill_at = -1


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    global _count
    flags = arguments[2] if event == "open" and len(arguments) > 2 else 0
    writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
    if _kill_at >= 0 and (event in _EVENTS or writes):
        if _count == _kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        _count += 1


def _in_child(work: Callable[[], object], kill_at: int) -> int:
    """Return the signal that ended a child at ``work`` (0: it finished)."""
    global _kill_at
    pid = os.fork()
    if pid == 0:
        _kill_at = kill_at
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status


def main(what: str, folder: Path) -> None:
    """Kill at every moment: there is the old store or the new one; then go on to the end."""
    old, new = folder / "old", folder / "new"
    manifests = [make_store(old)]
    shutil.copytree(old, new)
    manifests.append(change_store(new))
    expected = files_of(new)
    moment = 0
    while True:
        target = folder / f"at-{moment}"
        shutil.copytree(old, target)

        def work(target: Path = target) -> object:
            if what == "push":
                return push(new, str(target), PushOptions(prune=True, threads=1))
            return pull(str(new), target, PullOptions(threads=1))

        killed = _in_child(work, moment)
        assert shown(target) in manifests, moment
        assert _in_child(work, -1) == 0
        assert travelling(target) == expected, moment
        shutil.rmtree(target)
        if not killed:
            break
        moment += 1
    print(moment)


if __name__ == "__main__":
    sys.addaudithook(_watch)
    main(sys.argv[1], Path(sys.argv[2]))
