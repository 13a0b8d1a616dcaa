"""Promises of `ramie push` and `ramie pull`: what is missing travels, and nothing else."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cache_helpers import IDENTITY, files_of, shard, write
from hostile_server import HostileServer
from sharing_helpers import (
    WebFolder,
    answer,
    change_store,
    make_store,
    shown,
    trap_recording,
    travelling,
)
from test_join import build, dataset_in

from cache import (
    InputError,
    Recordings,
    StoreDamaged,
    StoreError,
    StoreMismatch,
    StoreWriter,
    content_key,
    read_manifest,
    verify_store,
)
from cache.manifest import write_manifest
from cache.operations.withhold import withhold_store
from cache.writing.lock import WriterLock
from pipelines.cli import main
from pipelines.sharing.files import listing, local_recordings
from pipelines.sharing.pull import PullOptions, pull
from pipelines.sharing.push import PushOptions, push

PUSH, PULL = PushOptions(), PullOptions()
CHILD = Path(__file__).with_name("sharing_crash_child.py")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture(params=["path", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param != "memory":
        place = tmp_path / "a place"
        yield str(place) if request.param == "path" else place.as_uri()
        return
    fsspec = pytest.importorskip("fsspec")
    yield "memory://team/store"
    fsspec.filesystem("memory").store.clear()


def test_a_store_comes_back_as_it_was_pushed(store: Path, url: str, tmp_path: Path) -> None:
    back = tmp_path / "back"
    push(store, url, PUSH)
    pull(url, back, PULL)
    assert files_of(back) == files_of(store)
    assert verify_store(back).ok


def test_a_second_push_and_a_second_pull_move_nothing(
    store: Path, url: str, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    first = [push(store, url, PUSH), pull(url, back, PULL)]
    again = [push(store, url, PUSH), pull(url, back, PULL)]
    assert [done.sent for done in first] == [first[0].files] * 2
    assert [done.sent_bytes for done in first] == [first[0].store_bytes] * 2
    assert [(done.sent, done.sent_bytes) for done in again] == [(0, 0)] * 2


def test_of_a_newer_build_only_the_changed_shard_travels(
    store: Path, url: str, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    push(store, url, PUSH)
    pull(url, back, PULL)
    before = {part.path for one in read_manifest(store).shards for part in one.files.values()}
    new = change_store(store)
    fresh = [part for one in new.shards for part in one.files.values() if part.path not in before]
    assert 0 < len(fresh) < len(before)
    for done in (push(store, url, PUSH), pull(url, back, PULL)):
        assert (done.sent, done.sent_bytes) == (len(fresh), sum(f.size_bytes for f in fresh))
    # What no manifest names any more is removed here, but kept for others there.
    assert files_of(back) == files_of(store)


def test_old_shards_at_the_place_are_kept_unless_pruned(store: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    push(store, str(place), PUSH)
    before = travelling(place)
    (place / "examples" / ".tmp-push-left").write_text("half")
    change_store(store)
    push(store, str(place), PUSH)
    assert before.keys() < travelling(place).keys()
    push(store, str(place), PushOptions(prune=True))
    assert travelling(place) == files_of(store)
    assert verify_store(place).ok


def test_files_in_folders_below_are_not_taken_for_those_of_the_store(
    store: Path, tmp_path: Path
) -> None:
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    fs.put(str(store / "examples"), "/team/store/examples/below/", recursive=True)
    try:
        done = push(store, "memory://team/store", PUSH)
        assert done.sent == done.files
    finally:
        fs.store.clear()


def test_what_is_derived_or_temporary_does_not_travel(store: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    (store / "local").mkdir()
    (store / "local" / "features-1.lmdb").write_text("never from outside")
    (store / "notes.html").write_text("mine")
    (store / "examples" / ".tmp-1-part").write_text("half")
    push(store, str(place), PUSH)
    names = {path.name for path in place.rglob("*")}
    assert not names & {"local", "features-1.lmdb", "notes.html", ".tmp-1-part"}


@pytest.mark.parametrize("ranges", [False, True])
def test_a_pushed_folder_is_pulled_from_a_plain_web_server(
    store: Path, tmp_path: Path, ranges: bool
) -> None:
    place, back = tmp_path / "place", tmp_path / "back"
    push(store, str(place), PUSH)
    with WebFolder(place, ranges=ranges) as web:
        pull(web.url + "/", back, PULL)
        assert pull(web.url, back, PULL).sent_bytes == 0
    assert files_of(back) == files_of(store)


@pytest.mark.parametrize("ranges", [False, True])
def test_a_pull_goes_on_inside_a_file(store: Path, tmp_path: Path, ranges: bool) -> None:
    back = tmp_path / "back"
    file = read_manifest(store).shards[0].files["media"]
    half = (store / file.path).read_bytes()[: file.size_bytes // 2]
    part = (back / file.path).with_name(f".tmp-pull-{Path(file.path).name}")
    part.parent.mkdir(parents=True)
    part.write_bytes(half)
    with WebFolder(store, ranges=ranges) as web:
        done = pull(web.url, back, PullOptions(recordings=False))
        assert web.ranges == [f"bytes={len(half)}-"]
    assert done.sent_bytes == done.store_bytes - len(half)
    assert shown(back) == read_manifest(store)
    assert not part.exists()


@pytest.mark.parametrize("ranges", [False, True])
def test_a_pull_that_was_killed_at_the_end_of_a_file_asks_for_no_more_of_it(
    store: Path, tmp_path: Path, ranges: bool
) -> None:
    back = tmp_path / "back"
    file = read_manifest(store).shards[0].files["media"]
    part = (back / file.path).with_name(f".tmp-pull-{Path(file.path).name}")
    part.parent.mkdir(parents=True)
    part.write_bytes((store / file.path).read_bytes())
    with WebFolder(store, ranges=ranges) as web:
        done = pull(web.url, back, PullOptions(recordings=False))
        assert web.ranges == []
    assert done.sent_bytes == done.store_bytes - file.size_bytes
    assert shown(back) == read_manifest(store)
    assert not part.exists()


def test_a_part_that_is_wrong_is_fetched_anew(store: Path, url: str, tmp_path: Path) -> None:
    back = tmp_path / "back"
    file = read_manifest(store).shards[0].files["media"]
    part = (back / file.path).with_name(f".tmp-pull-{Path(file.path).name}")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (file.size_bytes // 2))
    push(store, url, PUSH)
    pull(url, back, PULL)
    assert files_of(back) == files_of(store)


def test_a_damaged_file_here_is_mended_by_a_pull(store: Path, url: str, tmp_path: Path) -> None:
    back = tmp_path / "back"
    push(store, url, PUSH)
    pull(url, back, PULL)
    file = read_manifest(store).shards[1].files["evidence"]
    (back / file.path).write_bytes(b"x" * file.size_bytes)
    done = pull(url, back, PULL)
    assert (done.sent, done.sent_bytes) == (1, file.size_bytes)
    assert files_of(back) == files_of(store)


def test_a_damaged_file_there_is_found_and_mended_by_push_with_check(
    store: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    push(store, str(place), PUSH)
    file = read_manifest(store).shards[1].files["evidence"]
    (place / file.path).write_bytes(b"x" * file.size_bytes)
    with pytest.raises(StoreError, match=rf"{file.path} .*push --check"):
        pull(str(place), tmp_path / "back", PULL)
    assert not (tmp_path / "back" / "manifest.json").exists()
    assert push(store, str(place), PUSH).sent == 0
    assert push(store, str(place), PushOptions(check=True)).sent == 1
    assert travelling(place) == files_of(store)


def test_recordings_of_both_sides_are_kept(store: Path, url: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(store, mine)
    Recordings(mine / "recordings").put_segment([answer(7)])
    Recordings(store / "recordings").put_segment([answer(8)])
    push(store, url, PUSH)
    pull(url, mine, PULL)
    assert {f"{n:064d}" for n in (0, 1, 7, 8)} | {content_key(b"query")} == {
        one.key for one in Recordings(mine / "recordings").asked()
    }


def test_the_listing_for_the_web_names_what_all_pushers_recorded(
    store: Path, tmp_path: Path
) -> None:
    other, place = tmp_path / "other", tmp_path / "place"
    shutil.copytree(store, other)
    Recordings(other / "recordings").put_segment([answer(7)])
    push(other, str(place), PUSH)
    push(store, str(place), PUSH)
    assert (place / "recordings.json").read_bytes() == listing(local_recordings(other))


def test_recordings_are_left_out_where_that_is_said(store: Path, url: str, tmp_path: Path) -> None:
    push(store, url, PushOptions(recordings=False))
    pull(url, tmp_path / "a", PULL)
    push(store, url, PUSH)
    pull(url, tmp_path / "b", PullOptions(recordings=False))
    for name in "ab":
        assert not (tmp_path / name / "recordings").exists()
        assert verify_store(tmp_path / name).ok


def other_store(path: Path) -> None:
    with StoreWriter(path, identity={**IDENTITY, "recipe": "other"}, num_shards=1) as writer:
        write(writer, 0, shard(0, 2))
        writer.close({})


def test_another_store_is_replaced_only_if_that_is_said(
    store: Path, url: str, tmp_path: Path
) -> None:
    other, back = tmp_path / "other", tmp_path / "back"
    other_store(other)
    push(other, url, PUSH)
    pull(url, back, PULL)
    with pytest.raises(StoreMismatch, match=r"holds another store: recipe differ.*--replace"):
        push(store, url, PUSH)
    pull(url, back, PULL)
    assert files_of(back) == files_of(other)
    push(store, url, PushOptions(replace=True))
    with pytest.raises(StoreMismatch, match=r"back holds another store: recipe differ"):
        pull(url, back, PULL)
    assert files_of(back) == files_of(other)
    pull(url, back, PullOptions(replace=True))
    assert files_of(back) == files_of(store)


def test_what_leaves_other_things_out_is_another_store(store: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    push(store, str(place), PUSH)
    less = read_manifest(store).model_copy(update={"withheld": ("images",)})
    write_manifest(place, less)
    with pytest.raises(StoreMismatch, match=r"left out \(images there, nothing in the new one\)"):
        push(store, str(place), PUSH)


def test_a_manifest_that_cannot_be_read_is_replaced_only_if_that_is_said(
    store: Path, tmp_path: Path
) -> None:
    place, back = tmp_path / "place", tmp_path / "back"
    push(store, str(place), PUSH)
    pull(str(place), back, PULL)
    for folder in (place, back):
        (folder / "manifest.json").write_text("{")
    with pytest.raises(StoreDamaged, match=r"place/manifest\.json"):
        push(store, str(place), PUSH)
    push(store, str(place), PushOptions(replace=True))
    with pytest.raises(StoreDamaged, match=r"back/manifest\.json"):
        pull(str(place), back, PULL)
    pull(str(place), back, PullOptions(replace=True))
    assert files_of(back) == travelling(place) == files_of(store)


def test_a_damaged_store_is_not_shown_to_others(store: Path, url: str, tmp_path: Path) -> None:
    file = store / read_manifest(store).shards[2].files["dropped"].path
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    with pytest.raises(StoreDamaged, match=file.name):
        push(store, url, PUSH)
    with pytest.raises(StoreError, match="there is no store"):
        pull(url, tmp_path / "back", PULL)
    file.write_bytes(data[:-1])
    with pytest.raises(StoreDamaged, match=file.name):
        push(store, url, PUSH)


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_only_files_of_the_store_itself_are_pushed(
    store: Path, url: str, tmp_path: Path, kind: str
) -> None:
    said = trap_recording(store, kind, tmp_path / "elsewhere")
    with pytest.raises(StoreDamaged, match=said):
        push(store, url, PUSH)


def test_a_second_writer_is_told_who_the_first_is(store: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    push(store, str(place), PUSH)
    lock = WriterLock(place / "build.lock")
    with pytest.raises(StoreError, match=r"place is being written by another process \(pid"):
        push(store, str(place), PUSH)
    with pytest.raises(StoreError, match=r"place is being written by another process \(pid"):
        pull(str(store), place, PULL)
    lock.release()
    push(store, str(place), PUSH)


@pytest.mark.parametrize("name", ["thesis.tex", "build.journal"])
def test_a_folder_that_holds_something_else_is_left_alone(
    store: Path, tmp_path: Path, name: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / name).write_text("mine")
    with pytest.raises((InputError, StoreError), match=r"[Cc]hoose another"):
        push(store, str(place), PUSH)
    with pytest.raises((InputError, StoreError), match=r"[Cc]hoose another"):
        pull(str(store), place, PULL)
    assert [path.name for path in place.iterdir()] == [name]


def test_a_pull_that_does_not_fit_on_the_disk_does_not_begin(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StoreError, match=r"room for 1,000 bytes, but [\d,]+ are to come"):
        pull(str(store), tmp_path / "back", PULL)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("s3://key:secret@bucket/x", "environment"),
        ("https://user:secret@example.org/x", "environment"),
        ("https://example.org/x?signature=secret", "SCHEME"),
        ("simplecache::s3://bucket/x", "SCHEME"),
        ("s3://", "SCHEME"),
        ("nosuch://x/y", "nosuch"),
        ("sftp://example.org/x", "paramiko"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_to_do(
    store: Path, tmp_path: Path, url: str, what: str
) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(InputError, match=what) as pushing:
        push(store, url, PUSH)
    with pytest.raises(InputError, match=what) as pulling:
        pull(url, tmp_path / "back", PULL)
    assert "secret@" not in f"{pushing.value} {pulling.value}"


def test_a_web_server_is_only_read(store: Path) -> None:
    with pytest.raises(InputError, match="can only be read"):
        push(store, "https://example.org/store", PUSH)


@pytest.mark.slow
@pytest.mark.parametrize(("what", "moments"), [("push", 30), ("pull", 30)])
def test_killed_before_any_change_of_the_disk_the_other_side_shows_a_whole_store(
    tmp_path: Path, what: str, moments: int
) -> None:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        done = subprocess.run(
            [sys.executable, str(CHILD), what, folder],
            check=False,
            capture_output=True,
            text=True,
            timeout=1500,
        )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= moments


def test_ctrl_c_does_not_wait_for_a_silent_server(store: Path, tmp_path: Path) -> None:
    server = HostileServer()
    data = (store / "manifest.json").read_bytes()
    server.on("/manifest.json", lambda talk: talk.reply(data))
    for shards in read_manifest(store).shards:
        for file in shards.files.values():
            server.on(f"/{file.path}", lambda talk: talk.wait(60))
    child = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "pull", server.url(), str(tmp_path / "back")],
        stderr=subprocess.PIPE,
        text=True,
    )
    while server.num_together < 4:
        assert child.poll() is None
        time.sleep(0.05)
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=120)[1]
    server.close()
    assert child.returncode == 130
    assert time.monotonic() - begun < 20  # of the 30 s that it waits for a silent server
    assert "interrupted" in said
    assert not (tmp_path / "back" / "manifest.json").exists()


def test_the_verbs_say_what_travelled(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, back = str(tmp_path / "place"), str(tmp_path / "back")
    assert main(["push", str(store), place, "--json"]) == 0
    pushed = json.loads(capsys.readouterr().out)
    assert pushed["sent"] == pushed["files"] == 19
    assert pushed["url"] == place
    assert main(["pull", place, back, "--threads", "2"]) == 0
    assert "19 of 19 files travelled" in capsys.readouterr().out
    assert main(["pull", str(tmp_path / "none"), back]) == 1
    assert "there is no store at" in capsys.readouterr().err
    assert main(["push", str(store), place, "--leave-out-texts-of", "kb"]) == 2
    assert main(["pull", place, back, "--photos", place]) == 2


def test_an_evidence_only_push_takes_neither_posts_nor_images_nor_recordings(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    assert main(["push", str(store), str(place), "--evidence-only"]) == 0
    assert read_manifest(place).withheld == ("images", "posts")
    assert not (place / "recordings").exists()
    assert verify_store(place).ok
    # The copy is made anew each time, and is the same.
    capsys.readouterr()
    assert main(["push", str(store), str(place), "--evidence-only", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sent"] == 0
    assert main(["push", str(store), str(place)]) == 1
    assert "what is left out" in capsys.readouterr().err
    less = ["--evidence-only", "--leave-out-texts-of", "kb", "--replace"]
    assert main(["push", str(store), str(place), *less]) == 0
    assert read_manifest(place).withheld == ("images", "posts", "texts")


def test_recordings_do_not_stay_where_posts_are_taken_back(
    store: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push(store, url, PUSH)
    retract = ["push", str(store), url, "--evidence-only", "--replace"]
    assert main(retract) == 1
    assert "recordings that quote posts" in capsys.readouterr().err
    pull(url, tmp_path / "before", PULL)
    assert read_manifest(tmp_path / "before") == read_manifest(store)

    assert main([*retract, "--prune"]) == 0
    pull(url, tmp_path / "after", PULL)
    assert read_manifest(tmp_path / "after").withheld == ("images", "posts")
    assert not list((tmp_path / "after").glob("recordings/*"))
    assert main(retract) == 0


def test_the_listing_for_the_web_names_no_recording_that_was_taken_back(
    store: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    push(store, str(place), PUSH)
    assert main(["push", str(store), str(place), "--evidence-only", "--replace", "--prune"]) == 0
    assert (place / "recordings.json").read_bytes() == listing([])
    with WebFolder(place) as web:
        pull(web.url, tmp_path / "back", PULL)
    assert not list((tmp_path / "back").glob("recordings/*"))


def test_recordings_of_a_store_without_its_posts_do_not_travel(
    store: Path, url: str, tmp_path: Path
) -> None:
    withhold_store(store, tmp_path / "copy")
    shutil.copytree(store / "recordings", tmp_path / "copy" / "recordings")
    with pytest.raises(InputError, match="--no-recordings"):
        push(tmp_path / "copy", url, PUSH)
    push(tmp_path / "copy", url, PushOptions(recordings=False))


def test_a_teammate_with_the_data_set_gets_the_whole_store_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built, place, back = (tmp_path / name for name in ("built", "place", "back"))
    build(built, dataset_in(tmp_path / "mine"))
    dataset_in(tmp_path / "theirs")
    assert main(["push", str(built), str(place), "--evidence-only"]) == 0
    join = ["pull", str(place), str(back), "--dataset", str(tmp_path / "theirs")]
    assert main(join) == 0
    assert "5 posts filled in (the store that things were left out of)" in capsys.readouterr().out
    assert read_manifest(back) == read_manifest(built)
    assert verify_store(back).ok
    # The evidence is kept as it came; nothing of it travels again.
    shutil.rmtree(back)
    assert main([*join, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sent_bytes"] == 0


def test_posts_that_the_data_set_at_hand_lacks_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built, place, back = (tmp_path / name for name in ("built", "place", "back"))
    build(built, dataset_in(tmp_path / "mine"))

    def change(lines: list[dict[str, object]]) -> None:
        lines[1]["tokens"] = ["these", "are", "other", "words"]
        del lines[4]

    dataset_in(tmp_path / "theirs", change)
    assert main(["push", str(built), str(place), "--evidence-only"]) == 0
    assert main(["pull", str(place), str(back), "--dataset", str(tmp_path / "theirs")]) == 1
    said = capsys.readouterr().out
    assert "posts that differ here, left out: 1 (p1)" in said
    assert "posts that are missing here, left out: 1 (p4)" in said
