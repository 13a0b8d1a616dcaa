"""What was left out of a knowledge base, and why: all of it counted, the first of it shown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, NamedTuple

# A dump of millions of pages may have as many problems; the file has all of them.
MOST_SHOWN: Final = 1000


class KbProblem(NamedTuple):
    """What was wrong with a line, and what became of it; ``kind`` is for counting."""

    line: int
    kind: str
    message: str


class ProblemLog:
    """Collects problems while the rest goes on, in constant memory.

    Attributes:
        counts: how often each kind occurred.
        found: the first `MOST_SHOWN` problems.
        prefix: goes before every message; the name of the source where there are several.
    """

    def __init__(
        self, file: IO[bytes] | None = None, counts: Mapping[str, int] | None = None
    ) -> None:
        """Start with ``counts``, and write every problem to ``file`` as a line of JSON."""
        self.counts: Counter[str] = Counter(counts or {})
        self.found: list[KbProblem] = []
        self.prefix = ""
        self._file = file

    def add(self, line: int, kind: str, message: str) -> None:
        """Note a problem."""
        self.counts[kind] += 1
        problem = KbProblem(line, kind, self.prefix + message)
        if len(self.found) < MOST_SHOWN:
            self.found.append(problem)
        if self._file is not None:
            told = json.dumps(problem._asdict(), ensure_ascii=True, sort_keys=True)
            self._file.write(told.encode("ascii") + b"\n")

    def skip(self, kind: str) -> None:
        """Count what is left out because of what it is, and is no problem of anybody's."""
        self.counts[kind] += 1


def first_problems(path: Path) -> list[KbProblem]:
    """Return the first problems of a file that a `ProblemLog` wrote."""
    found: list[KbProblem] = []
    with path.open("rb") as file:
        for line in file:
            if len(found) == MOST_SHOWN:
                break
            found.append(KbProblem(**json.loads(line)))
    return found
