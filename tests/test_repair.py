"""What can be brought back is brought back byte for byte; nothing is destroyed on the way."""

from __future__ import annotations

import json
import os
import shutil
import threading
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cache_helpers import build, files_of
from damage import catalogue, complete_store, restore, together

from cache import StoreError, StoreMismatch, open_store, verify_store
from cache.checking.copies import FolderCopy
from cache.checking.repair import repair_store
from cache.writing.lock import WriterLock
from pipelines.cli import main

EVERY = int(os.environ.get("RAMIE_DAMAGE_EVERY", "4"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "store"
    complete_store(path)
    return path


@pytest.fixture
def store(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "store"))


def clear(store: Path) -> None:
    """Remove what was set aside."""
    for folder in store.parent.glob("store.damaged-*"):
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_copy_brings_every_byte_back_after_every_damage_of_the_catalogue(
    pristine: Path, store: Path
) -> None:
    sound = files_of(pristine)
    failed = []
    for damage in list(together(catalogue(pristine)))[::EVERY]:
        damage.harm(store)
        report = repair_store(store, [FolderCopy(pristine)])
        if files_of(store) != sound or verify_store(store).problems:
            failed.append((damage.name, report))
        restore(store, sound)
        clear(store)
    assert failed == []


def contents(folder: Path) -> set[bytes]:
    """The bytes of every regular file below a folder, derived files left out."""
    return {
        path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and "local" not in path.parts
    }


@pytest.mark.slow
def test_without_a_copy_what_is_left_is_listed_and_nothing_is_destroyed(
    pristine: Path, store: Path
) -> None:
    sound = files_of(pristine)
    destroyed, silent = [], []
    for damage in list(together(catalogue(pristine)))[::EVERY]:
        damage.harm(store)
        before = contents(store.parent)
        try:
            said = repair_store(store).lost
        except StoreMismatch as error:
            said = [str(error)]
        if before - contents(store.parent):
            destroyed.append(damage.name)
        # Where every hash fits, only verifying can tell.
        if not (said or damage.forged) and verify_store(store).problems:
            silent.append(damage.name)
        restore(store, sound)
        clear(store)
    assert (destroyed, silent) == ([], [])


def test_renamed_and_swapped_files_are_put_back_without_any_copy(
    pristine: Path, store: Path
) -> None:
    sound = files_of(pristine)
    for damage in catalogue(pristine):
        mendable = ("renamed:", "content swapped:", "extra", "deleted: README")
        if not damage.name.startswith(mendable):
            continue
        damage.harm(store)
        repair_store(store)
        assert files_of(store) == sound, damage.name
        restore(store, sound)
        clear(store)


def test_several_copies_each_with_a_part_make_one_whole(pristine: Path, store: Path) -> None:
    copies = [Path(shutil.copytree(pristine, store.with_name(f"copy-{i}"))) for i in range(2)]
    names = sorted(name for name in files_of(pristine) if name.startswith("texts/"))
    for name, copy in zip(names, copies, strict=True):
        (copy / name).unlink()
        (store / name).unlink()
    (copies[0] / "manifest.json").write_text("{}")
    (store / "manifest.json").unlink()
    report = repair_store(store, [FolderCopy(copy) for copy in copies])
    assert report.lost == []
    assert files_of(store) == files_of(pristine)


def test_a_copy_behind_a_url_serves_as_well(pristine: Path, store: Path) -> None:
    sound = files_of(store)
    handler = partial(SimpleHTTPRequestHandler, directory=str(pristine))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for url in (f"http://127.0.0.1:{server.server_port}", f"file://{pristine}"):
            next(store.glob("media/*")).write_bytes(b"")
            next(store.glob("texts/*")).unlink()
            (store / "manifest.json").write_text("{}")
            assert main(["verify", str(store), "--repair", "--from", url]) == 0
            assert files_of(store) == sound
    finally:
        server.shutdown()
        server.server_close()


def test_a_copy_that_lies_is_not_believed(pristine: Path, store: Path) -> None:
    liar = Path(shutil.copytree(pristine, store.with_name("liar")))
    for path in liar.glob("*/*.parquet"):
        path.write_bytes(bytes(path.stat().st_size))
    victim = next(store.glob("media/*"))
    victim.write_bytes(b"")
    report = repair_store(store, [FolderCopy(liar)])
    assert [str(victim) in one for one in report.lost] == [True]
    assert victim.read_bytes() == b""


def test_another_store_is_not_taken_for_a_copy(pristine: Path, store: Path) -> None:
    other = store.with_name("other")
    build(other, 1, 3)
    for name in ("manifest.json", "README.md"):
        (store / name).unlink()
    before = files_of(store)
    (lost,) = repair_store(store, [FolderCopy(other)]).lost
    assert "manifest.json" in lost
    assert files_of(store) == before


def test_a_store_that_is_being_written_is_left_alone(store: Path) -> None:
    lock = WriterLock(store / "build.lock")
    try:
        with pytest.raises(StoreError, match="being written by another process"):
            repair_store(store)
    finally:
        lock.release()


@pytest.mark.parametrize("moment", range(12))
def test_killed_at_any_change_of_the_disk_it_can_be_run_again(
    pristine: Path, store: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted(store.glob("evidence/*"))
    first.write_bytes(b"")
    second.rename(store / "elsewhere")
    (store / "manifest.json").write_text("{}")
    (store / "extra").write_bytes(b"x")
    renamings = 0
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        nonlocal renamings
        renamings += 1
        if renamings == moment // 2 + 1 and moment % 2:
            raise KeyboardInterrupt
        moved = rename(path, target)
        if renamings == moment // 2 + 1:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", killed)
    with suppress(KeyboardInterrupt):
        repair_store(store, [FolderCopy(pristine)])
    monkeypatch.undo()
    assert repair_store(store, [FolderCopy(pristine)]).lost == []
    assert files_of(store) == files_of(pristine)
    assert verify_store(store).problems == ()


def test_a_derived_file_that_does_not_fit_its_ticket_is_removed(store: Path) -> None:
    open_store(store).close()
    (path,) = (store / "local").glob("*.lmdb")
    repair_store(store)
    assert path.exists()
    path.write_bytes(path.read_bytes()[:-1])
    repair_store(store)
    assert not path.exists()


def test_the_verb_repairs_lists_and_exits_zero_only_if_all_is_well(
    pristine: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = files_of(pristine)
    first, second = sorted(path for path in store.glob("dropped/*"))
    first.unlink()
    second.write_bytes(b"")
    (store / "README.md").write_text("about")
    assert main(["verify", str(store), "--json"]) == 1
    assert sorted(json.loads(capsys.readouterr().out)) == ["counts", "problems", "store"]
    copy = Path(shutil.copytree(pristine, store.with_name("copy")))
    (copy / first.relative_to(store)).unlink()
    arguments = ["verify", str(store), "--repair", "--from", str(copy)]
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert f"NOT REPAIRED {first}" in said
    assert f"REPAIRED {second}: from {copy}" in said
    assert f"SET ASIDE {second} -> {store}.damaged-1" in said
    assert main([*arguments, "--from", str(pristine)]) == 0
    assert files_of(store) == sound
    assert main(["verify", str(store), "--from", str(copy)]) == 1
    assert "Add --repair" in capsys.readouterr().err
