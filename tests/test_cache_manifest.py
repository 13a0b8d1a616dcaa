"""A manifest is data from elsewhere: whatever it says, nothing outside the store is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cache_helpers import IDENTITY, build, files_of, image, shard, write

from cache import (
    Recording,
    Recordings,
    StoreDamaged,
    StoreError,
    StoreMismatch,
    StoreOutdated,
    StoreWriter,
    content_key,
    fingerprint,
    open_store,
    read_manifest,
    verify_store,
)


def rewrite(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest the way an attacker would: with a hash that fits."""
    path = store / "manifest.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    change(content)
    content["sha256"] = fingerprint(content)
    path.write_text(json.dumps(content))


def _file(content: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = content["shards"][0]["files"]["examples"]
    return entry


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside.parquet",
        "examples/../../outside.parquet",
        "examples/part-00000-000000000000.parquet\n",
        "local/part-00000-000000000000.parquet",
        "examples/part-00000-000000000000.parquet",
        "",
    ],
)
def test_a_path_that_is_not_the_name_of_its_content_is_refused(tmp_path: Path, path: str) -> None:
    build(tmp_path, 1)
    rewrite(tmp_path, lambda content: _file(content).update(path=path))
    with pytest.raises(StoreDamaged, match="names"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(extra=1),
        lambda c: c.pop("counters"),
        lambda c: c.pop("withheld"),
        lambda c: c.pop("original"),
        lambda c: c.pop("rights"),
        lambda c: c.pop("summary"),
        lambda c: c["shards"][0].pop("compared_with"),
        lambda c: c.update(withheld=["videos"]),
        lambda c: c.update(withheld=["posts", "images"]),
        lambda c: c.update(withheld=["posts", "posts"]),
        lambda c: c.update(original="0" * 64),
        lambda c: c.update(rights={"licence": 1}),
        lambda c: c.update(shards=c["shards"][::-1]),
        lambda c: c["shards"][0]["files"].pop("media"),
        lambda c: c["shards"][0].update(embedding_dim=0),
        lambda c: c["shards"][0].update(embedding_dim=9),
        lambda c: _file(c).update(rows=-1),
        lambda c: _file(c).update(rows="5"),
        lambda c: _file(c).update(size_bytes=1 << 80),
        lambda c: _file(c).update(sha256="0" * 63),
        lambda c: c.update(identity=[]),
    ],
)
def test_a_manifest_that_does_not_follow_the_format_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    build(tmp_path, 2)
    rewrite(tmp_path, change)
    with pytest.raises(StoreDamaged, match=r"manifest.json cannot be used"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"schema_version": NaN}',
        b"[" * 100_000,
        b'{"schema_version": 3, "sha256": "0", "a": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
        b'{"schema_version": 3, "identity": "\\ud800"}',
    ],
)
def test_text_that_is_no_manifest_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(StoreDamaged, match=r"manifest.json cannot be used"):
        read_manifest(tmp_path)


def test_an_edit_by_hand_is_noticed(tmp_path: Path) -> None:
    build(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"posts": 15', '"posts": 16'))
    with pytest.raises(StoreDamaged, match="edited or damaged"):
        open_store(tmp_path)


@pytest.mark.parametrize("version", [0, 4, "1", None, True])
def test_another_schema_is_refused_with_the_way_out(tmp_path: Path, version: object) -> None:
    build(tmp_path, 1)
    rewrite(tmp_path, lambda content: content.update(schema_version=version))
    with pytest.raises(StoreMismatch, match=r"reads schema 3.*Use the code version") as error:
        open_store(tmp_path)
    assert not isinstance(error.value, StoreOutdated)


@pytest.mark.parametrize("reader", ["lmdb", "packed", "parquet"])
def test_an_older_schema_is_refused_and_building_again_in_place_asks_nobody(
    tmp_path: Path, reader: Any
) -> None:
    build(tmp_path, 1)
    with Recordings(tmp_path / "recordings") as recordings:
        answer = Recording(content_key(b"query"), "kb", "{}", "", b"answer")
        recordings.put_segment([answer], [image(0), image(1)])
    rewrite(tmp_path, lambda content: content.update(schema_version=2))
    with pytest.raises(StoreOutdated, match=r"schema 2, .*reads schema 3.*nobody is asked"):
        open_store(tmp_path, reader=reader)
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=1) as writer:
        assert writer.finished_shards() == set()
        write(writer, 0, shard(0))
        writer.close({"posts": 5})
    assert verify_store(tmp_path).ok
    assert answer.key in Recordings(tmp_path / "recordings")


def test_the_journal_of_an_older_schema_is_replaced_and_what_it_named_is_cleared_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=2) as writer:
        write(writer, 1, shard(1, 3))
    path = tmp_path / "build.journal"
    head = {**json.loads(path.read_bytes().split(b"\n")[0])["entry"], "schema_version": 1}
    path.write_text(json.dumps({"check": fingerprint(head), "entry": head}) + "\n")
    build(tmp_path, 2)
    assert "is of schema 1; its build begins again" in caplog.text
    assert verify_store(tmp_path).ok
    build(tmp_path / "plain", 2)
    plain = files_of(tmp_path / "plain")
    assert {n: d for n, d in files_of(tmp_path).items() if "plain" not in n} == plain


def test_a_folder_without_a_manifest_is_called_unfinished(tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged, match=r"did not finish.*Run the build again"):
        open_store(tmp_path / "nowhere")


@pytest.mark.parametrize("reader", ["lmdb", "packed", "parquet"])
def test_links_out_of_the_store_are_not_followed(tmp_path: Path, reader: Any) -> None:
    build(tmp_path / "store", 1)
    file = next((tmp_path / "store" / "media").iterdir())
    file.rename(tmp_path / "outside")
    file.symlink_to(tmp_path / "outside")
    with pytest.raises(StoreDamaged, match="not a regular file"):
        open_store(tmp_path / "store", reader=reader)
    file.unlink()
    (tmp_path / "outside").rename(file)
    (tmp_path / "store" / "media").rename(tmp_path / "folder")
    (tmp_path / "store" / "media").symlink_to(tmp_path / "folder")
    with pytest.raises(StoreDamaged, match="symbolic link"):
        open_store(tmp_path / "store", reader=reader)


def test_a_shard_of_other_columns_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    build(tmp_path, 1)
    entry = read_manifest(tmp_path).shards[0].files
    data = (tmp_path / entry["dropped"].path).read_bytes()
    sha256 = entry["dropped"].sha256
    path = f"evidence/part-00000-{sha256[:12]}.parquet"
    (tmp_path / path).write_bytes(data)

    def swap(content: dict[str, Any]) -> None:
        content["shards"][0]["files"]["evidence"].update(
            path=path, sha256=sha256, size_bytes=len(data), rows=entry["dropped"].rows
        )

    rewrite(tmp_path, swap)
    with pytest.raises(StoreMismatch, match="other columns than the table evidence"):
        open_store(tmp_path)


def test_a_wrong_number_of_rows_or_embedding_length_is_noticed(tmp_path: Path) -> None:
    build(tmp_path, 1)
    rewrite(tmp_path, lambda content: _file(content).update(rows=6))
    with pytest.raises(StoreError, match="5 rows instead of 6"):
        open_store(tmp_path)
    rewrite(tmp_path, lambda content: _file(content).update(rows=5))
    rewrite(tmp_path, lambda content: content["shards"][0].update(embedding_dim=1 << 20))
    with pytest.raises(StoreDamaged, match="8 numbers where 1048576 belong"):
        open_store(tmp_path)
