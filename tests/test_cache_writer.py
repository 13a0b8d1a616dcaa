"""Writing a store: equal input gives equal bytes, whatever happened on the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from cache_helpers import (
    IDENTITY,
    Shard,
    build,
    files_of,
    image,
    plain,
    shard,
    stored,
    texts_of,
    vector,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cache import (
    Dropped,
    Example,
    InputError,
    Media,
    Observation,
    Post,
    Span,
    StoredExample,
    StoreError,
    StoreMismatch,
    StoreWriter,
    open_store,
    read_manifest,
    verify_store,
)
from cache.schema import TABLES
from cache.writing.ledger import Ledger


def test_equal_input_gives_byte_identical_stores(tmp_path: Path) -> None:
    first, second = build(tmp_path / "a"), build(tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert first.fingerprint == second.fingerprint


def test_the_order_of_rows_and_media_changes_no_byte(tmp_path: Path) -> None:
    build(tmp_path / "a", 1)
    part = shard(0)
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=1) as writer:
        media = (*part.media[::-1], part.media[0])
        write(writer, 0, replace(part, rows=part.rows[::-1], media=media))
        writer.close({"posts": 5})
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(4)), stop=st.integers(0, 4), again=st.integers(0, 3))
def test_any_order_with_an_interruption_and_a_rewrite_gives_the_same_store(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], stop: int, again: int
) -> None:
    base = tmp_path_factory.mktemp("order")
    build(base / "plain", 4)
    with StoreWriter(base / "b", identity=IDENTITY, num_shards=4) as writer:
        for index in order[:stop]:
            write(writer, index, shard(index))
        if stop:
            # What is replaced later needs images of its own, and lacks those of its neighbours.
            other = shard(again, first_seed=7)
            write(writer, again, replace(other, media=(image(again + 1), image(99))))
    with StoreWriter(base / "b", identity=IDENTITY, num_shards=4) as writer:
        for index in order[stop:]:
            write(writer, index, shard(index))
        for index in {again, *order[:stop]}:
            write(writer, index, shard(index))
        writer.close({"posts": 20})
    assert files_of(base / "plain") == files_of(base / "b")


def test_an_image_is_stored_once_in_the_lowest_shard_that_needs_it(tmp_path: Path) -> None:
    build(tmp_path)
    holders = []
    for entry in read_manifest(tmp_path).shards:
        table = pq.read_table(tmp_path / entry.files["media"].path).to_pylist()
        holders += [(entry.index, row["key"]) for row in table if row["data"] is not None]
    keys = [image(number).key for number in range(4)]
    assert sorted(holders) == sorted(zip([0, 0, 1, 2], keys, strict=True))


def test_a_text_is_stored_once_in_the_lowest_shard_that_needs_it(tmp_path: Path) -> None:
    build(tmp_path)
    expected = {text: index for index in (2, 1, 0) for text in texts_of(shard(index))}
    assert len(expected) < sum(len(texts_of(shard(index))) for index in range(3))
    holders, evidence = [], b""
    for entry in read_manifest(tmp_path).shards:
        table = pq.read_table(tmp_path / entry.files["texts"].path).to_pylist()
        holders += [(row["text"], entry.index) for row in table if row["text"] is not None]
        assert {row["stored_in"] for row in table if row["text"] is None} <= {*range(entry.index)}
        for name in ("evidence", "dropped"):
            evidence += str(pq.read_table(tmp_path / entry.files[name].path).to_pylist()).encode()
    assert sorted(holders) == sorted(expected.items())
    assert "schöner".encode() not in evidence


def test_equal_first_bytes_of_two_keys_do_not_make_two_texts_one(tmp_path: Path) -> None:
    # Whoever writes a page can make eight bytes of its key equal to those of another text.
    low, high = "ab" * 8 + "0" * 48, "ab" * 8 + "f" * 46 + "00"
    ledger = Ledger(tmp_path, "texts")
    assert ledger.place(3, [high, low]) == {low: 3, high: 3}
    assert ledger.place(1, [high]) == {high: 1}
    assert ledger.place(5, [low, high, "c" * 64]) == {low: 3, high: 1, "c" * 64: 5}
    assert ledger.unsettled() == {3: {low: 3, high: 1}}


def test_resuming_skips_what_is_finished_and_equals_an_undisturbed_build(tmp_path: Path) -> None:
    build(tmp_path / "plain")
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0))
        write(writer, 2, shard(2))
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=3) as writer:
        assert writer.finished_shards() == {0, 2}
        write(writer, 1, shard(1))
        writer.close({"posts": 15})
    assert files_of(tmp_path / "plain") == files_of(tmp_path / "b")


def test_a_finished_store_counts_as_finished_and_closing_it_again_writes_nothing(
    tmp_path: Path,
) -> None:
    build(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        assert writer.finished_shards() == {0, 1, 2}
        writer.close({"posts": 15})
    assert times == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("left", [b'{"check": "x", "ent', b"\x00" * 40, b"[]\n", b"{}\n"])
def test_a_journal_line_that_a_crash_cut_is_not_believed_and_swallows_nothing(
    tmp_path: Path, left: bytes
) -> None:
    build(tmp_path / "plain")
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0))
    with (tmp_path / "b" / "build.journal").open("ab") as journal:
        journal.write(left)
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=3) as writer:
        assert writer.finished_shards() == {0}
        write(writer, 1, shard(1))
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=3) as writer:
        assert writer.finished_shards() == {0, 1}
        write(writer, 2, shard(2))
        writer.close({"posts": 15})
    assert files_of(tmp_path / "plain") == files_of(tmp_path / "b")


def test_a_journal_line_that_was_edited_is_not_believed(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0))
        write(writer, 1, shard(1))
    path = tmp_path / "build.journal"
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1].replace('"unfinished":[]', '"unfinished":["post"]')
    path.write_text("\n".join(lines) + "\n")
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        assert writer.finished_shards() == {0}


@pytest.mark.parametrize("table", TABLES)
def test_a_finished_shard_whose_file_was_damaged_since_is_written_again(
    tmp_path: Path, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    build(tmp_path)
    before = files_of(tmp_path)
    path = next((tmp_path / table).glob("part-00001-*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        assert writer.finished_shards() == {0, 2}
    assert "shard 1 will be written again" in caplog.text
    build(tmp_path)
    assert files_of(tmp_path) == before


def test_a_journal_of_another_identity_is_refused_and_the_differing_keys_are_named(
    tmp_path: Path,
) -> None:
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0))
    other = {**IDENTITY, "recipe": {"name": "test", "keep": 6}}
    with pytest.raises(StoreMismatch, match=r"identity\.recipe\.keep.*removing"):
        StoreWriter(tmp_path, identity=other, num_shards=3)
    with pytest.raises(StoreMismatch, match="num_shards"):
        StoreWriter(tmp_path, identity=IDENTITY, num_shards=4)
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        assert writer.finished_shards() == {0}


def test_a_store_stays_readable_while_one_of_another_identity_is_written_over_it(
    tmp_path: Path,
) -> None:
    build(tmp_path)
    old = files_of(tmp_path)
    with open_store(tmp_path, reader="parquet") as reader:
        name = reader.example_ids()[1]
        with StoreWriter(tmp_path, identity={"other": 1}, num_shards=1) as writer:
            assert writer.finished_shards() == set()
            write(writer, 0, shard(5))
            assert reader.read(name).example.post.example_id == name
            assert verify_store(tmp_path).ok
            assert old.items() <= files_of(tmp_path).items()
            writer.close({})
    with open_store(tmp_path) as reader:
        assert reader.example_ids() == tuple(f"post-05-{i:02d}" for i in range(5))
    assert verify_store(tmp_path).ok


def test_only_one_writer_at_a_time_and_the_message_names_the_other(tmp_path: Path) -> None:
    with (
        StoreWriter(tmp_path, identity=IDENTITY, num_shards=3),
        pytest.raises(StoreError, match=rf"another process .*pid {os.getpid()} on"),
    ):
        StoreWriter(tmp_path, identity=IDENTITY, num_shards=3)
    StoreWriter(tmp_path, identity=IDENTITY, num_shards=3).release()
    assert not (tmp_path / "build.lock").exists()


def _try_to_write(path: Path, answer: multiprocessing.SimpleQueue[str]) -> None:
    try:
        StoreWriter(path, identity=IDENTITY, num_shards=3).release()
        answer.put("open")
    except StoreError as error:
        answer.put(str(error))


def test_a_writer_in_another_process_is_refused_too(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3):
        process = context.Process(target=_try_to_write, args=(tmp_path, answer))
        process.start()
        process.join()
    assert f"pid {os.getpid()} on" in answer.get()


def test_a_stale_lock_file_locks_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "build.lock").write_text('{"pid": 1, "host": "gone"}')
    StoreWriter(tmp_path, identity=IDENTITY, num_shards=3).release()


def test_closing_early_names_the_missing_shard(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0))
        with pytest.raises(StoreError, match="2 shards are missing, first 1"):
            writer.close({})


def test_unfinished_posts_are_listed_and_a_later_run_redoes_their_shard_only(
    tmp_path: Path,
) -> None:
    build(tmp_path / "plain")
    whole = shard(1)
    lacking = replace(whole, rows=whole.rows[:-1], dropped={}, unfinished=("post-01-04",))
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=3) as writer:
        for index, part in enumerate([shard(0), lacking, shard(2)]):
            write(writer, index, part)
        manifest = writer.close({"posts": 15})
    assert manifest.unfinished == ("post-01-04",)
    assert [entry.unfinished for entry in manifest.shards] == [(), ("post-01-04",), ()]
    with StoreWriter(tmp_path / "b", identity=IDENTITY, num_shards=3) as writer:
        write(writer, 1, whole)
        assert writer.close({"posts": 15}).unfinished == ()
    assert files_of(tmp_path / "plain") == files_of(tmp_path / "b")


def test_an_empty_store_is_a_store(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, identity={}, num_shards=0) as writer:
        writer.close({})
    with open_store(tmp_path) as reader:
        assert reader.example_ids() == ()
    assert verify_store(tmp_path).ok


def _bad(**changes: Any) -> Shard:
    row = stored("post", 1, image(0))
    seen = replace(row.observation, **changes)
    return Shard((replace(row, observation=seen),), {}, ())


_NAN = np.array([1.0, np.nan] * 4, dtype=np.float32)
HIT = shard(0).dropped["post-00-00"][0].hit
_POST = Post("post", ("a",), head=Span(0, 1, "PER"))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (_bad(photo_embedding=_NAN), "'post'.*NaN"),
        (_bad(photo_embedding=np.full(8, 1e6, np.float32)), "beyond float16"),
        (_bad(sentence_embedding=vector(np.random.default_rng(0), 9)), r"shape \(9,\)"),
        (_bad(photo_embedding=np.ones((2, 4), np.float32)), "shape"),
        (_bad(photo_key="../../etc/passwd"), "no image key"),
        (_bad(photo_status="fine"), "photo_status"),
        (_bad(post=Post("other", ())), "another post, 'other'"),
        (
            Shard((StoredExample(Example(_POST, "train"), Observation(_POST), ()),), {}, ()),
            "carries a label",
        ),
        (
            Shard((stored("\ud800", 0),), {}, ()),
            "cannot be stored",
        ),
        (Shard((stored("a", 1), stored("a", 2)), {}, ()), "two posts 'a'"),
        (Shard((stored("a", 1),), {"b": shard(0).dropped["post-00-00"]}, ()), "of 'b'"),
        (Shard((stored("a", 1),), {}, (), ("a",)), "unfinished and has a row"),
        (Shard((), {}, (Media("0" * 64, b"x", "PNG", 1, 1),)), "has the key"),
        (Shard((), {}, (Media("../x", b"x", "PNG", 1, 1),)), "has the key"),
        (
            Shard((stored("a", 1),), {"a": (Dropped(replace(HIT, text="\ud800"), "", ""),)}, ()),
            "'a': the text of a hit cannot be stored",
        ),
    ],
)
def test_what_a_store_cannot_hold_is_refused_and_the_shard_stays_as_it_was(
    tmp_path: Path, part: Shard, message: str
) -> None:
    build(tmp_path)
    before = files_of(tmp_path)
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=3) as writer:
        with pytest.raises(InputError, match=message):
            write(writer, 1, part)
        writer.close({"posts": 15})
    assert files_of(tmp_path) == before


def test_text_that_no_file_can_hold_is_refused_wherever_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the identity cannot be stored"):
        StoreWriter(tmp_path, identity={"path": "\udce9"}, num_shards=1)
    with StoreWriter(tmp_path, identity={}, num_shards=1) as writer:
        with pytest.raises(InputError, match="unfinished post cannot be stored"):
            write(writer, 0, Shard((), {}, (), ("\udce9",)))
        write(writer, 0, Shard((), {}, ()))
        with pytest.raises(InputError, match="the counters cannot be stored"):
            writer.close({"\udce9": 1})
        with pytest.raises(InputError, match="there is no shard 1"):
            write(writer, 1, Shard((), {}, ()))


def test_one_embedding_length_and_unique_ids_hold_across_shards(tmp_path: Path) -> None:
    post = Post("wide", ("a",))
    wide = Observation(post, sentence_embedding=np.zeros(9, np.float32))
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=2) as writer:
        write(writer, 0, shard(0))
        with pytest.raises(InputError, match="9 numbers, shard 0 of 8"):
            write(writer, 1, Shard((StoredExample(Example(post, "dev"), wide, ()),), {}, ()))
        write(writer, 1, Shard((stored("post-00-02", 1),), {}, ()))
        with pytest.raises(InputError, match="'post-00-02' is in shard 0 and in shard 1"):
            writer.close({})


def test_embeddings_come_back_rounded_to_float16_and_nothing_else_changes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    fine = (rng.standard_normal(8) * 1e-3).astype(np.float32)
    row = stored("post", 1)
    row = replace(row, observation=replace(row.observation, sentence_embedding=fine))
    with StoreWriter(tmp_path, identity={}, num_shards=1) as writer:
        write(writer, 0, Shard((row,), {}, ()))
        writer.close({})
    with open_store(tmp_path) as reader:
        read = reader.read("post")
    expected = replace(
        row,
        observation=replace(
            row.observation, sentence_embedding=fine.astype(np.float16).astype(np.float32)
        ),
    )
    assert plain(read) == plain(expected)


def test_the_manifest_is_plain_json_without_times_or_machine_names(tmp_path: Path) -> None:
    manifest = build(tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["identity"] == IDENTITY
    assert content["counters"] == {"posts": 15}
    assert content["sha256"] == manifest.fingerprint
    assert manifest.num_examples == 15
    assert manifest.embedding_dim == 8
    assert read_manifest(tmp_path) == manifest


def test_shuffled_identity_keys_name_the_same_store(tmp_path: Path) -> None:
    build(tmp_path)
    items = list(IDENTITY.items())
    random.Random(0).shuffle(items)
    with open_store(tmp_path, identity=dict(reversed(items))) as reader:
        assert len(reader.example_ids()) == 15
