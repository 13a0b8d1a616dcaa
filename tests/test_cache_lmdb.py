"""The derived file is believed only where it was made, and only as far as its hashes reach."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest
from cache_helpers import Shard, build, plain, shard, stored, write

from cache import StoreDamaged, StoreError, StoreReader, StoreWriter, open_store
from cache.derive import number_key
from cache.lmdb_reader import _maps
from cache.packing import pack, unpack_features
from cache.parquet_reader import ParquetReader
from cache.schema import TABLES

TESTS = Path(__file__).parent


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    build(tmp_path / "store")
    return tmp_path / "store"


def derived(store: Path) -> Path:
    (path,) = (store / "local").glob("*.lmdb")
    return path


def read_all(reader: StoreReader) -> object:
    return plain(tuple(reader.read(name) for name in reader.example_ids()))


def expected() -> object:
    return plain(tuple(row for index in range(3) for row in shard(index).rows))


def test_the_derived_file_is_made_once_and_again_for_another_manifest(store: Path) -> None:
    open_store(store).close()
    first = derived(store)
    inode = first.stat().st_ino
    open_store(store).close()
    assert derived(store).stat().st_ino == inode
    build_other(store)
    open_store(store).close()
    assert derived(store) != first


def build_other(store: Path) -> None:
    with StoreWriter(store, identity={"other": True}, num_shards=1) as writer:
        write(writer, 0, shard(1))
        writer.close({})


@pytest.mark.parametrize("damage", ["cut", "longer", "touched", "no ticket", "link", "copied"])
def test_a_file_that_does_not_fit_its_ticket_is_made_again_before_it_is_mapped(
    store: Path, damage: str
) -> None:
    open_store(store).close()
    path = derived(store)
    if damage == "cut":
        os.truncate(path, 4096)
    elif damage == "longer":
        with path.open("ab") as file:
            file.write(b"\x00" * 4096)
    elif damage == "touched":
        with path.open("r+b") as file:
            file.seek(5000)
            file.write(b"damage")
    elif damage == "no ticket":
        path.with_suffix(".json").unlink()
    elif damage == "link":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to(path.with_name("elsewhere"))
    else:
        # As a teammate's archive would bring it: same name, same size, same times.
        shutil.copytree(store / "local", store / "copy")
        shutil.rmtree(store / "local")
        (store / "copy").rename(store / "local")
    before = path.stat().st_ino
    with open_store(store) as reader:
        assert read_all(reader) == expected()
    assert derived(store).stat().st_ino != before
    assert not derived(store).is_symlink()


def test_a_flipped_bit_in_a_value_is_noticed_and_the_message_says_what_to_remove(
    store: Path,
) -> None:
    with open_store(store) as reader:
        name = reader.example_ids()[3]
        path = derived(store)
        env = lmdb.open(str(path.with_name("copy")), subdir=False, map_size=1 << 24)
        value = bytearray(pack(reader.read(name), 3))
        value[-1] ^= 1
        with env.begin(write=True) as transaction:
            transaction.put(number_key(3), bytes(value))
        env.close()
        with pytest.raises(StoreDamaged, match="does not fit its hash"):
            unpack_features(bytes(value), 3, name, 8)


def test_every_flipped_bit_of_a_value_is_noticed() -> None:
    value = pack(stored("post", 1), 7)
    for position in range(0, len(value), 5):
        bad = bytearray(value)
        bad[position] ^= 1 << (position % 8)
        with pytest.raises(StoreDamaged):
            unpack_features(bytes(bad), 7, "post", 8)
    for length in (0, 3, 15, 16, len(value) - 1):
        with pytest.raises(StoreDamaged):
            unpack_features(value[:length], 7, "post", 8)
    with pytest.raises(StoreDamaged):
        unpack_features(value, 8, "post", 8)


def test_damage_inside_the_open_file_is_an_error_that_names_it(store: Path) -> None:
    with open_store(store) as reader:
        name = reader.example_ids()[1]
        reader.read(name)
        path = derived(store)
        data = path.read_bytes()
        # Values of the file are found by a text that only they hold.
        place = data.index(b"post-00-01.jpg")
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"X")
        with pytest.raises(StoreDamaged, match=r"features-.*lmdb.*Remove"):
            reader.read(name)


def test_a_map_that_turns_out_too_small_grows(tmp_path: Path) -> None:
    # Equal texts compress to almost nothing, so the shards say little about the map.
    row = stored("post", 4)
    for evidence in row.evidence:
        object.__setattr__(evidence.hit, "text", "x" * 20_000_000)
    with StoreWriter(tmp_path, identity={}, num_shards=1) as writer:
        write(writer, 0, Shard((row,), {}, ()))
        writer.close({})
    with open_store(tmp_path) as reader:
        assert plain(reader.read("post")) == plain(row)
    assert derived(tmp_path).stat().st_size > 1 << 26


def _read_in_child(reader: StoreReader, answer: multiprocessing.SimpleQueue[bool]) -> None:
    # Straight to the value, as a worker of a data loader that was handed its ids.
    name = shard(0).rows[1].example.post.example_id
    whole = plain(reader.read(name)) == plain(shard(0).rows[1])
    # A map that was inherited works by luck at best: the child must have opened its own.
    whole &= {pid for pid, _ in _maps} == {os.getpid()}
    whole &= read_all(reader) == expected()
    answer.put(whole)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_reader_that_is_open_can_be_used_in_another_process(store: Path, method: str) -> None:
    # In a process of its own, because forking a process with threads (pytest's) may hang.
    code = (
        "import multiprocessing as mp, sys\n"
        f"sys.path.insert(0, {str(TESTS)!r})\n"
        "from pathlib import Path\n"
        "from test_cache_lmdb import _read_in_child, expected, open_store, read_all\n"
        "if __name__ == '__main__':\n"
        f"    context = mp.get_context({method!r})\n"
        f"    with open_store(Path({str(store)!r})) as reader:\n"
        "        assert read_all(reader) == expected()\n"
        "        answer = context.SimpleQueue()\n"
        "        child = context.Process(target=_read_in_child, args=(reader, answer))\n"
        "        child.start(); child.join(60)\n"
        "        assert child.exitcode == 0 and answer.get()\n"
        "        assert read_all(reader) == expected()\n"
    )
    script = store.parent / "child.py"
    script.write_text(code)
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Take the right to write below ``folder``; a superuser becomes somebody else for a while."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65534)
    try:
        yield
    finally:
        if superuser:
            os.seteuid(0)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def shown() -> Iterator[Path]:
    """A folder that everybody may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_store_uses_the_copy_of_the_user_and_says_so(
    shown: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    user = shown / "user"
    user.mkdir()
    user.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(user))
    build(shown / "store")
    with without_rights(shown / "store"):
        with open_store(shown / "store") as reader:
            assert read_all(reader) == expected()
        with open_store(shown / "store") as reader:
            assert read_all(reader) == expected()
        assert len(list(user.rglob("*.lmdb"))) == 1
    assert "The derived file is" in caplog.text
    assert not (shown / "store" / "local").exists()


