"""A training of several processes ends in all of them, and says why, whoever is slow."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from training_helpers import environment, torchrun

# The second process fails, and the first is slow to say so; or the first is busy when it is told.
CHILD = """
import signal, sys, time
from cache.errors import RamieError
from model.training.ranks import EndedElsewhere, joined

try:
    with joined(False) as ranks:
        try:
            with ranks.together():
                if ranks.rank == 1 and {fails}:
                    raise RamieError("the second is out of posts")
        finally:
            if ranks.first:
                time.sleep(1)
        try:
            if ranks.first:
                signal.raise_signal(signal.SIGTERM)
        except Exception:
            print("went on", file=sys.stderr)
        time.sleep(5)
except EndedElsewhere:
    sys.exit(3)
except RamieError as error:
    time.sleep(1)
    print("SAID", error, file=sys.stderr, flush=True)
    sys.exit(1)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (True, "SAID process 2 of 2: the second is out of posts"),
        (False, "SAID torchrun told this process to end (SIGTERM)"),
    ],
)
def test_the_first_process_has_the_time_to_say_why(tmp_path: Path, fails: bool, said: str) -> None:
    child = tmp_path / "child.py"
    child.write_text(CHILD.format(fails=fails))

    ended = subprocess.run(
        [*torchrun(2), str(child)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert ended.returncode != 0
    assert said in ended.stderr
    assert "went on" not in ended.stderr
