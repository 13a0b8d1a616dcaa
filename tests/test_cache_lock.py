"""One writer at a time, whoever dies, and whatever lies where the lock should be."""

from __future__ import annotations

import fcntl
import json
import mmap
import multiprocessing
import os
import random
import re
import signal
import socket
import struct
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import pytest

from cache.errors import StoreError
from cache.writing.lock import WriterLock, remove_dead_lock

SPAWN: Final = multiprocessing.get_context("spawn")
# Who has the lock, how often it was taken, and how often by two at once.
NOTES: Final = struct.Struct("<QQQ")


def hold(path: Path, ready: Connection) -> None:
    """Take the lock, say so, and keep it until killed."""
    lock = WriterLock(path)
    ready.send(lock.path.name)
    time.sleep(600)


def test_the_refused_one_is_told_host_and_process_and_since_when(tmp_path: Path) -> None:
    path = tmp_path / "build.lock"
    before = datetime.now(UTC).replace(microsecond=0)
    lock = WriterLock(path)
    with pytest.raises(StoreError, match="another process") as error:
        WriterLock(path)
    text = str(error.value)
    assert f"pid {os.getpid()} on host {socket.gethostname()!r}" in text
    since = re.search(r"since (\S+)\)", text)
    assert since is not None
    assert before <= datetime.fromisoformat(since[1]) <= datetime.now(UTC)
    lock.release()
    lock.release()
    assert not path.exists()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "build.lock"
    receiver, sender = SPAWN.Pipe(duplex=False)
    owner = SPAWN.Process(target=hold, args=(path, sender), daemon=True)
    owner.start()
    assert receiver.recv() == "build.lock"
    assert owner.pid is not None
    with pytest.raises(StoreError, match=f"pid {owner.pid} on host"):
        WriterLock(path)
    os.kill(owner.pid, signal.SIGKILL)
    owner.join()
    assert path.exists()
    lock = WriterLock(path)
    assert json.loads(path.read_bytes())["pid"] == os.getpid()
    lock.release()


@pytest.mark.parametrize(
    "left",
    [
        b"",
        b'{"host": "gone", "pid": 1, "since": "2026-01-01T00:00:00+00:00"}',
        b"\x00" * 4096,
        bytes(range(256)) * 16,
        b'{"pid": ' + b"9" * 5000,
        b"[" * 900,
    ],
)
def test_whatever_a_lock_file_says_nobody_who_is_gone_locks_others_out(
    tmp_path: Path, left: bytes
) -> None:
    path = tmp_path / "build.lock"
    path.write_bytes(left)
    WriterLock(path).release()
    assert not path.exists()
    path.write_bytes(left)
    remove_dead_lock(path)
    assert not path.exists()


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x1b]0;owned\x07\x1b[2J" * 20,
        b'{"host": "a", "pid": Infinity, "since": "2026-01-01"}',
        b'{"host": "a", "pid": 3, "since": 7}',
        b"[" * 1000,
        b"\xff" * 70_000,
    ],
)
def test_an_owner_who_signed_with_nonsense_is_still_the_owner(
    tmp_path: Path, signature: bytes
) -> None:
    path = tmp_path / "build.lock"
    path.write_bytes(signature)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="its lock does not say which"):
            WriterLock(path)
        remove_dead_lock(path)
    assert path.read_bytes() == signature


def test_a_host_name_cannot_steer_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "build.lock"
    path.write_text('{"host": "\\u001b[2J\\u0645", "pid": 3, "since": "2026-01-01"}')
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError) as error:
            WriterLock(path)
    assert str(error.value).isprintable()
    assert "\\x1b[2J?" in str(error.value)


def test_a_lock_file_of_a_gigabyte_costs_no_time(tmp_path: Path) -> None:
    path = tmp_path / "build.lock"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    start = time.thread_time()
    lock = WriterLock(path)
    assert path.stat().st_size < 1000
    assert time.thread_time() - start < 1
    lock.release()


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "pipe", "folder", "socket"])
def test_what_is_no_file_in_place_of_the_lock_is_refused_and_left_alone(
    tmp_path: Path, kind: str
) -> None:
    path, other = tmp_path / "store" / "build.lock", tmp_path / "precious"
    path.parent.mkdir()
    other.write_text("precious")
    server = socket.socket(socket.AF_UNIX)
    match kind:
        case "link":
            path.symlink_to(other)
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
        case "hard link":
            path.hardlink_to(other)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            server.bind(str(path))
    before = path.lstat()
    start = time.thread_time()
    with pytest.raises(StoreError, match=r"not the plain file of a lock.*Remove it"):
        WriterLock(path)
    remove_dead_lock(path)
    assert time.thread_time() - start < 1
    assert (path.lstat().st_mode, path.lstat().st_ino) == (before.st_mode, before.st_ino)
    assert other.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()
    server.close()


def test_an_owner_whose_file_was_removed_by_hand_leaves_that_of_the_next_one_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "build.lock"
    first = WriterLock(path)
    path.unlink()
    second = WriterLock(path)
    first.release()
    with pytest.raises(StoreError, match="another process"):
        WriterLock(path)
    second.release()


def race(path: Path, notes: Path, number: int) -> None:
    """Take the lock again and again; note who has it, how often it was taken, and by two."""
    rng = random.Random(number)
    with notes.open("r+b") as file, mmap.mmap(file.fileno(), NOTES.size) as shared:
        while True:
            try:
                lock = WriterLock(path)
            except StoreError as error:
                if "another process" not in str(error):
                    raise
                continue
            _, taken, wrong = NOTES.unpack(shared)
            NOTES.pack_into(shared, 0, number, taken + 1, wrong)
            end = time.monotonic() + rng.uniform(0, 0.002)
            while time.monotonic() < end:
                if NOTES.unpack(shared) != (number, taken + 1, wrong):
                    NOTES.pack_into(shared, 0, number, taken + 1, wrong + 1)
            lock.release()


@pytest.mark.slow
def test_of_eight_who_race_and_are_killed_never_two_have_the_lock(tmp_path: Path) -> None:
    path, notes = tmp_path / "build.lock", tmp_path / "notes"
    notes.write_bytes(bytes(NOTES.size))
    end = time.monotonic() + 300

    def wait_for(more: int) -> None:
        before = NOTES.unpack(notes.read_bytes())[1]
        while (taken := NOTES.unpack(notes.read_bytes())[1]) < before + more:
            assert time.monotonic() < end, f"taken {taken} times only"
            time.sleep(0.001)

    # Daemons: after a failure, nobody waits for those that are left.
    racers = [SPAWN.Process(target=race, args=(path, notes, n), daemon=True) for n in range(1, 9)]
    for one in racers:
        one.start()
    wait_for(200)
    rng = random.Random(0)
    while racers:
        racer = racers.pop(rng.randrange(len(racers)))
        racer.kill()
        racer.join()
        wait_for(50 if racers else 0)
    assert NOTES.unpack(notes.read_bytes())[2] == 0
    WriterLock(path).release()
