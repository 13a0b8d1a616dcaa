"""Killed, or with a full disk: nothing finished is lost, and nothing half is believed."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
from cache.files import write_atomically
from cache.schema import TABLES
from cache.writing.tidy import set_aside_cut
from pipelines.soak.fail_sync import FailingSync

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
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr
    # The child found so many moments to die at; fewer would mean that it looked away.
    assert int(done.stdout) >= moments


def soak(name: str, *options: str, inside: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what a soak found of real builds in processes of their own."""
    command = [*inside, sys.executable, "-m", "pipelines.soak", name, "--json", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1500)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["problems"] == []
    assert done.returncode == 0
    return result


@pytest.mark.slow
def test_builds_that_are_killed_at_random_moments_come_to_the_undisturbed_store() -> None:
    result = soak("kill", "--times", "20")
    assert result["kills"] == 20
    assert len([number for number in result["kills after phase"].values() if number]) >= 5


@pytest.mark.slow
def test_builds_whose_last_files_a_power_cut_took_come_to_the_undisturbed_store() -> None:
    assert soak("power-cut", "--times", "10")["cuts"] == 10


@pytest.mark.slow
def test_builds_on_a_disk_that_fails_to_sync_stop_and_come_to_the_undisturbed_store() -> None:
    result = soak("fail-sync", "--every", "40")
    assert result["fsyncs that failed"] >= 6


@pytest.mark.slow
def test_builds_on_a_disk_that_is_really_full_say_so_and_go_on_with_more_room(
    tmp_path: Path,
) -> None:
    inside = ("unshare", "--map-root-user", "--mount")
    mount = ["mount", "-t", "tmpfs", "none", str(tmp_path)]
    try:
        tried = subprocess.run([*inside, *mount], check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"no small disk can be mounted here: {error}")
    if tried.returncode:
        pytest.skip(f"no small disk can be mounted here: {tried.stderr.strip()}")
    disks = soak("full-disk", "--sizes", "4", inside=inside)["disks"]
    assert disks["full"] >= 4
    assert disks["enough"] >= 1


def test_whichever_sync_fails_the_writer_stops_and_the_next_one_is_not_fooled(
    fast_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(fast_folder / "plain", 2, posts=2)
    expected = files_of(fast_folder / "plain")
    for nth in range(1, 200):
        path, error = fast_folder / f"at-{nth}", None
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", FailingSync(nth).sync)
            try:
                build(path, 2, posts=2)
            except StoreError as found:
                error = str(found)
        build(path, 2, posts=2)
        assert files_of(path) == expected, nth
        if error is None:
            break
        assert "Input/output error" in error
        assert "run the same command again" in error
    # Ten files of shards, each with its folder, and what comes at the end.
    assert 30 <= nth < 199


def test_a_journal_that_was_not_kept_is_written_anew_and_not_synced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "build.journal"
    build(tmp_path / "plain")
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0))
        before, real = journal.stat().st_ino, os.fsync

        def fail(descriptor: int) -> None:
            if os.fstat(descriptor).st_ino == before:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(StoreError, match=r"build\.journal: Input/output error"):
                write(writer, 1, shard(1))
            # From now on the old file would fail, and a new one does not.
            write(writer, 1, shard(1))
        assert journal.stat().st_ino != before
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        assert writer.finished_shards() == {0, 1}


@pytest.mark.parametrize("tail", [b"", b"\0" * 30])
def test_a_journal_that_is_cut_anywhere_costs_time_and_nothing_else(
    fast_folder: Path, tail: bytes
) -> None:
    build(fast_folder / "plain")
    start = fast_folder / "start"
    with StoreWriter(start, identity=IDENTITY, num_shards=3) as writer:
        for index in (0, 1):
            write(writer, index, shard(index))
    journal = (start / "build.journal").read_bytes()
    ends = {0, 1, journal.index(b"\n"), journal.index(b"\n") + 1, len(journal) - 1}
    for end in sorted(ends | set(range(50, len(journal), 400))):
        path = fast_folder / f"at-{end}"
        shutil.copytree(start, path)
        (path / "build.journal").write_bytes(journal[:end] + tail)
        build(path)
        assert files_of(path) == files_of(fast_folder / "plain"), end
        shutil.rmtree(path)


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_file_in_place_of_the_journal_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "build.journal"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").write_text("{}")
    with pytest.raises(StoreDamaged, match="no journal of a build"):
        StoreWriter(tmp_path, identity=IDENTITY, num_shards=1)


def test_a_link_under_the_temporary_name_is_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / f".tmp-{os.getpid()}-a").symlink_to(precious)
    write_atomically(folder / "a", b"content")
    assert precious.read_text() == "precious"
    assert (folder / "a").read_bytes() == b"content"
    assert not (folder / "a").is_symlink()


def test_what_a_killed_run_left_in_place_is_synced_before_anything_counts_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    for name in ("manifest.json", "README.md"):
        (tmp_path / name).unlink()
    synced: set[tuple[int, int]] = set()
    real = os.fsync

    def note(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.add((status.st_dev, status.st_ino))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    build(tmp_path)
    for table in TABLES:
        status = (tmp_path / table).stat()
        assert (status.st_dev, status.st_ino) in synced, table


def test_segments_that_lost_their_end_are_set_aside_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, aside = tmp_path / "recordings", tmp_path / "local"
    book = Recordings(folder)
    for key in ("1", "2"):
        book.put_segment([Recording(key, "kb", "{}", "2026-01-01", b"answer")])
    cut, kept = sorted(folder.iterdir())
    cut.write_bytes(cut.read_bytes()[:-1])
    set_aside_cut(folder, aside)
    assert list(folder.iterdir()) == [kept]
    assert [path.name for path in aside.iterdir()] == [f".tmp-cut-{cut.name}"]
    assert "what it held is asked again" in caplog.text
    assert len(Recordings(folder)) == 1

    def busy(*_: object) -> None:
        try:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        except OSError as error:
            raise StoreDamaged("not now") from error

    monkeypatch.setattr("cache.writing.tidy.open_segment", busy)
    set_aside_cut(folder, aside)
    assert list(folder.iterdir()) == [kept]


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_segment_that_is_no_file_stops_a_build_and_stays_where_it_is(
    tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "recordings"
    Recordings(folder).put_segment([Recording("1", "kb", "{}", "2026-01-01", b"answer")])
    (path,) = folder.iterdir()
    path.rename(tmp_path / path.name)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / path.name)
    # Set aside, its answers would be asked for again, and paid for.
    with pytest.raises(StoreDamaged, match="not a regular file"):
        set_aside_cut(folder, tmp_path / "local")
    assert list(folder.iterdir()) == [path]


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


@pytest.mark.parametrize("name", ["README.md", "manifest.json"])
def test_a_disk_that_fills_up_at_the_end_leaves_an_unfinished_store(
    tmp_path: Path, name: str
) -> None:
    build(tmp_path / "plain")
    room = (tmp_path / "plain" / name).stat().st_size - 1
    path = tmp_path / "b"
    with StoreWriter(path, identity=IDENTITY, num_shards=3) as writer:
        for index in range(3):
            write(writer, index, shard(index))
        with full_disk(room), pytest.raises(StoreError, match=name):
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
        with full_disk(len(before) - 99), pytest.raises(StoreError, match=r"manifest\.json"):
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
    assert not list((tmp_path / "local").glob("features-*"))


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
