"""Readers work while builds replace the store: each sees one whole state, or is told to reopen."""

from __future__ import annotations

import multiprocessing
import shutil
from collections import Counter
from hashlib import sha256
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event as EventType
from pathlib import Path
from typing import Any, Final

import pytest
from cache_helpers import IDENTITY, build, image, plain, shard, write

import cache.checking.verify
from cache import (
    Recording,
    Recordings,
    StoreChanged,
    StoreDamaged,
    StoreReader,
    StoreWriter,
    content_key,
    open_store,
    verify_store,
)
from cache.manifest import read_manifest
from cache.recording.segments import segments

SPAWN: Final = multiprocessing.get_context("spawn")
GENERATIONS: Final = 4
NUM_SHARDS: Final = 2
READS: Final = 12


def build_generation(path: Path, number: int) -> None:
    """Replace the store by another one: same posts, other content."""
    identity = {**IDENTITY, "generation": number}
    with StoreWriter(path, identity=identity, num_shards=NUM_SHARDS) as writer:
        for index in range(NUM_SHARDS):
            if index not in writer.finished_shards():
                write(writer, index, shard(index, 5, 100 * number))
        writer.close({"generation": number})


def digest_of(store: StoreReader) -> str:
    """Return a digest of all that a reader can be asked for."""
    seen: list[object] = []
    for name in store.example_ids():
        stored = store.read(name)
        # What the writer computed for a record without it.
        seen += [plain(stored.example), plain(stored.observation), plain(stored.evidence)]
        seen += [plain(store.features(name)), plain(store.dropped(name))]
    seen += [store.media(image(number).key).data for number in range(NUM_SHARDS + 1)]
    return sha256(repr(seen).encode()).hexdigest()


def generation_of(store: StoreReader) -> int:
    """Return which of the stores a reader has opened."""
    number = store.manifest.identity["generation"]
    assert isinstance(number, int)
    return number


def keep_building(path: Path, stop: EventType) -> None:
    """Replace the store again and again."""
    number = 0
    while not stop.is_set():
        number += 1
        build_generation(path, number % GENERATIONS)


def keep_reading(path: Path, reader: Any, expected: list[str], told: Queue[Any]) -> None:
    """Open and read everything again and again, until two stores were seen; tell, or the error."""
    whole: Counter[int] = Counter()
    try:
        while whole.total() < READS or len(whole) < 2:
            try:
                with open_store(path, reader=reader) as store:
                    number = generation_of(store)
                    if digest_of(store) != expected[number]:
                        raise AssertionError(f"generation {number} is not what was written")
            except StoreChanged as error:
                if "Open it again" not in str(error):
                    raise
            else:
                whole[number] += 1
    except BaseException as error:
        told.put(f"{reader}: {type(error).__name__}: {error}")
        raise
    told.put(len(whole))


def keep_verifying(path: Path, told: Queue[Any]) -> None:
    """Verify again and again; tell what was found."""
    for _ in range(READS):
        report = verify_store(path)
        if not report.ok:
            told.put(f"verify: {report.problems}")
            return
    told.put(1)


@pytest.mark.slow
def test_a_store_that_is_replaced_again_and_again_is_read_whole_or_said_to_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    path, expected = tmp_path / "store", []
    for number in range(GENERATIONS):
        build_generation(path, number)
        with open_store(path, reader="parquet") as store:
            expected.append(digest_of(store))
    assert len(set(expected)) == GENERATIONS
    told, stop = SPAWN.Queue(), SPAWN.Event()
    readers = [
        SPAWN.Process(target=keep_reading, args=(path, name, expected, told))
        for name in ("lmdb", "packed", "parquet")
    ]
    readers.append(SPAWN.Process(target=keep_verifying, args=(path, told)))
    builder = SPAWN.Process(target=keep_building, args=(path, stop))
    for one in (builder, *readers):
        one.start()
    try:
        answers = [told.get(timeout=600) for _ in readers]
        stop.set()
        for one in (builder, *readers):
            one.join(600)
    finally:
        # What is left is waited for where Python ends, and would hold up whoever runs the tests.
        for one in (builder, *readers):
            one.kill()
    # The number of different stores that each reader saw, unless something went wrong.
    assert all(isinstance(answer, int) for answer in answers), answers
    assert builder.exitcode == 0


