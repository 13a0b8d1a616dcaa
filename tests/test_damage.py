"""No damage of the catalogue stays unnoticed: not by verifying, and not by reading."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cache_helpers import build, files_of
from damage import catalogue, complete_store, restore, store_with_features, together

from cache import verify_store

HERE = Path(__file__).parent
# Readers are shown one damage in so many; with 1, all of them, and each bit is flipped alone.
EVERY = int(os.environ.get("RAMIE_DAMAGE_EVERY", "8"))


@contextmanager
def seconds(limit: int) -> Iterator[None]:
    """Fail instead of hanging, at a pipe that nobody writes to."""

    def late(*_: object) -> None:
        raise TimeoutError(f"still not done after {limit} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
def test_verifying_finds_every_damage_and_names_file_and_consequence(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store_with_features(store)
    assert verify_store(store).problems == ()
    sound = files_of(store)
    passed_over = []
    damages = catalogue(store)
    for damage in damages if EVERY == 1 else together(damages):
        damage.harm(store)
        with seconds(20):
            problems = verify_store(store).problems
        if not all(any(str(store / name) in one for one in problems) for name in damage.named):
            passed_over.append((damage.name, problems))
        restore(store, sound)
    assert passed_over == []
    assert files_of(store) == sound
    assert verify_store(store).problems == ()


@pytest.mark.slow
def test_readers_of_a_damaged_store_raise_or_are_right_and_never_die(tmp_path: Path) -> None:
    store_with_features(tmp_path / "store")
    child = subprocess.run(
        [sys.executable, str(HERE / "damage_child.py"), str(tmp_path / "store"), str(EVERY)],
        env={
            **os.environ,
            "PYTHONPATH": f"{HERE.parent}:{HERE}",
            "XDG_CACHE_HOME": str(tmp_path / "user"),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    last = child.stdout.splitlines()[-1:]
    assert child.returncode == 0, (child.returncode, last, child.stderr[-2000:])
    assert [line for line in child.stdout.splitlines() if line.startswith("WRONG")] == []
    assert last == ["done"]


def test_the_problem_says_what_cannot_be_read_and_what_helps(tmp_path: Path) -> None:
    build(tmp_path)
    sound = files_of(tmp_path)
    said = {
        "examples": "5 posts of shard 1 ('post-01-00' to 'post-01-04')",
        "evidence": "the evidence of 5 posts of shard 1 ('post-01-00' to 'post-01-04')",
        "dropped": "the dropped hits of 5 posts of shard 1 ('post-01-00' to 'post-01-04')",
        "texts": "8 texts, used by shard 1",
        "media": "2 images, used by shards 1, 2",
    }
    for table, what in said.items():
        next((tmp_path / table).glob("part-00001-*")).write_bytes(b"")
        (problem,) = verify_store(tmp_path).problems
        assert problem.endswith(f"Until then cannot be read: {what}.")
        assert "Restore the file from a copy" in problem
        restore(tmp_path, sound)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can become somebody else")
def test_a_file_that_may_not_be_read_is_a_problem_and_no_crash() -> None:
    nobody = 65534
    # Not below the folder of the tests, which is closed to others.
    root = Path(tempfile.mkdtemp())
    try:
        complete_store(root / "store")
        root.chmod(0o755)
        paths = [path for path in (root / "store").rglob("*") if path.is_file()]
        for path in [*paths, root / "store" / "media", root / "store" / "recordings"]:
            mode = path.stat().st_mode
            path.chmod(0)
            os.seteuid(nobody)
            try:
                problems = verify_store(root / "store").problems
            finally:
                os.seteuid(0)
            assert any(str(path) in problem for problem in problems), (path, problems)
            path.chmod(mode)
        os.seteuid(nobody)
        try:
            assert verify_store(root / "store").problems == ()
        finally:
            os.seteuid(0)
    finally:
        shutil.rmtree(root)
