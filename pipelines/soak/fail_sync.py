"""A disk that fails to keep what is synced: the build stops, and the next one is not fooled."""

from __future__ import annotations

import argparse
import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.options import note
from pipelines.soak.children import answer
from pipelines.soak.outcome import add_options, conclude, working_folder
from pipelines.soak.stories import Story, stories

HELP = "let the nth fsync of a build fail (EIO) and lose what it was to keep, for every n"
_EXPLAINED = ("Input/output error", "run the same command again")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the soak takes."""
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="only each Nth fsync (default: all)"
    )
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Fail, and print what came of it; 1 where something was not as it must be."""
    with working_folder(options.work) as folder:
        result = soak(folder, options.every, options.seed, note)
    return conclude(result, options.json)


def soak(folder: Path, every: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Let one fsync after the other fail, in every story; return what came of it.

    Args:
        folder: empty.
        every: only each so-manieth fsync.
        seed: which one is the first.
        say: told how far it is.

    Raises:
        InputError: a step of the soak itself failed.
    """
    syncs: dict[str, int] = {}
    failed, problems = 0, []
    with stories(folder) as told:
        for story in told:
            store = folder / "store"
            syncs[story.name] = number = _num_syncs(story, store)
            for nth in range(1 + seed % every, number + 1, every):
                failed += 1
                problems += _fail(story, store, nth)
                if failed % 10 == 0:
                    say(f"{story.name}: fsync {nth} of {number}, {len(problems)} problems")
    return {"fsyncs of a build": syncs, "fsyncs that failed": failed, "problems": problems}


class FailingSync:
    """Its `sync` takes the place of ``os.fsync``: one call fails, and loses what it was to keep.

    As with the caches of a kernel, a later call neither fails nor brings it back.

    Attributes:
        calls: so far.
    """

    def __init__(self, nth: int) -> None:
        """Let the ``nth`` call fail, from 1; 0 lets none."""
        self.calls = 0
        self._nth = nth
        self._kept: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()
        self._real = os.fsync

    def sync(self, fd: Any) -> None:
        """Sync a file, or fail."""
        status = os.fstat(fd)
        name = (status.st_dev, status.st_ino)
        with self._lock:
            self.calls += 1
            fails = self.calls == self._nth
        if fails:
            if stat.S_ISREG(status.st_mode):
                self._lose(fd, self._kept.get(name, 0), status.st_size)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._real(fd)
        self._kept[name] = status.st_size

    def _lose(self, descriptor: int, start: int, end: int) -> None:
        # A file that was opened to append writes there whatever it is told.
        with Path(f"/proc/self/fd/{descriptor}").open("r+b") as file:
            file.seek(start)
            file.write(bytes(end - start))


def _num_syncs(story: Story, store: Path) -> int:
    log = story.begin(store)
    counting = FailingSync(0)

    def count() -> int:
        os.fsync = counting.sync
        story.order.build(store)
        return counting.calls

    return int(answer(count, log))


def _fail(story: Story, store: Path, nth: int) -> list[str]:
    log = story.begin(store)

    def prepare() -> None:
        os.fsync = FailingSync(nth).sync

    code = story.build(store, log, prepare)
    said = log.read_text(errors="replace")
    problems = [f"ended with {code}"] if code not in (0, 1) else []
    if "Traceback" in said or not all(part in said for part in _EXPLAINED):
        problems.append("is not explained")
    problems += story.finish(store, log)
    return [f"{story.name}, fsync {nth}: {problem}" for problem in problems]
