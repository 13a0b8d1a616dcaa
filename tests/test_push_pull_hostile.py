"""Promises of `ramie pull` from somebody who means harm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cache_helpers import files_of
from hostile_server import Answer, HostileServer, Talk
from sharing_helpers import make_store

from cache import (
    InputError,
    StoreDamaged,
    StoreError,
    StoreMismatch,
    StoreOutdated,
    fingerprint,
    read_manifest,
)
from pipelines.sharing import agreed, transfer
from pipelines.sharing.pull import PullOptions, pull
from pipelines.sharing.push import PushOptions, push

PULL = PullOptions()
MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def server(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileServer]:
    """A server that means no harm yet: it shows ``store``."""
    monkeypatch.setattr(transfer, "_FIRST_WAIT_S", 0.01)
    made = HostileServer()
    for name, data in files_of(store).items():
        made.on(f"/{name}", whole(data))
    yield made
    made.close()


@pytest.fixture
def back(tmp_path: Path) -> Path:
    return tmp_path / "inside" / "back"


def whole(data: bytes) -> Answer:
    return lambda talk: talk.reply(data)


def endless(first: bytes = b"") -> Answer:
    def send(talk: Talk) -> None:
        talk.reply(first, Content_Length=str(1 << 40))
        while True:
            talk.send(b"\0" * (64 << 10))

    return send


def edited(store: Path, change: Callable[[dict[str, object]], object]) -> bytes:
    """A manifest that says something else, and whose own hash fits."""
    content = json.loads((store / "manifest.json").read_text())
    del content["sha256"]
    change(content)
    return json.dumps({**content, "sha256": fingerprint(content)}).encode()


@pytest.mark.parametrize(
    "name",
    [
        "../../../evil",
        "/tmp/evil",
        "examples/../../evil.parquet",
        "local/features-0123456789abcdef.lmdb",
        "examples/part-00000-0123456789ab.parquet\n",
    ],
)
def test_a_manifest_that_names_other_files_ends_before_anything_is_fetched(
    store: Path, server: HostileServer, back: Path, name: str
) -> None:
    def change(content: dict[str, object]) -> None:
        content["shards"][0]["files"]["examples"]["path"] = name  # type: ignore[index]

    server.on("/manifest.json", whole(edited(store, change)))
    with pytest.raises(StoreDamaged, match=rf"^{server.url()}manifest.json cannot be used"):
        pull(server.url(), back, PULL)
    assert server.paths == ["/manifest.json"]
    assert not back.exists()


@pytest.mark.parametrize("version", [0, 2, 4, True, "3", None])
def test_another_schema_ends_before_anything_is_fetched(
    store: Path, server: HostileServer, back: Path, version: object
) -> None:
    server.on(
        "/manifest.json",
        whole(edited(store, lambda content: content.update(schema_version=version))),
    )
    with pytest.raises(StoreMismatch, match=r"/manifest\.json has schema"):
        pull(server.url(), back, PULL)
    assert server.paths == ["/manifest.json"]


def test_an_older_schema_elsewhere_is_a_matter_for_its_owner(
    store: Path, server: HostileServer, back: Path, tmp_path: Path
) -> None:
    old = edited(store, lambda content: content.update(schema_version=2))
    server.on("/manifest.json", whole(old))
    way_out = "Ask its owner to migrate it and to push it again"
    with pytest.raises(StoreOutdated, match=f"schema 2, but .* {way_out}") as caught:
        pull(server.url(), back, PULL)
    assert "ramie migrate http" not in str(caught.value)

    place = tmp_path / "place"
    push(store, str(place), PushOptions())
    (place / "manifest.json").write_bytes(old)
    with pytest.raises(StoreOutdated, match="--replace"):
        push(store, str(place), PushOptions())
    push(store, str(place), PushOptions(replace=True))
    assert read_manifest(place) == read_manifest(store)


def test_an_endless_manifest_is_cut_off(
    server: HostileServer, back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreed, "_MAX_MANIFEST_BYTES", MIB)
    server.on("/manifest.json", endless())
    with pytest.raises(StoreError, match="more than 1 MiB, which no manifest has"):
        pull(server.url(), back, PULL)
    assert server.num_sent < 8 * MIB


def test_sizes_that_no_disk_has_end_before_anything_is_fetched(
    store: Path, server: HostileServer, back: Path
) -> None:
    def change(content: dict[str, object]) -> None:
        content["shards"][0]["files"]["examples"]["size_bytes"] = 1 << 52  # type: ignore[index]

    server.on("/manifest.json", whole(edited(store, change)))
    with pytest.raises(StoreError, match="has room for"):
        pull(server.url(), back, PullOptions(recordings=False))
    assert server.paths == ["/manifest.json"]


@pytest.mark.parametrize("right", [True, False])
def test_a_file_that_does_not_end_is_cut_off_where_the_manifest_says(
    store: Path, server: HostileServer, back: Path, right: bool
) -> None:
    entry = read_manifest(store).shards[0].files["media"]
    data = (store / entry.path).read_bytes()
    server.on(f"/{entry.path}", endless(data if right else b""))
    if right:
        pull(server.url(), back, PullOptions(recordings=False))
        assert (back / entry.path).read_bytes() == data
    else:
        with pytest.raises(StoreError, match=f"{entry.path} does not have the content"):
            pull(server.url(), back, PULL)
        assert server.paths.count(f"/{entry.path}") == 4
        assert not list(back.glob("media/.tmp-*"))
    assert server.num_sent < 40 * MIB


def test_wrong_bytes_are_fetched_again_and_then_the_file_is_named(
    store: Path, server: HostileServer, back: Path
) -> None:
    entry = read_manifest(store).shards[1].files["texts"]
    data = (store / entry.path).read_bytes()
    wrong = data[:-1] + bytes([data[-1] ^ 1])
    answers = iter([wrong, wrong, data])
    server.on(f"/{entry.path}", lambda talk: talk.reply(next(answers)))
    done = pull(server.url(), back, PULL)
    assert (back / entry.path).read_bytes() == data
    assert done.sent == done.files
    server.on(f"/{entry.path}", whole(wrong))
    (back / entry.path).unlink()
    with pytest.raises(StoreError, match=f"{entry.path} does not have the content"):
        pull(server.url(), back, PULL)
    # The store that was there is as it was, but for what was missing.
    assert read_manifest(back) == read_manifest(store)


def test_a_file_that_ends_early_is_asked_for_the_rest_and_then_named(
    store: Path, server: HostileServer, back: Path
) -> None:
    entry = read_manifest(store).shards[1].files["texts"]
    data = (store / entry.path).read_bytes()
    server.on(f"/{entry.path}", whole(data[:100]))
    with pytest.raises(StoreError, match=f"{entry.path} ended after 100 of {len(data)} bytes"):
        pull(server.url(), back, PULL)
    asked = [head for head in server.heads if entry.path in head]
    assert ["Range: bytes=100-" in head for head in asked] == [False, True, True, True]
    assert not (back / "manifest.json").exists()


def test_another_range_than_asked_for_is_refused(
    store: Path, server: HostileServer, back: Path
) -> None:
    entry = read_manifest(store).shards[1].files["texts"]
    data = (store / entry.path).read_bytes()
    part = (back / entry.path).with_name(f".tmp-pull-{Path(entry.path).name}")
    part.parent.mkdir(parents=True)
    part.write_bytes(data[:100])
    head = {"Content_Range": f"bytes 50-{len(data) - 1}/{len(data)}"}
    server.on(f"/{entry.path}", lambda talk: talk.reply(data[50:], "206 Partial Content", **head))
    with pytest.raises(StoreError, match="did not answer with the bytes asked for"):
        pull(server.url(), back, PULL)
    assert part.read_bytes() == data[:100]


def test_a_missing_shard_is_named_and_nothing_is_shown(
    store: Path, server: HostileServer, back: Path
) -> None:
    entry = read_manifest(store).shards[2].files["examples"]
    del server.answers[f"/{entry.path}"]
    with pytest.raises(StoreError, match=f"{entry.path} failed: it does not exist"):
        pull(server.url(), back, PULL)
    assert server.paths.count(f"/{entry.path}") == 1
    assert not (back / "manifest.json").exists()


def test_a_missing_recording_is_passed_over(
    store: Path, server: HostileServer, back: Path, tmp_path: Path
) -> None:
    push(store, str(tmp_path / "place"), PushOptions())
    server.on("/recordings.json", whole((tmp_path / "place" / "recordings.json").read_bytes()))
    gone = next((store / "recordings").glob("answers-*"))
    del server.answers[f"/recordings/{gone.name}"]
    pull(server.url(), back, PULL)
    kept = {path.name for path in (store / "recordings").iterdir()} - {gone.name}
    assert {path.name for path in (back / "recordings").iterdir()} == kept


@pytest.mark.parametrize(
    "listing",
    [
        b"",
        b"[]",
        b'{"recordings": [{"name": "../evil", "size_bytes": 1}]}',
        b'{"recordings": [{"name": "recordings/../../evil.parquet", "size_bytes": 1}]}',
        b'{"recordings": [{"name": "local/data.mdb", "size_bytes": 1}]}',
        b'{"recordings": [{"name": "recordings/answers-%s.parquet", "size_bytes": -1}]}'
        % (b"0" * 32),
        b'{"recordings": ["\xff"]}',
        b"[" * 100_000,
    ],
)
def test_a_listing_of_anything_but_recordings_is_refused(
    server: HostileServer, back: Path, listing: bytes
) -> None:
    server.on("/recordings.json", whole(listing))
    with pytest.raises(StoreDamaged, match=r"recordings\.json cannot be used.*--no-recordings"):
        pull(server.url(), back, PULL)
    assert server.paths == ["/manifest.json", "/recordings.json"]
    pull(server.url(), back, PullOptions(recordings=False))


def test_a_recording_that_is_none_is_not_kept(
    server: HostileServer, back: Path, tmp_path: Path
) -> None:
    from hashlib import sha256

    data = b"no Parquet"
    name = f"recordings/answers-{sha256(data).hexdigest()[:32]}.parquet"
    listed = {"recordings": [{"name": name, "size_bytes": len(data)}]}
    server.on(f"/{name}", whole(data))
    server.on("/recordings.json", whole(json.dumps(listed).encode()))
    with pytest.raises(StoreDamaged, match="cannot be read"):
        pull(server.url(), back, PULL)
    assert not (back / name).exists()
    assert not (back / "manifest.json").exists()


def test_the_card_of_a_stranger_is_not_taken(
    store: Path, server: HostileServer, back: Path
) -> None:
    server.on("/README.md", whole(b"<script>"))
    pull(server.url(), back, PULL)
    assert (back / "README.md").read_bytes() == (store / "README.md").read_bytes()
    assert "/README.md" not in server.paths


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_into_this_network_is_not_followed(
    server: HostileServer, back: Path, host: str
) -> None:
    inner = HostileServer()
    target = inner.url("/manifest.json", host)
    server.on("/manifest.json", lambda talk: talk.reply(b"", "302 Found", Location=target))
    with pytest.raises(InputError, match="no public address"):
        pull(server.url(), back, PULL)
    assert inner.paths == []
    inner.close()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/x", "gopher://x/"])
def test_a_redirect_to_another_scheme_is_not_followed(
    server: HostileServer, back: Path, target: str
) -> None:
    server.on("/manifest.json", lambda talk: talk.reply(b"", "302 Found", Location=target))
    with pytest.raises((InputError, StoreError), match=r"[Rr]edirect"):
        pull(server.url(), back, PULL)


def test_a_redirect_on_the_same_host_is_followed(
    store: Path, server: HostileServer, back: Path
) -> None:
    data = (store / "manifest.json").read_bytes()
    server.on("/there", whole(data))
    server.on("/manifest.json", lambda talk: talk.reply(b"", "302 Found", Location="/there"))
    pull(server.url(), back, PullOptions(recordings=False))
    assert read_manifest(back) == read_manifest(store)


def _folder(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    secret = path.parent.parent.parent / "secret"
    secret.write_bytes(b"x" * 1000)
    path.symlink_to(secret)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [_folder, _link, _pipe])
@pytest.mark.parametrize("what", ["shard", "manifest.json"])
def test_in_a_folder_only_plain_files_are_taken(
    store: Path, back: Path, what: str, make: Callable[[Path], None]
) -> None:
    entry = read_manifest(store).shards[1].files["texts"]
    path = store / (entry.path if what == "shard" else what)
    path.unlink()
    make(path)
    with pytest.raises(StoreDamaged, match=f"{path.name} is not a regular file"):
        pull(str(store), back, PullOptions(recordings=False))
    assert not (back / "manifest.json").exists()


def test_in_a_folder_no_link_to_a_folder_is_followed(store: Path, back: Path) -> None:
    (store / "texts").rename(store.parent / "elsewhere")
    (store / "texts").symlink_to(store.parent / "elsewhere")
    with pytest.raises(StoreDamaged, match="symbolic link"):
        pull(str(store), back, PULL)


def test_nothing_is_written_through_links_in_the_target(
    store: Path, back: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    back.mkdir(parents=True)
    (back / "texts").symlink_to(elsewhere)
    with pytest.raises(StoreDamaged, match="texts is a symbolic link"):
        pull(str(store), back, PULL)
    (back / "texts").unlink()
    entry = read_manifest(store).shards[1].files["texts"]
    (elsewhere / "victim").write_bytes(b"mine")
    part = back / "texts" / f".tmp-pull-{Path(entry.path).name}"
    part.parent.mkdir()
    part.symlink_to(elsewhere / "victim")
    with pytest.raises(StoreError, match="cannot write"):
        pull(str(store), back, PULL)
    assert (elsewhere / "victim").read_bytes() == b"mine"
    assert [path.name for path in elsewhere.iterdir()] == ["victim"]


def test_a_newer_push_meanwhile_is_said(store: Path, server: HostileServer, back: Path) -> None:
    first = (store / "manifest.json").read_bytes()
    second = edited(store, lambda content: content.update(rights={"licence": "other"}))
    manifests = iter([first, second])
    server.on("/manifest.json", lambda talk: talk.reply(next(manifests)))
    assert pull(server.url(), back, PullOptions(recordings=False)).changed_meanwhile
    assert read_manifest(back) == read_manifest(store)