def test_where_nothing_can_be_written_the_shards_are_read_and_the_log_says_so(
    shown: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shown / "store" / "user"))
    build(shown / "store")
    with without_rights(shown / "store"), open_store(shown / "store") as reader:
        assert isinstance(reader, ParquetReader)
        assert read_all(reader) == expected()
    assert "reading the shards themselves" in caplog.text


def test_a_read_only_store_with_its_derived_file_is_used_as_it_is(shown: Path) -> None:
    build(shown / "store")
    for path in (shown / "store").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    open_store(shown / "store").close()
    inode = derived(shown / "store").stat().st_ino
    with open_store(shown / "store") as reader:
        assert read_all(reader) == expected()
    assert derived(shown / "store").stat().st_ino == inode


def test_writing_into_a_read_only_folder_names_it_and_the_way_out(shown: Path) -> None:
    (shown / "store").mkdir()
    with (
        without_rights(shown / "store"),
        pytest.raises(StoreError, match=r"store.*Make the folder writable"),
    ):
        StoreWriter(shown / "store", identity={}, num_shards=1)


@pytest.mark.parametrize("table", TABLES)
def test_a_shard_that_was_cut_is_noticed_on_opening_though_the_derived_file_is_whole(
    store: Path, table: str
) -> None:
    open_store(store).close()
    path = next((store / table).iterdir())
    os.truncate(path, path.stat().st_size - 1)
    for reader in ("lmdb", "parquet"):
        with pytest.raises(StoreDamaged, match=r"bytes, but the manifest promises"):
            open_store(store, reader=reader)


def test_shards_that_changed_are_not_derived_from(store: Path) -> None:
    path = next((store / "evidence").glob("*"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match="SHA-256"):
        open_store(store)
    assert not list((store / "local").glob("*"))
