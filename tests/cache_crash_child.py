"""Run by test_cache_crash: builds a store and is killed at a chosen moment, again and again."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from cache_helpers import IDENTITY, build, files_of, image, shard, write

from cache import Recording, Recordings, StoreWriter

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


def _store(path: Path) -> None:
    build(path, 2, posts=3)


def _redo(path: Path) -> None:
    """Write a shard of a finished store again, with other content."""
    with StoreWriter(path, identity=IDENTITY, num_shards=2) as writer:
        write(writer, 0, shard(0, 2))
        writer.close({"posts": 5})


def _record(path: Path) -> None:
    with Recordings(path) as recordings:
        _put(recordings, range(2))


def _merge(path: Path) -> None:
    """Add to small segments; closing merges them."""
    with Recordings(path) as recordings:
        _put(recordings, range(3, 4))


def _put(recordings: Recordings, numbers: range) -> None:
    for number in numbers:
        recordings.put_segment([_answer(number)], [image(number)])


def _answer(number: int) -> Recording:
    return Recording(
        f"{number:064d}", "kb", "{}", "2026-01-01T00:00:00+00:00", b"answer %d" % number
    )


def _check_small(path: Path) -> None:
    """Fail unless every answer and image that was there before a merge is still there."""
    with Recordings(path) as recordings:
        for number in range(3):
            assert recordings.get(_answer(number).key) == _answer(number), number
            assert recordings.media(image(number).key) == image(number), number


def _in_child(work: Callable[[Path], None], path: Path, kill_at: int) -> int:
    """Return the signal that ended a child at ``work`` (0: it finished)."""
    global _kill_at
    pid = os.fork()
    if pid == 0:
        _kill_at = kill_at
        try:
            work(path)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status


def main(what: str, folder: Path) -> None:
    """Kill at every moment, resume, and compare with what an undisturbed run leaves."""
    work = {"store": _store, "redo": _redo, "record": _record, "merge": _merge}[what]
    start = folder / "start"
    if what == "redo":
        _store(start)
    else:
        start.mkdir()
        if what == "merge":
            # Never closed, as by a run that was killed: its segments stay small.
            _put(Recordings(start), range(3))
    shutil.copytree(start, folder / "plain")
    work(folder / "plain")
    expected = files_of(folder / "plain")
    moment = 0
    while True:
        path = folder / f"at-{moment}"
        shutil.copytree(start, path)
        killed = _in_child(work, path, moment)
        if what == "merge":
            _check_small(path)
        assert _in_child(work, path, -1) == 0
        found = files_of(path)
        if what in ("record", "merge"):
            # Half-written segments are never read; the store's writer removes them.
            found = {name: data for name, data in found.items() if ".tmp-" not in name}
        assert found == expected, (moment, sorted(found), sorted(expected))
        shutil.rmtree(path)
        if not killed:
            break
        moment += 1
    print(moment)


if __name__ == "__main__":
    sys.addaudithook(_watch)
    main(sys.argv[1], Path(sys.argv[2]))
