"""The folder in which a knowledge base grows: what is sealed in it survives a kill.

Files only ever grow, and ``state.json`` says how much of each is sealed; what a killed build wrote
beyond that is cut off when the next one goes on.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final, Literal

from pydantic import TypeAdapter, ValidationError

from cache.closing import Closing
from cache.files import write_atomically
from cache.keys import canonical_json
from cache.writing.lock import LOCK_NAME, WriterLock
from retrieval.kb.problems import ProblemLog, first_problems

STATE: Final = "state.json"
PROBLEMS: Final = "problems.jsonl"
RUNS: Final = "runs"
KB: Final = "kb"
_log = logging.getLogger(__name__)

Stage = Literal["collect", "embed", "finish"]


@dataclass
class State:
    """How far a build is.

    Attributes:
        identity: of what is built: sources, encoder, version. Another one begins anew.
        stage: what is under way.
        source: number of the source that is read.
        line: records of it that are in a run.
        runs: how many are sealed.
        documents: distinct ones, once all are sorted.
        embedded: of them, in order.
        offset: bytes of the sorted documents that these are.
        dimension: of the vectors, 0 while there are none.
        with_image: of the embedded documents, those that have an image.
        lengths: sealed bytes of each growing file.
        counts: problems by kind.
    """

    identity: str
    stage: Stage = "collect"
    source: int = 0
    line: int = 0
    runs: int = 0
    documents: int = 0
    embedded: int = 0
    offset: int = 0
    dimension: int = 0
    with_image: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


_STATE: Final = TypeAdapter(State)


class Work(Closing):
    """The folder of one build, locked while it is open.

    Attributes:
        folder: of the build.
        kb: the knowledge base as it grows, inside it.
        state: how far the build is; changed by `seal` alone.
        log: of problems.
        resumed: whether an earlier build began.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        """Take over what an earlier build of the same ``identity`` sealed, or begin anew.

        Raises:
            StoreError: another process builds there.
            OSError: the folder cannot be written.
        """
        self.folder, self.kb = folder, folder / KB
        self._lock = WriterLock(folder / LOCK_NAME)
        self._open: dict[str, IO[bytes]] = {}
        try:
            found = _read_state(folder / STATE)
            # Without its folder, the base was finished and moved just before a kill.
            if found is None or found.identity != identity or not self.kb.is_dir():
                self._clear()
                found = None
            self.resumed = found is not None
            self.state = found or State(identity)
            self._cut()
            self.log = ProblemLog(self.growing(PROBLEMS), self.state.counts)
            self.log.found = first_problems(folder / PROBLEMS)
        except BaseException:
            self.close()
            raise
        if self.resumed:
            _log.info("going on with the build in %s at stage %s", folder, self.state.stage)

    def growing(self, name: str) -> IO[bytes]:
        """Return the file called ``name``, to be appended to."""
        if name not in self._open:
            sealed = name in self.state.lengths
            self._open[name] = (self.folder / name).open("ab" if sealed else "wb")
        return self._open[name]

    def seal(self, **changes: object) -> None:
        """Make what was written so far, and ``changes`` of the state, survive a kill."""
        for name, file in self._open.items():
            file.flush()
            os.fsync(file.fileno())
            self.state.lengths[name] = file.tell()
        for name, value in changes.items():
            setattr(self.state, name, value)
        self.state.counts = dict(self.log.counts)
        write_atomically(self.folder / STATE, canonical_json(asdict(self.state)).encode())

    def close(self) -> None:
        """Let go of the folder, which stays for the next build."""
        for file in self._open.values():
            # What cannot be written any more (a full disk) was not sealed either.
            with suppress(OSError):
                file.close()
        self._lock.release()

    def remove(self) -> None:
        """Let go of the folder, and remove it."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name == LOCK_NAME:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for folder in (self.kb, self.folder / RUNS):
            folder.mkdir()

    def _cut(self) -> None:
        """Cut off what is not sealed."""
        for name, length in self.state.lengths.items():
            with (self.folder / name).open("ab") as file:
                file.truncate(length)


def work_folder(out: Path) -> Path:
    """Return where the knowledge base ``out`` grows: beside it, so that it can be moved there."""
    return out.parent / f".{out.name}.building"


def _read_state(path: Path) -> State | None:
    try:
        return _STATE.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
