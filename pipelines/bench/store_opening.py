"""How long a store takes to open in a fresh process, and what memory that process then needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from cache import open_store
from pipelines.bench.figures import Figure

_ROUNDS: Final = 3
_MEGABYTE: Final = 1e6
# The peak is read from /proc: what getrusage tells includes the parent's memory.
_CHILD: Final = """
import json, sys, time
from cache import open_store
started = time.perf_counter()
reader = open_store(sys.argv[1])
seconds = time.perf_counter() - started
ids = reader.example_ids()
reader.features(ids[len(ids) // 2])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([len(ids), seconds, 1024 * int(status["VmHWM"].split()[0])]))
"""


def bench_opening(store: Path) -> list[Figure]:
    """Open a store, whose derived file is there, in fresh processes; the best of three counts.

    Memory is the most that the whole process ever had, the interpreter and its libraries
    included, after the store was opened and one post was read.
    """
    with open_store(store):
        pass
    opened = [_open_in_child(store) for _ in range(_ROUNDS)]
    posts = opened[0][0]
    return [
        Figure(
            f"s to open a store of {posts:.0f} posts", min(s for _, s, _ in opened), 0.5, "below"
        ),
        Figure(
            "MB of memory, the whole process",
            min(size for _, _, size in opened) / _MEGABYTE,
            200,
            "below",
        ),
    ]


def _open_in_child(store: Path) -> tuple[float, float, float]:
    command = [sys.executable, "-c", _CHILD, str(store)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    posts, seconds, size = json.loads(done.stdout)
    return posts, seconds, size
