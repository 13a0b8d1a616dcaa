"""What an owner leaves out is told from damage, by every reader and by verify."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cache_helpers import IDENTITY, Shard, build, image, shard, write

from cache import (
    Example,
    InputError,
    Observation,
    Post,
    Span,
    StoreDamaged,
    StoredExample,
    StoreWithheld,
    StoreWriter,
    fingerprint,
    open_store,
    post_sha256,
    read_manifest,
    verify_store,
)
from cache.card import data_card
from cache.manifest import write_manifest
from cache.schema import SCHEMAS
from cache.store import ReaderName
from cache.tables.shards import describe, parquet_bytes

READERS = get_args(ReaderName)
ORIGINAL = "0" * 64


def without_posts(row: StoredExample) -> StoredExample:
    post = Post(row.example.post.example_id, ())
    seen = replace(row.observation, post=post)
    return replace(row, example=Example(post, row.example.split), observation=seen)


def without_posts_and_images(part: Shard) -> Shard:
    return Shard(
        tuple(map(without_posts, part.rows)),
        part.dropped,
        tuple(replace(item, data=b"") for item in part.media),
    )


@pytest.fixture
def handed_on(tmp_path: Path) -> Path:
    path = tmp_path / "handed on"
    with StoreWriter(path, identity=IDENTITY, num_shards=2) as writer:
        for index in range(2):
            write(writer, index, without_posts_and_images(shard(index)))
        writer.close({}, withheld=["posts", "images"], original=ORIGINAL)
    return path


def forge(
    store: Path, table: str, change: Callable[[dict[str, Any]], object], **keys: Any
) -> None:
    """Change every row of a table and keys of the manifest, so that every hash fits."""
    content = json.loads((store / "manifest.json").read_text())
    del content["sha256"]
    for entry in content["shards"]:
        path = store / entry["files"][table]["path"]
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            change(row)
        data = parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMAS[table]), table)
        file = describe(table, entry["index"], data, len(rows))
        path.unlink()
        (store / file.path).write_bytes(data)
        entry["files"][table] = file.model_dump()
    content.update(keys)
    content["sha256"] = fingerprint(content)
    (store / "manifest.json").write_text(json.dumps(content))
    write_manifest(store, read_manifest(store))
    (store / "README.md").write_text(data_card(read_manifest(store)))


@pytest.mark.parametrize("kind", READERS)
def test_a_store_without_posts_is_opened_on_request_only(handed_on: Path, kind: Any) -> None:
    with pytest.raises(StoreWithheld, match="were left out by its owner"):
        open_store(handed_on, reader=kind)
    with open_store(handed_on, reader=kind, withheld_ok=True) as reader:
        for row in shard(0).rows:
            post = row.example.post
            found = reader.read(post.example_id)
            assert found.example == Example(Post(post.example_id, ()), row.example.split)
            assert found.post_sha256 == post_sha256(post)
            assert found.observation.photo_key == row.observation.photo_key
            assert [e.hit.text for e in found.evidence] == [e.hit.text for e in row.evidence]


@pytest.mark.parametrize("kind", READERS)
def test_an_image_that_was_left_out_is_no_damage_and_no_empty_image(
    handed_on: Path, kind: Any
) -> None:
    with (
        open_store(handed_on, reader=kind, withheld_ok=True) as reader,
        pytest.raises(StoreWithheld, match="left out of"),
    ):
        reader.media(image(0).key)


@pytest.mark.parametrize("kind", READERS)
def test_a_text_that_was_left_out_reads_as_empty(tmp_path: Path, kind: Any) -> None:
    build(tmp_path)
    summary = json.loads((tmp_path / "manifest.json").read_text())["summary"]
    forge(tmp_path, "texts", lambda row: row.update(text=None), withheld=["texts"])
    assert verify_store(tmp_path).ok
    assert json.loads((tmp_path / "manifest.json").read_text())["summary"] == summary
    with open_store(tmp_path, reader=kind) as reader:
        for row in shard(1).rows:
            found = reader.read(row.example.post.example_id)
            assert {evidence.hit.text for evidence in found.evidence} <= {""}
            assert len(found.evidence) == len(row.evidence)


def test_verify_takes_what_the_manifest_names_and_nothing_else(handed_on: Path) -> None:
    assert verify_store(handed_on).ok
    forge(handed_on, "examples", lambda row: None, withheld=["images"])
    assert "posts are missing" in verify_store(handed_on).problems[0]
    forge(handed_on, "examples", lambda row: None, withheld=["posts"])
    assert "wrong shard" in verify_store(handed_on).problems[0]


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": ["other"]},
        {"photo_name": "a.jpg"},
        {"relation": "/per/org/member_of"},
        {"entities": []},
        {"post_sha256": "no hash"},
    ],
)
def test_half_of_a_post_is_damage_also_where_posts_are_withheld(
    handed_on: Path, change: dict[str, Any]
) -> None:
    forge(handed_on, "examples", lambda row: row.update(change))
    assert "post_sha256" in verify_store(handed_on).problems[0]
    with (
        open_store(handed_on, reader="parquet", withheld_ok=True) as reader,
        pytest.raises(StoreDamaged, match="post_sha256"),
    ):
        reader.read("post-00-01")


def test_a_writer_refuses_to_leave_out_what_it_does_not_name(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=1) as writer:
        write(writer, 0, without_posts_and_images(shard(0)))
        with pytest.raises(InputError, match="lacks images and posts"):
            writer.close({})
        with pytest.raises(InputError, match="lacks posts"):
            writer.close({}, withheld=("images",))
        with pytest.raises(InputError, match="does not take withheld"):
            writer.close({}, withheld=("images", "posts", "videos"))
        writer.close({}, withheld=("posts", "images"))


def test_a_writer_refuses_the_hash_of_another_post(tmp_path: Path) -> None:
    row = replace(shard(0).rows[0], post_sha256=post_sha256(Post("a", ("other",))))
    with (
        StoreWriter(tmp_path, identity=IDENTITY, num_shards=1) as writer,
        pytest.raises(InputError, match="post_sha256"),
    ):
        write(writer, 0, Shard((row,), {}, ()))


def test_a_post_that_says_nothing_is_whole(tmp_path: Path) -> None:
    post = Post("a", ())
    row = StoredExample(Example(post, "train"), Observation(post), ())
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=1) as writer:
        write(writer, 0, Shard((row,), {}, ()))
        writer.close({})
    assert verify_store(tmp_path).ok


def test_the_hash_of_a_post_is_of_its_inputs_and_nothing_else() -> None:
    post = Post("a", ("Ü", "b"), "a.jpg", Span(0, 1), Span(1, 2))
    assert post_sha256(post) == post_sha256(replace(post, example_id="b", photo_name=""))
    others = [
        replace(post, tokens=("Üb",)),
        replace(post, head=None),
        replace(post, head=post.tail, tail=post.head),
    ]
    assert len({post_sha256(other) for other in (post, *others)}) == 4
    document = '{"head":[0,1],"tail":[1,2],"tokens":["Ü","b"]}'
    assert post_sha256(post) == fingerprint(json.loads(document))
