"""Where derived files lie, what gets them into memory early, and what training never touches."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from cache_helpers import build, image, plain, shard

from cache import InputError, StoreError, open_store
from cache.reading import derived_folders
from cache.reading.derived_file import FORMS, Form
from cache.reading.derived_reader import DerivedReader
from cache.reading.parquet_reader import ParquetReader
from pipelines.bench.store_cold import drop, resident_share

TRAINING_READS = """
import sys
from cache import open_store
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
with open_store(sys.argv[1], reader=sys.argv[2]) as reader:
    for name in reader.example_ids():
        reader.features(name)
print("\\n".join(opened))
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    build(tmp_path / "store")
    return tmp_path / "store"


def expected() -> object:
    return plain(tuple(row for index in range(3) for row in shard(index).rows))


def derived(store: Path, kind: str) -> list[Path]:
    return list((store / "local").glob(f"{kind}-*.lmdb"))


def test_reading_in_the_background_gets_the_whole_file_into_memory(store: Path) -> None:
    with open_store(store, images=True) as reader:
        files = derived(store, "features") + derived(store, "images")
        drop_or_skip(files)
        reader.warm()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and min(map(resident_share, files)) < 1:
            time.sleep(0.01)
        assert min(map(resident_share, files)) == 1
        assert plain(tuple(map(reader.read, reader.example_ids()))) == expected()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_prefetched_comes_into_memory_without_being_read(
    tmp_path: Path, form: Form
) -> None:
    path = tmp_path / "values"
    with closing(FORMS[form].write(path)) as writer:
        for number in range(64):
            writer.put(bytes([number]) * 200_000)
        writer.finish(None)
    drop_or_skip([path])
    with closing(FORMS[form].open(path)) as file:
        file.prefetch([7, 40])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and resident_share(path) < 2 / 64:
            time.sleep(0.01)
        assert 2 / 64 <= resident_share(path) < 4 / 64


def drop_or_skip(files: list[Path]) -> None:
    try:
        drop(files)
    except StoreError as error:
        pytest.skip(f"this file system keeps files in memory: {error}")


@pytest.mark.parametrize("name", ["lmdb", "packed", "parquet"])
def test_hints_change_nothing_that_is_read_and_name_unknown_posts(store: Path, name: str) -> None:
    with open_store(store, reader=name, images=True, warm=True) as reader:  # type: ignore[arg-type]
        reader.prefetch(reader.example_ids())
        reader.prefetch([])
        assert plain(tuple(map(reader.read, reader.example_ids()))) == expected()
        assert reader.media(image(1).key) == image(1)
    with open_store(store) as reader, pytest.raises(InputError, match="no post 'nobody'"):
        reader.prefetch(["nobody"])


@pytest.mark.parametrize("name", ["lmdb", "packed", "parquet"])
def test_training_opens_no_file_that_holds_images(store: Path, name: str) -> None:
    command = [sys.executable, "-c", TRAINING_READS, str(store), name]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    opened = [line for line in found.splitlines() if str(store) in line]
    assert opened
    assert not [line for line in opened if "/media/" in line or "images" in line]
    assert not derived(store, "images")


@pytest.mark.parametrize("name", ["lmdb", "packed", "parquet"])
def test_training_does_not_notice_that_image_bytes_are_damaged(store: Path, name: str) -> None:
    for path in (store / "media").iterdir():
        path.write_bytes(b"\xff" * path.stat().st_size)
    with open_store(store, reader=name) as reader:  # type: ignore[arg-type]
        posts = [reader.features(one).example for one in reader.example_ids()]
    assert posts == [row.example for index in range(3) for row in shard(index).rows]


def test_images_come_from_a_file_of_their_own_where_that_is_asked_for(store: Path) -> None:
    with open_store(store, images=True) as reader:
        reader.close()
        for path in (store / "media").iterdir():
            path.write_bytes(b"\xff" * path.stat().st_size)
        reader.features(reader.example_ids()[0])
        assert [reader.media(image(number).key) for number in range(4)] == [*map(image, range(4))]


def test_images_are_read_from_the_shards_where_their_file_cannot_be_written(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    open_store(store).close()
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no such folder")
    # Where the lock should be is a folder, so no image file can be made beside it.
    (store / "local" / "images.lock").mkdir()
    with open_store(store, images=True) as reader:
        assert isinstance(reader, DerivedReader)
        assert reader.media(image(2).key) == image(2)
    assert "reading images from the shards" in caplog.text


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_on_a_network_disk_the_derived_file_goes_to_the_user_and_the_log_says_so(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    monkeypatch.setattr(
        derived_folders,
        "network_file_system",
        lambda path: kind if path.is_relative_to(store) else "",
    )
    with caplog.at_level(logging.INFO), open_store(store) as reader:
        assert plain(tuple(map(reader.read, reader.example_ids()))) == expected()
    assert not (store / "local").exists()
    assert len(list((store.parent / "user").rglob("features-*.lmdb"))) == 1
    assert f"network file system ({kind})" in caplog.text


def test_the_kind_of_file_system_is_read_from_the_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(derived_folders, "_MOUNTS", mounts)
    for kind, network in [("nfs4", True), ("fuse.s3fs", True), ("fuseblk", False), ("xfs", False)]:
        mounts.write_text(
            "1 0 999:1 / / rw - ext4 /dev/x rw\n"
            f"2 1 {number} / /mnt rw shared:1 master:2 - {kind} server:/x rw\n"
        )
        found = derived_folders.network_file_system(tmp_path / "not" / "there yet")
        assert found == (kind if network else "")
    mounts.unlink()
    assert derived_folders.network_file_system(tmp_path) == ""


def test_a_local_folder_that_is_a_link_is_not_written_through(store: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "features-of-somebody").write_text("precious")
    (store / "local").symlink_to(elsewhere)
    with open_store(store) as reader:
        assert plain(tuple(map(reader.read, reader.example_ids()))) == expected()
    assert [path.name for path in elsewhere.iterdir()] == ["features-of-somebody"]


def test_a_store_on_a_read_only_mount_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", str(mount)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting needs a superuser")
    try:
        build(mount / "store")
        subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
        for users, kind in ((tmp_path / "user", DerivedReader), (mount / "user", ParquetReader)):
            monkeypatch.setenv("XDG_CACHE_HOME", str(users))
            with open_store(mount / "store", images=True) as reader:
                assert isinstance(reader, kind)
                assert plain(tuple(map(reader.read, reader.example_ids()))) == expected()
                assert reader.media(image(1).key) == image(1)
    finally:
        subprocess.run(["umount", str(mount)], check=True)
