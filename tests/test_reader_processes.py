"""One reader, many threads and processes: each gets whole posts, however it came by the reader."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cache_helpers import build, image, plain, shard, write
from torch.utils.data import DataLoader

from cache import Features, StoreChanged, StoreReader, StoreWriter, open_store
from cache.reading import shard_cache
from cache.reading.derived_reader import DerivedReader
from cache.reading.parquet_reader import ParquetReader
from cache.reading.shard_cache import ShardCache
from cache.store import ReaderName

TESTS = Path(__file__).parent
READERS: tuple[ReaderName, ...] = ("lmdb", "packed", "parquet")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    build(tmp_path / "store")
    return tmp_path / "store"


def read_all(reader: StoreReader) -> object:
    assert reader.media(image(1).key) == image(1)
    return plain(tuple(reader.read(name) for name in reader.example_ids()))


def expected() -> object:
    return plain(tuple(row for index in range(3) for row in shard(index).rows))


def answer_whole(reader: StoreReader, answers: multiprocessing.SimpleQueue[bool]) -> None:
    """What a child does with the reader it was handed."""
    whole = read_all(reader) == expected()
    reader.close()
    answers.put(whole and read_all(reader) == expected())


def use_in_children(store: str, method: str, name: ReaderName) -> None:
    """Read before, while and after children read, and after they closed their readers."""
    context: Any = multiprocessing.get_context(method)
    with open_store(store, reader=name, images=True) as reader:
        assert read_all(reader) == expected()
        answers = context.SimpleQueue()
        children = [context.Process(target=answer_whole, args=(reader, answers)) for _ in range(2)]
        for child in children:
            child.start()
        assert read_all(reader) == expected()
        assert all(answers.get() for _ in children)
        for child in children:
            child.join(300)
            assert child.exitcode == 0
        assert read_all(reader) == expected()


def open_when_told(store: str, start: str) -> None:
    """Wait for ``start`` to be there, open a store that nobody has prepared, and read it."""
    while not Path(start).exists():
        pass
    with open_store(store, images=True) as reader:
        assert isinstance(reader, DerivedReader)
        assert read_all(reader) == expected()


def load(store: str, workers: int, method: str) -> None:
    """Read the store by a data loader, which sends the reader to its workers."""
    with open_store(store) as reader:
        posts = Posts(reader)
        loader: DataLoader[str] = DataLoader(
            posts,  # type: ignore[arg-type]
            batch_size=4,
            num_workers=workers,
            collate_fn=list,
            multiprocessing_context=method if workers else None,
        )
        assert [name for batch in loader for name in batch] == list(reader.example_ids())


class Posts:
    """A data set as torch wants it: whole posts are compared in the worker."""

    def __init__(self, reader: StoreReader) -> None:
        self.reader = reader

    def __len__(self) -> int:
        return len(self.reader.example_ids())

    def __getitem__(self, index: int) -> str:
        name = self.reader.example_ids()[index]
        features: Features = self.reader.features(name)
        whole = {row.example.post.example_id: row for i in range(3) for row in shard(i).rows}
        assert features.example == whole[name].example
        return name


def in_a_fresh_process(call: str) -> subprocess.Popen[bytes]:
    """Run a function of this module where no thread of pytest is, which a fork may trip over."""
    code = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "import test_reader_processes as tests\n"
        f"if __name__ == '__main__': tests.{call}\n"
    )
    return subprocess.Popen([sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("method", "name"),
    # What a method does to a reader of another kind is no other thing, and starting takes long.
    [*(("fork", name) for name in READERS), ("spawn", "lmdb"), ("forkserver", "packed")],
)
def test_an_open_reader_works_in_parent_and_children_before_and_after_the_start(
    store: Path, method: str, name: ReaderName
) -> None:
    call = f"use_in_children({str(store)!r}, {method!r}, {name!r})"
    assert in_a_fresh_process(call).wait(600) == 0


@pytest.mark.parametrize(("workers", "method"), [(0, ""), (2, "fork"), (2, "spawn")])
def test_a_data_loader_reads_every_post_with_and_without_workers(
    store: Path, workers: int, method: str
) -> None:
    call = f"load({str(store)!r}, {workers}, {method!r})"
    assert in_a_fresh_process(call).wait(600) == 0


def test_of_many_processes_that_open_a_new_store_one_prepares_it_and_all_read_it(
    store: Path,
) -> None:
    start = store.parent / "start"
    call = f"open_when_told({str(store)!r}, {str(start)!r})"
    children = [in_a_fresh_process(call) for _ in range(4)]
    start.touch()
    assert [child.wait(600) for child in children] == [0] * 4
    files = sorted(path.name.split("-")[0] for path in (store / "local").glob("*.lmdb"))
    assert files == ["features", "images"]
    assert not list((store / "local").glob(".tmp-*"))


def test_who_comes_while_the_store_is_prepared_waits_and_does_not_do_it_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    fill = DerivedReader._fill
    begun = threading.Event()

    def slow(self: DerivedReader, writer: object) -> object:
        made.append(threading.get_ident())
        begun.set()
        second.join(0.2)
        return fill(self, writer)  # type: ignore[arg-type]

    monkeypatch.setattr(DerivedReader, "_fill", slow)

    def open_later() -> None:
        begun.wait(60)
        open_store(store).close()

    second = threading.Thread(target=open_later)
    second.start()
    open_store(store).close()
    second.join(60)
    assert not second.is_alive()
    assert len(made) == 1


def test_two_readers_of_one_store_are_independent(store: Path) -> None:
    first, second = open_store(store, images=True), open_store(store, images=True)
    assert read_all(first) == read_all(second) == expected()
    first.close()
    assert read_all(second) == expected()
    second.close()


@pytest.mark.parametrize("name", READERS)
def test_threads_may_read_at_the_same_time(store: Path, name: ReaderName) -> None:
    with open_store(store, reader=name) as reader, ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: read_all(reader), range(8)):
            assert found == expected()


@pytest.mark.parametrize("name", READERS)
def test_a_reader_travels_without_what_it_has_read(store: Path, name: ReaderName) -> None:
    with open_store(store, reader=name) as reader:
        before = pickle.dumps(reader)
        read_all(reader)
        assert len(pickle.dumps(reader)) == len(before)
        with pickle.loads(before) as other:  # noqa: S301  # our own bytes
            assert read_all(other) == expected()


def test_a_reader_that_arrives_after_the_store_was_replaced_says_so(store: Path) -> None:
    with open_store(store) as reader:
        data = pickle.dumps(reader)
    with StoreWriter(store, identity={"other": True}, num_shards=1) as writer:
        write(writer, 0, shard(1))
        writer.close({})
    with pytest.raises(StoreChanged, match="Open it again"):
        pickle.loads(data)  # noqa: S301  # our own bytes


def test_a_reader_that_is_open_keeps_its_posts_when_the_store_is_replaced(store: Path) -> None:
    with open_store(store) as reader:
        before = plain(tuple(map(reader.read, reader.example_ids())))
        with StoreWriter(store, identity={"other": True}, num_shards=1) as writer:
            write(writer, 0, shard(1))
            writer.close({})
        open_store(store).close()
        assert plain(tuple(map(reader.read, reader.example_ids()))) == before


def test_closing_lets_every_file_go(store: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    reader = open_store(store, images=True)
    read_all(reader)
    reader.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_threads_may_read_while_what_is_kept_of_shards_is_let_go_of(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for one open file and one row group, every read lets go of another's."""
    monkeypatch.setattr(shard_cache, "_KEPT_FILES", 1)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(3):
            with ParquetReader(store) as reader, ThreadPoolExecutor(4) as pool:
                reader._cache = ShardCache(store, reader.manifest, kept_bytes=1)
                found = [pool.submit(read_all, reader) for _ in range(4)]
                assert all(future.result() == expected() for future in found)
    finally:
        sys.setswitchinterval(before)


def fork_while_reading(store: str) -> None:
    """Fork while another thread is in the middle of a read, and read in the child."""
    with ParquetReader(store) as reader:
        begun, going_on = threading.Event(), threading.Event()

        def slowly() -> None:
            begun.set()
            going_on.wait(600)

        busy = threading.Thread(target=reader._cache._unless_changed, args=(slowly,))
        busy.start()
        begun.wait()
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        child = context.Process(target=answer_whole, args=(reader, answers))
        child.start()
        child.join(300)
        child.kill()
        going_on.set()
        busy.join()
        assert child.exitcode == 0


def test_a_fork_in_the_middle_of_a_read_stops_no_read_of_the_child(store: Path) -> None:
    assert in_a_fresh_process(f"fork_while_reading({str(store)!r})").wait(600) == 0
