"""Killed, or with a full disk: nothing finished is lost, and nothing half is believed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cache_helpers import IDENTITY, build, files_of, image, shard, write

from cache import (
    Media,
    Recording,
    Recordings,
    StoreDamaged,
    StoreError,
    StoreWriter,
    open_store,
    verify_store,
)

CHILD = Path(__file__).with_name("cache_crash_child.py")


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: these tests sync hundreds of files."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "moments"), [("store", 46), ("redo", 28), ("record", 26), ("merge", 24)]
)
def test_killed_before_any_change_of_the_disk_and_resumed_gives_the_undisturbed_bytes(
    fast_folder: Path, what: str, moments: int
) -> None:
    done = subprocess.run(
        [sys.executable, str(CHILD), what, str(fast_folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    # The child found so many moments to die at; fewer would mean that it looked away.
    assert int(done.stdout) >= moments


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file grow beyond ``room`` bytes, as a full disk would not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 100, 5000])
def test_a_full_disk_is_explained_and_costs_the_open_shard_only(tmp_path: Path, room: int) -> None:
    build(tmp_path / "plain")
    path = tmp_path / "b"
    with StoreWriter(path, identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0))
        with full_disk(room), pytest.raises(StoreError, match=r"cannot write .*Free some space"):
            write(writer, 1, shard(1))
        assert not list(path.rglob(".tmp-*"))
        assert writer.finished_shards() == {0}
    build(path)
    assert files_of(tmp_path / "plain") == files_of(path)


def test_a_disk_that_fills_up_at_the_manifest_leaves_an_unfinished_store(tmp_path: Path) -> None:
    build(tmp_path / "plain")
    path = tmp_path / "b"
    with StoreWriter(path, identity=IDENTITY, num_shards=3) as writer:
        for index in range(3):
            write(writer, index, shard(index))
        with full_disk(10), pytest.raises(StoreError, match=r"manifest\.json"):
            writer.close({"posts": 15})
    with pytest.raises(StoreDamaged, match="did not finish"):
        open_store(path)
    build(path)
    assert files_of(tmp_path / "plain") == files_of(path)


def test_a_disk_that_fills_up_at_a_new_manifest_leaves_the_old_store_whole(tmp_path: Path) -> None:
    build(tmp_path)
    before = (tmp_path / "manifest.json").read_bytes()
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        write(writer, 1, shard(1, 3))
        with full_disk(10), pytest.raises(StoreError, match=r"manifest\.json"):
            writer.close({"posts": 13})
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert verify_store(tmp_path).ok


def test_a_disk_without_room_for_the_derived_file_falls_back_to_the_shards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(tmp_path)
    with full_disk(4096), open_store(tmp_path) as reader:
        assert len(reader.example_ids()) == 15
        assert reader.read(reader.example_ids()[1]).example.split == "train"
    assert "reading the shards themselves" in caplog.text
    assert not list((tmp_path / "local").glob("*"))


def test_ctrl_c_while_a_shard_is_written_loses_that_shard_only(tmp_path: Path) -> None:
    build(tmp_path / "plain")

    def interrupted() -> Iterator[Media]:
        yield image(1)
        raise KeyboardInterrupt

    part = shard(1)
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0))
        with pytest.raises(KeyboardInterrupt):
            writer.write_shard(1, part.rows, part.dropped, interrupted())
    build(tmp_path / "b")
    assert files_of(tmp_path / "plain") == files_of(tmp_path / "b")


def test_a_full_disk_while_recording_keeps_what_was_recorded(tmp_path: Path) -> None:
    first = Recording("1", "kb", "{}", "2026-01-01T00:00:00+00:00", b"first")
    second = Recording("2", "kb", "{}", "2026-01-01T00:00:00+00:00", bytes(range(256)) * 40)
    with Recordings(tmp_path) as recordings:
        recordings.put_segment([first])
        with full_disk(100), pytest.raises(StoreError, match="Free some space"):
            recordings.put_segment([second], [image(1)])
        assert "2" not in recordings
        assert not recordings.has_media(image(1).key)
        recordings.put_segment([second], [image(1)])
    with Recordings(tmp_path) as again:
        assert again.get("1") == first
        assert again.get("2") == second
        assert again.media(image(1).key) == image(1)
