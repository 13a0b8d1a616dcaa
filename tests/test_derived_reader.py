"""Derived files are believed only where they were made, and only as far as their hashes reach."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_args

import pytest
from cache_helpers import build, plain, shard, write

from cache import StoreDamaged, StoreError, StoreReader, StoreWriter, open_store
from cache.reading.derived_file import FORMS, Form, ValueFile
from cache.reading.parquet_reader import ParquetReader
from cache.schema import TABLES
from cache.store import ReaderName


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    build(tmp_path / "store")
    return tmp_path / "store"


def derived(store: Path) -> Path:
    (path,) = (store / "local").glob("features-*.lmdb")
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
def test_a_file_that_does_not_fit_its_ticket_is_made_again_before_it_is_read(
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
        path.with_name(f"{path.name}.json").unlink()
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


@pytest.mark.parametrize("kind", ["link", "pipe", "deep"])
def test_a_ticket_that_is_a_trap_is_not_followed_and_the_file_is_made_again(
    store: Path, kind: str
) -> None:
    open_store(store).close()
    path = derived(store)
    ticket = path.with_name(f"{path.name}.json")
    if kind == "link":
        # What it leads to fits, and could be anybody's file.
        ticket.rename(store.parent / "elsewhere")
        ticket.symlink_to(store.parent / "elsewhere")
    elif kind == "pipe":
        ticket.unlink()
        os.mkfifo(ticket)
    else:
        ticket.write_text("[" * 1000)
    before = path.stat().st_ino
    with open_store(store) as reader:
        assert read_all(reader) == expected()
    assert derived(store).stat().st_ino != before
    assert stat.S_ISREG(ticket.lstat().st_mode)


def values_in(form: Form, path: Path, values: Sequence[bytes], note: object = "note") -> Path:
    with closing(FORMS[form].write(path)) as writer:
        for value in values:
            writer.put(value)
        writer.finish(note)
    return path


def opened(form: Form, path: Path) -> closing[ValueFile]:
    return closing(FORMS[form].open(path))


@pytest.mark.parametrize("form", FORMS)
def test_a_derived_file_gives_back_its_values_and_its_note(form: Form, tmp_path: Path) -> None:
    # The last is larger than the map that LMDB starts with.
    values = [b"", b"one", b"\x00" * 100_000, bytes(20_000_000)]
    with opened(form, values_in(form, tmp_path / "a", values, [1, "b", None])) as file:
        assert file.note == (1, "b", None)
        file.prefetch(range(4))
        assert [file.value(number) for number in (2, 0, 3, 1)] == [values[i] for i in (2, 0, 3, 1)]
    with (
        opened(form, values_in(form, tmp_path / "empty", [])) as file,
        pytest.raises((IndexError, StoreDamaged)),
    ):
        file.value(0)


def test_every_flipped_bit_and_every_cut_of_a_packed_file_is_noticed(tmp_path: Path) -> None:
    path = values_in("packed", tmp_path / "a", [b"first value", b"second"])
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << (position % 8)
        damaged.append(bytes(flipped))
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(StoreDamaged, match=r"a is damaged.*Remove it"):
            read_both("packed", path)


def test_an_lmdb_file_that_is_shorter_than_it_says_is_never_looked_into(tmp_path: Path) -> None:
    path = values_in("lmdb", tmp_path / "a", [bytes(5000), b"second"])
    whole = path.read_bytes()
    for length in range(0, len(whole), 512):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreDamaged, match=r"a is damaged.*Remove it"):
            read_both("lmdb", path)


def read_both(form: Form, path: Path) -> None:
    with opened(form, path) as file:
        file.value(0)
        file.value(1)


@pytest.mark.parametrize("form", FORMS)
def test_values_that_changed_places_are_noticed(form: Form, tmp_path: Path) -> None:
    path = values_in(form, tmp_path / "a", [b"one", b"two"])
    swapped = path.read_bytes().replace(b"one", b"---").replace(b"two", b"one")
    path.write_bytes(swapped.replace(b"---", b"two"))
    with opened(form, path) as file, pytest.raises(StoreDamaged):
        file.value(0)


def test_two_readers_share_the_one_environment_that_lmdb_allows(store: Path) -> None:
    with open_store(store, reader="lmdb") as one:
        with open_store(store, reader="lmdb") as other:
            assert read_all(other) == expected()
        assert read_all(one) == expected()
    with open_store(store, reader="lmdb") as again:
        assert read_all(again) == expected()


@pytest.mark.parametrize(
    ("form", "damage"), [("packed", "cut"), ("packed", "flipped"), ("lmdb", "flipped")]
)
def test_damage_to_the_open_file_is_an_error_that_names_it(
    store: Path, form: Form, damage: str
) -> None:
    with open_store(store, reader=form) as reader:
        name = reader.example_ids()[1]
        (path,) = (store / "local").glob(f"features-*.{form}")
        # Values of the file are found by a text that only they hold.
        place = path.read_bytes().index(b"post-00-01.jpg")
        if damage == "cut":
            os.truncate(path, place)
        else:
            with path.open("r+b") as file:
                file.seek(place)
                file.write(b"X")
        with pytest.raises(StoreDamaged, match=rf"features-.*{form} is damaged.*Remove"):
            reader.read(name)


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
    for reader in get_args(ReaderName):
        with pytest.raises(StoreDamaged, match=r"bytes, but the manifest promises"):
            open_store(store, reader=reader)


def test_shards_that_changed_are_not_derived_from(store: Path) -> None:
    path = next((store / "evidence").glob("*"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match="SHA-256"):
        open_store(store)
    assert not list((store / "local").glob("features-*"))
