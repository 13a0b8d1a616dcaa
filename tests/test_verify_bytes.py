"""Comparing a store with its hashes only: every damage that happens to files is found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cache_helpers import build, files_of, image
from sharing_helpers import trap_recording

from cache import Recording, Recordings
from cache.checking.verify_bytes import verify_bytes
from pipelines.cli import main


@pytest.fixture
def store(tmp_path: Path) -> Path:
    build(tmp_path / "store")
    with Recordings(tmp_path / "store" / "recordings") as recordings:
        answer = Recording("1" * 64, "kb", "{}", "2026-01-01T00:00:00+00:00", b"answer")
        recordings.put_segment([answer], [image(1)])
    return tmp_path / "store"


def test_a_sound_store_has_no_problems_and_is_counted(store: Path) -> None:
    report = verify_bytes(store)
    assert report.problems == ()
    assert report.counts["posts"] == 15


def test_a_flipped_bit_a_cut_and_a_removal_of_any_file_are_found_and_name_it(store: Path) -> None:
    rng = random.Random(0)
    for name in files_of(store):
        path = store / name
        data = path.read_bytes()
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        for damaged in (bytes(flipped), data[: rng.randrange(len(data))], None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            problems = verify_bytes(store).problems
            # Nothing lists the segments of recordings; `verify_store` sees what hits lack.
            if damaged is not None or not name.startswith("recordings/"):
                assert any(path.name in problem for problem in problems), (name, problems)
            path.write_bytes(data)
    assert verify_bytes(store).ok


def test_a_file_too_many_is_found(store: Path) -> None:
    (store / "texts" / "part-99999-0123456789ab.parquet").write_bytes(b"")
    assert any("part-99999" in problem for problem in verify_bytes(store).problems)


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_only_files_of_the_store_itself_are_read(store: Path, tmp_path: Path, kind: str) -> None:
    said = trap_recording(store, kind, tmp_path / "elsewhere")
    problems = verify_bytes(store).problems
    assert any(said in problem for problem in problems), problems


def test_the_verb_exits_with_one_for_a_damaged_file(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(store), "--bytes"]) == 0
    path = next((store / "media").iterdir())
    path.write_bytes(path.read_bytes() + b"x")
    assert main(["verify", str(store), "--bytes"]) == 1
    assert path.name in capsys.readouterr().out