def test_a_reader_of_a_replaced_store_says_so_once_it_needs_a_file_that_is_gone(
    tmp_path: Path,
) -> None:
    build_generation(tmp_path, 0)
    store = open_store(tmp_path, reader="parquet")
    build_generation(tmp_path, 1)
    with pytest.raises(StoreChanged, match=r"replaced by a newer build.*Open it again"):
        store.example_ids()
    with open_store(tmp_path, reader="parquet") as again:
        assert generation_of(again) == 1
        assert len(again.example_ids()) == 5 * NUM_SHARDS


@pytest.mark.parametrize("reader", ["lmdb", "packed", "parquet"])
def test_what_a_reader_has_read_already_it_can_read_after_the_store_was_replaced(
    tmp_path: Path, reader: Any
) -> None:
    build_generation(tmp_path, 0)
    with open_store(tmp_path, reader=reader) as store:
        before = digest_of(store)
        build_generation(tmp_path, 1)
        assert digest_of(store) == before


def test_a_file_that_is_gone_is_damage_where_no_newer_store_is(tmp_path: Path) -> None:
    build_generation(tmp_path, 0)
    for gone in ("manifest", "nothing"):
        store = open_store(tmp_path, reader="parquet")
        shutil.copytree(tmp_path, tmp_path.parent / f"copy-{gone}")
        for path in (tmp_path / "examples").iterdir():
            path.unlink()
        if gone == "manifest":
            (tmp_path / "manifest.json").unlink()
        with pytest.raises(StoreDamaged, match="missing or not readable"):
            store.example_ids()
        shutil.rmtree(tmp_path)
        shutil.copytree(tmp_path.parent / f"copy-{gone}", tmp_path)


@pytest.mark.parametrize("reader", ["lmdb", "packed", "parquet"])
def test_a_reader_that_was_passed_on_does_not_open_another_store_than_its_sender(
    tmp_path: Path, reader: Any
) -> None:
    build_generation(tmp_path, 0)
    receiving, sending = SPAWN.Pipe(duplex=False)
    with open_store(tmp_path, reader=reader) as store:
        sending.send(store)
        sending.send(store)
    with receiving.recv() as received:
        assert generation_of(received) == 0
    build_generation(tmp_path, 1)
    with pytest.raises(StoreChanged, match="Open it again"):
        receiving.recv()


def test_a_store_that_is_replaced_while_it_is_opened_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_generation(tmp_path, 0)
    real, times = read_manifest, [0]

    def slow(root: Path) -> Any:
        manifest = real(root)
        times[0] += 1
        if times[0] == 1:
            build_generation(tmp_path, 1)
        return manifest

    monkeypatch.setattr("cache.reading.parquet_reader.read_manifest", slow)
    with open_store(tmp_path, reader="parquet") as store:
        assert generation_of(store) == 1
        assert len(store.example_ids()) == 5 * NUM_SHARDS
    assert times[0] == 2


def test_a_store_being_rebuilt_has_nothing_wrong_at_any_moment(tmp_path: Path) -> None:
    build(tmp_path, NUM_SHARDS)
    with StoreWriter(tmp_path, identity={"other": 1}, num_shards=NUM_SHARDS) as writer:
        assert verify_store(tmp_path).problems == ()
        for index in range(NUM_SHARDS):
            write(writer, index, shard(index, 5, 100))
            assert verify_store(tmp_path).problems == ()
            (tmp_path / "media" / ".tmp-1-part").write_bytes(b"half")
            assert verify_store(tmp_path).problems == ()
        writer.close({})
    assert verify_store(tmp_path).problems == ()


def test_verifying_looks_again_where_recordings_were_merged_or_a_build_has_ended_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_generation(tmp_path, 0)
    book = Recordings(tmp_path / "recordings")
    book.put_segment([], [image(number) for number in range(NUM_SHARDS + 1)])
    for key in (content_key(b"query"), "1", "2"):
        book.put_segment([Recording(key, "kb", "{}", "2026-01-01", b"answer")])
    real, times = cache.checking.verify._verify_once, [0]

    def disturbed(*arguments: Any) -> Any:
        times[0] += 1
        if times[0] == 1:
            before = segments(tmp_path / "recordings")
            monkeypatch.setattr("cache.checking.verify.segments", lambda folder: before)
            book.close()
            build_generation(tmp_path, 1)
            report = real(*arguments)
            monkeypatch.setattr("cache.checking.verify.segments", segments)
            assert report.problems
            return report
        return real(*arguments)

    monkeypatch.setattr("cache.checking.verify._verify_once", disturbed)
    assert verify_store(tmp_path).problems == ()
    assert times[0] == 2
