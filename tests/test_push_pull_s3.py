"""Promises of `ramie push` and `ramie pull` over S3, on a real server on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cache_helpers import files_of
from sharing_helpers import change_store, make_store, shown

from cache import StoreError, read_manifest, verify_store
from pipelines.bench.counting_proxy import CountingProxy
from pipelines.bench.s3_server import BUCKET, s3_environment, s3_server
from pipelines.sharing import bucket, transfer
from pipelines.sharing import push as pushing
from pipelines.sharing.pull import PullOptions, pull
from pipelines.sharing.push import PushOptions, push
from pipelines.sharing.remote import Destination

pytest.importorskip("s3fs")
pytest.importorskip("moto")

PUSH, PULL = PushOptions(), PullOptions()
MIB = 1 << 20
# What requests and answers weigh beside the bytes of files.
HEADS = 200_000


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def proxy(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingProxy]:
    monkeypatch.setattr(transfer, "_FIRST_WAIT_S", 0.01)
    with CountingProxy(s3_port) as made:
        for name, value in s3_environment(made.url).items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def url() -> str:
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/store"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "store")
    return tmp_path / "store"


def files_there(url: str) -> list[str]:
    import fsspec

    fs = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    return [str(name) for name in fs.find(url.removeprefix("s3://"))]


def uploads_there(url: str) -> list[object]:
    import fsspec

    fs = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    answer = fs.call_s3("list_multipart_uploads", Bucket=BUCKET, Prefix=prefix)
    return list(answer.get("Uploads", []))


def test_a_store_comes_back_as_it_was_pushed(
    proxy: CountingProxy, store: Path, url: str, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    push(store, url, PUSH)
    pull(url, back, PULL)
    assert files_of(back) == files_of(store)
    assert verify_store(back).ok
    change_store(store)
    push(store, url, PushOptions(prune=True))
    pull(url, back, PULL)
    assert files_of(back) == files_of(store)
    assert len(files_there(url)) == len(files_of(store)) + len(["recordings.json"])


def test_the_second_time_only_manifests_and_names_travel(
    proxy: CountingProxy, store: Path, url: str, tmp_path: Path
) -> None:
    push(store, url, PUSH)
    pull(url, tmp_path / "back", PULL)
    proxy.to_server = proxy.to_client = 0
    again = [push(store, url, PUSH), pull(url, tmp_path / "back", PULL)]
    assert [(done.sent, done.sent_bytes) for done in again] == [(0, 0)] * 2
    manifest = (store / "manifest.json").stat().st_size
    assert proxy.to_client < 4 * manifest + 40_000
    assert proxy.to_server < 30_000


class Flip:
    """Turns one bit of the payload of ``times`` connections, once each."""

    def __init__(self, upwards: bool, needle: bytes, times: int) -> None:
        self._upwards = upwards
        self._needle = needle
        self.left = times

    def __call__(self, data: bytes, up: bool) -> bytes:
        found = data.find(self._needle)
        if up != self._upwards or not self.left or found < 0:
            return data
        self.left -= 1
        middle = found + len(self._needle) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("large", [False, True])
def test_a_byte_that_turns_on_the_way_there_is_found_and_sent_again(
    proxy: CountingProxy, store: Path, url: str, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        # moto, like S3, wants parts of 5 MiB, but not of the last one; so there is only one.
        monkeypatch.setattr(bucket, "PART_BYTES", 1)
        monkeypatch.setattr(bucket, "_MOST_PARTS", 1)
    entry = read_manifest(store).shards[1].files["texts"]
    needle = (store / entry.path).read_bytes()[100:200]
    flip = Flip(True, needle, times=2)
    proxy.tamper = flip
    push(store, url, PUSH)
    assert flip.left == 0
    proxy.tamper = None
    pull(url, store.with_name("back"), PULL)
    assert files_of(store.with_name("back")) == files_of(store)


def test_bytes_that_always_turn_on_the_way_there_are_named_and_nothing_is_shown(
    proxy: CountingProxy, store: Path, url: str
) -> None:
    entry = read_manifest(store).shards[1].files["texts"]
    needle = (store / entry.path).read_bytes()[100:200]
    proxy.tamper = Flip(True, needle, times=1000)
    with pytest.raises(StoreError, match=f"{entry.path} arrived with other bytes"):
        push(store, url, PUSH)
    left = files_there(url)
    assert not [name for name in left if name.endswith((entry.path, "manifest.json"))]


@pytest.mark.parametrize("large", [False, True])
def test_where_the_server_hashes_what_it_encrypted_the_file_is_read_back(
    proxy: CountingProxy, store: Path, url: str, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr(bucket, "PART_BYTES", 1)
        monkeypatch.setattr(bucket, "_MOST_PARTS", 1)
    monkeypatch.setattr(bucket, "_fits", lambda answer, md5: False)
    monkeypatch.setattr(bucket, "_is_encrypted", lambda answer: True)
    entry = read_manifest(store).shards[1].files["texts"]
    needle = (store / entry.path).read_bytes()[100:200]
    proxy.tamper = flip = Flip(True, needle, times=2)
    push(store, url, PushOptions(recordings=False))
    assert flip.left == 0
    pull(url, store.with_name("back"), PULL)
    assert shown(store.with_name("back")) == read_manifest(store)


def test_a_byte_that_turns_on_the_way_back_is_found_and_fetched_again(
    proxy: CountingProxy, store: Path, url: str, tmp_path: Path
) -> None:
    push(store, url, PUSH)
    entry = read_manifest(store).shards[1].files["texts"]
    needle = (store / entry.path).read_bytes()[100:200]
    proxy.tamper = flip = Flip(False, needle, times=2)
    pull(url, tmp_path / "back", PULL)
    assert flip.left == 0
    assert files_of(tmp_path / "back") == files_of(store)
    proxy.tamper = Flip(False, needle, times=1000)
    with pytest.raises(StoreError, match=f"{entry.path} does not have the content"):
        pull(url, tmp_path / "again", PULL)
    assert not (tmp_path / "again" / "manifest.json").exists()


def killed(
    arguments: list[str],
    proxy: CountingProxy,
    num_bytes: int,
    until: Callable[[], bool] = lambda: True,
) -> None:
    """Run ``ramie`` and kill it after so many bytes: no more pass, so that it cannot end.

    Before, wait until what passed has come to what ``until`` says.
    """
    with proxy.holding_back(num_bytes) as holding:
        child = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", *arguments], env=os.environ
        )
        while not (holding.is_set() and until()) and child.poll() is None:
            time.sleep(0.002)
        child.kill()
        assert child.wait() < 0, "it ended before it was killed"


def partly_there(store: Path) -> int:
    """Return how many bytes there are of files that a pull has begun."""
    return sum(path.stat().st_size for path in store.rglob(".tmp-pull-*"))


def is_partly_there(store: Path, num_bytes: int) -> bool:
    return partly_there(store) >= num_bytes


@pytest.mark.slow
def test_killed_again_and_again_only_what_is_missing_travels(
    proxy: CountingProxy, tmp_path: Path, url: str
) -> None:
    store, back = tmp_path / "store", tmp_path / "back"
    make_store(store, recorded=1, size=26 * MIB)
    size = sum(map(len, files_of(store).values()))
    for _ in range(2):
        killed(["push", str(store), url, "--threads", "1"], proxy, 11 * MIB)
        assert not [name for name in files_there(url) if name.endswith("manifest.json")]
    done = push(store, url, PUSH)
    # Of each run, the part that was under way is lost.
    assert proxy.to_server < size + 2 * bucket.PART_BYTES + HEADS
    assert done.sent_bytes < size - 2 * bucket.PART_BYTES + HEADS
    for run in (1, 2):
        # Of each run, all that passed is there, but what is in the buffers of the process.
        arrived = partial(is_partly_there, back, run * 10 * MIB)
        killed(["pull", url, str(back), "--threads", "1"], proxy, 11 * MIB, arrived)
        assert not (back / "manifest.json").exists()
    there, proxy.to_client = partly_there(back), 0
    pull(url, back, PULL)
    assert proxy.to_client < size - there + HEADS
    assert files_of(back) == files_of(store)
    assert verify_store(back).ok


@pytest.mark.slow
def test_killed_at_any_moment_the_old_store_is_shown_until_the_new_one_is_whole(
    proxy: CountingProxy, store: Path, tmp_path: Path, url: str
) -> None:
    push(store, url, PUSH)
    old = read_manifest(store)
    new = change_store(store)
    for number, num_bytes in enumerate((12_000, 30_000)):
        killed(["push", str(store), url, "--threads", "1"], proxy, num_bytes)
        back = tmp_path / f"back-{number}"
        pull(url, back, PULL)
        assert shown(back) in (old, new)
    push(store, url, PUSH)
    pull(url, tmp_path / "back", PULL)
    assert shown(tmp_path / "back") == new


def test_parts_of_an_upload_that_was_given_up_are_removed_by_prune(
    proxy: CountingProxy, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    make_store(store, recorded=1, size=12 * MIB)
    monkeypatch.setattr(
        bucket._MultipartUpload, "_send_part", lambda *_: exec("raise OSError('broken off')")
    )
    with pytest.raises(StoreError, match="broken off"):
        push(store, url, PUSH)
    assert uploads_there(url)
    monkeypatch.undo()
    for name, value in s3_environment(proxy.url).items():
        monkeypatch.setenv(name, value)
    push(store, url, PushOptions(recordings=False, prune=True))
    assert not uploads_there(url)


def test_prune_does_not_mind_an_upload_that_ends_meanwhile(
    proxy: CountingProxy, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    store = tmp_path / "store"
    make_store(store, recorded=1)
    push(store, url, PUSH)
    fs = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    where = {"Bucket": BUCKET, "Key": f"{url.removeprefix(f's3://{BUCKET}/')}/another"}
    fs.call_s3("create_multipart_upload", **where)
    listed, ended = bucket._uploads, list[dict[str, Any]]()

    def ended_once_seen(*given: Any) -> list[dict[str, Any]]:
        seen = list(listed(*given))
        for upload in seen:
            fs.call_s3("abort_multipart_upload", **where, UploadId=upload["UploadId"])
        ended.extend(seen)
        return seen

    monkeypatch.setattr(bucket, "_uploads", ended_once_seen)
    push(store, url, PushOptions(prune=True))
    assert ended


def meanwhile(monkeypatch: pytest.MonkeyPatch, store: Path, url: str, how: PushOptions) -> None:
    """Let somebody else push ``store`` just before the next push shows its manifest."""
    original = pushing._publish_recordings

    def push_first(remote: Destination) -> None:
        monkeypatch.setattr(pushing, "_publish_recordings", original)
        push(store, url, how)
        original(remote)

    monkeypatch.setattr(pushing, "_publish_recordings", push_first)


@pytest.mark.parametrize("prune", [False, True])
def test_of_two_pushers_the_later_one_is_told_and_both_stores_are_whole(
    proxy: CountingProxy,
    store: Path,
    tmp_path: Path,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    prune: bool,
) -> None:
    mine = tmp_path / "mine"
    make_store(mine)
    change_store(mine)
    meanwhile(monkeypatch, store, url, PushOptions(prune=prune))
    assert push(mine, url, PUSH).changed_meanwhile
    pull(url, tmp_path / "back", PULL)
    assert shown(tmp_path / "back") == read_manifest(mine)
    # What the other one named is still there: to be the shown one, it only takes its manifest.
    assert push(store, url, PUSH).sent == 0
    assert not push(store, url, PUSH).changed_meanwhile


def test_two_pushers_of_one_store_at_once_leave_it_whole(
    proxy: CountingProxy, tmp_path: Path, url: str
) -> None:
    store = tmp_path / "store"
    make_store(store, recorded=1, size=20 * MIB)
    failures: list[Exception] = []

    def one() -> None:
        try:
            push(store, url, PUSH)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    pull(url, tmp_path / "back", PULL)
    assert files_of(tmp_path / "back") == files_of(store)


def test_an_upload_that_another_pusher_ends_before_its_parts_are_listed_is_begun_anew(
    proxy: CountingProxy, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    store = tmp_path / "store"
    make_store(store, recorded=1, size=9 * MIB)
    listed = bucket._uploads
    ended: list[dict[str, Any]] = []
    fs = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    (large,) = (name for name, data in files_of(store).items() if len(data) > bucket.PART_BYTES)
    where = {"Bucket": BUCKET, "Key": f"{url.removeprefix(f's3://{BUCKET}/')}/{large}"}
    fs.call_s3("create_multipart_upload", **where)

    def ended_once_seen(*given: Any) -> list[dict[str, Any]]:
        seen = listed(*given)
        if not ended:
            ended.extend(seen)
            fs.call_s3("abort_multipart_upload", **where, UploadId=seen[0]["UploadId"])
        return seen

    monkeypatch.setattr(bucket, "_uploads", ended_once_seen)
    push(store, url, PUSH)
    assert ended
    pull(url, tmp_path / "back", PULL)
    assert files_of(tmp_path / "back") == files_of(store)


def test_keys_are_in_no_message(
    proxy: CountingProxy, store: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.cli import main

    assert main(["push", str(store), "s3://no-such-bucket/x"]) == 1
    said = capsys.readouterr()
    assert "no-such-bucket" in said.err
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in said.err + said.out


def test_without_keys_the_message_says_where_they_are_looked_for(
    proxy: CountingProxy, store: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID"):
        push(store, url, PUSH)
