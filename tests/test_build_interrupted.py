"""Builds that die between two of their steps: the next one does what is left, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builder_helpers import SETTINGS, CountingObserver, files_of, make_dataset
from live_helpers import LivePlayer

from cache.checking.verify import verify_store
from cache.writing.writer import StoreWriter
from retrieval.asking.manner import AskingOptions
from retrieval.building.builder import RECORDINGS, build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.settings import PoliteSettings

REFRESH = AskingOptions(refresh_days=1)


class Killed(BaseException):
    """Stands for the end of the process."""


def killed(*_: object, **__: object) -> None:
    """End."""
    raise Killed


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def one_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def build(store: Path, dataset: Dataset, asking: AskingOptions | None = None) -> BuildReport:
    ask = SETTINGS.ask.model_copy(update={"polite": PoliteSettings(rest_s=0)})
    return build_store(
        SETTINGS.model_copy(update={"ask": ask}),
        store,
        dataset=dataset,
        observer=CountingObserver(),
        providers=[LivePlayer()],
        asking=asking or AskingOptions(),
    )


def whole(store: Path) -> dict[str, bytes]:
    """Return all of a store but its recordings."""
    named = {p.name: p.read_bytes() for p in sorted(store.iterdir()) if p.is_file()}
    return files_of(store) | files_of(store, "texts") | named


@pytest.mark.parametrize("step", ["write_shard", "close"])
def test_a_refresh_that_dies_is_finished_though_no_answer_is_old_any_more(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for name in ("plain", "store"):
        build(tmp_path / name, dataset)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1705000000")
    build(tmp_path / "plain", dataset, REFRESH)
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, step, killed)
        with pytest.raises(Killed):
            build(tmp_path / "store", dataset, REFRESH)
    assert verify_store(tmp_path / "store").ok
    report = build(tmp_path / "store", dataset, REFRESH)
    assert report.action == "resumed"
    assert whole(tmp_path / "store") == whole(tmp_path / "plain")
    assert build(tmp_path / "store", dataset, REFRESH).action == "nothing to do"


@pytest.mark.parametrize("name", ["build.lock", "README.md", "manifest.json"])
def test_a_finished_store_is_given_what_a_crash_took_and_freed_of_what_it_left(
    tmp_path: Path, dataset: Dataset, name: str
) -> None:
    build(tmp_path, dataset)
    before = whole(tmp_path)
    (tmp_path / name).write_bytes(before.get(name, b"")[:-1])
    assert build(tmp_path, dataset).action == "nothing to do"
    assert whole(tmp_path) == before


def test_a_build_that_dies_after_its_manifest_is_cleared_up_by_the_next(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "plain", dataset)
    with monkeypatch.context() as patch:
        patch.setattr("cache.writing.writer.remove_leftovers", killed)
        with pytest.raises(Killed):
            build(tmp_path / "store", dataset)
    (tmp_path / "store" / "media" / f"part-00000-{'0' * 12}.parquet").write_bytes(b"left")
    assert (tmp_path / "store" / "manifest.json").exists()
    build(tmp_path / "store", dataset)
    assert whole(tmp_path / "store") == whole(tmp_path / "plain")


@pytest.mark.parametrize(
    "cut", [lambda data: b"", lambda data: data[:-1], lambda data: data + b"\0"]
)
def test_recordings_that_a_power_cut_took_the_end_of_are_asked_again(
    tmp_path: Path, dataset: Dataset, cut: Callable[[bytes], bytes]
) -> None:
    build(tmp_path / "plain", dataset)
    build(tmp_path / "store", dataset)
    (tmp_path / "store" / "manifest.json").unlink()
    for path in (tmp_path / "store" / RECORDINGS).iterdir():
        path.write_bytes(cut(path.read_bytes()))
    assert build(tmp_path / "store", dataset).asked == 4
    assert whole(tmp_path / "store") == whole(tmp_path / "plain")
    assert verify_store(tmp_path / "store").problems == ()


def test_recordings_are_merged_while_no_other_build_may_begin(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[bool] = []

    def look(*_: object) -> None:
        locked.append((tmp_path / "build.lock").exists())

    monkeypatch.setattr("cache.recording.segment_index.SegmentIndex.merge_small", look)
    build(tmp_path, dataset)
    assert locked
    assert all(locked)
