"""Builds that can be disturbed, what they come to in peace, and whether a disturbed one did."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cache.checking.verify import verify_store
from cache.errors import InputError
from cache.files import TEMPORARY
from cache.manifest import MANIFEST_NAME
from pipelines.soak.children import answer, ended, fork, import_what_is_imported_by
from pipelines.soak.subject import Order, differing, digests, recorded, subject
from pipelines.soak.watched import Watched


class Seen(NamedTuple):
    """What a store holds: digests of files and of recordings, and problems if it is complete."""

    files: dict[str, str]
    answers: dict[str, str]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """A build that can be disturbed, and what it comes to in peace.

    Attributes:
        name: of it.
        order: the build.
        start: the folder that it finds; None finds none.
        end: what it leaves.
        changes: how often each phase changes something on the disk.
        seconds: that it takes.
    """

    name: str
    order: Order
    start: Path | None
    end: Seen
    changes: Counter[int]
    seconds: float

    def begin(self, store: Path) -> Path:
        """Make ``store`` as the build finds it; return the file for what builds say."""
        shutil.rmtree(store, ignore_errors=True)
        if self.start is not None:
            shutil.copytree(self.start, store)
        log = store.with_suffix(".log")
        log.unlink(missing_ok=True)
        return log

    def finish(self, store: Path, log: Path, *, answers: bool = True) -> list[str]:
        """Build on to the end; return in what the store differs from that of the quiet build.

        Args:
            store: the folder.
            log: gets what the build says.
            answers: compare the recordings, too, by content.
        """
        code = self.build(store, log)
        seen = look(store, log, answers=answers)
        problems = [f"the build ended with {code}"] if code else []
        problems += [f"{name} differs" for name in differing(seen.files, self.end.files)]
        problems += [f"{path} is left behind" for path in store.rglob(f"{TEMPORARY}part-*")]
        if answers:
            lost = differing(seen.answers, self.end.answers)
            problems += [f"recording {key} differs" for key in lost] + list(seen.problems)
        return [f"{self.name}, at the end: {problem}" for problem in problems]

    def build(self, store: Path, log: Path, prepare: Callable[[], None] = lambda: None) -> int:
        """Build in a child after ``prepare``; return its exit code."""

        def work() -> int:
            prepare()
            return self.order.build(store)

        return ended(fork(work, log))


@contextmanager
def stories(folder: Path) -> Iterator[list[Story]]:
    """Yield stories, told in peace below ``folder``: while the API answers, others can be told."""
    with subject(folder) as what:
        first, log = folder / "fresh", folder / "in-peace.log"
        import_what_is_imported_by(lambda: what.fresh.build(folder / "warm-up"), log)
        told = [_tell("fresh", what.fresh, None, first, log)]
        for name, order in (("curated anew", what.anew), ("refreshed", what.refresh)):
            store = folder / name.replace(" ", "-")
            shutil.copytree(first, store)
            told.append(_tell(name, order, first, store, log))
        yield told


def look(store: Path, log: Path, *, answers: bool = True) -> Seen:
    """Return what a store holds, read in a child; without ``answers`` its files only."""

    def read() -> Seen:
        if not answers:
            return Seen(digests(store), {}, ())
        whole = (store / MANIFEST_NAME).exists()
        problems = verify_store(store).problems if whole else ()
        return Seen(digests(store), recorded(store), problems)

    return Seen(*answer(read, log))


def _tell(name: str, order: Order, start: Path | None, store: Path, log: Path) -> Story:
    begun = time.monotonic()
    child = Watched(order, store, log)
    child.run_on()
    seconds = time.monotonic() - begun
    end = look(store, log)
    if child.code or end.problems:
        raise InputError(
            f"the undisturbed build ended with {child.code}, and with {end.problems}. See {log}."
        )
    return Story(name, order, start, end, child.changes, seconds)
