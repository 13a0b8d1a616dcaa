"""What no copy holds is built again from recordings and local posts, apart from the store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from builder_helpers import (
    STRICTER,
    CountingProvider,
    build,
    make_dataset,
    relabelled,
)
from cache_helpers import files_of

from cache import StoreMismatch, verify_store
from pipelines.repairing import repair_by_building
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pristine(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "store"
    build(path, dataset)
    return path


@pytest.fixture
def store(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "store"))


def nobody(what: str) -> None:
    """Fail the test if a provider is asked."""
    assert not what.startswith("ask"), what


def rebuilt(path: Path, dataset: Dataset) -> BuildReport:
    """Build where every answer is recorded."""
    return build(path, dataset, provider=CountingProvider(before=nobody))


def test_every_shard_file_comes_back_from_recordings_and_posts_byte_for_byte(
    pristine: Path, store: Path, dataset: Dataset
) -> None:
    sound = files_of(pristine)
    for name in sound:
        if name.startswith("recordings/"):
            continue
        (store / name).write_bytes(sound[name][:-1])
        report = repair_by_building(store, lambda path: rebuilt(path, dataset))
        assert report.lost == [], name
        assert files_of(store) == sound, name
        assert verify_store(store).problems == ()
        assert not list(store.parent.glob("store.rebuilt-*"))


def test_only_what_is_damaged_is_built_again(store: Path, dataset: Dataset) -> None:
    (damaged,) = store.glob("evidence/part-00002-*")
    damaged.unlink()
    reports: list[BuildReport] = []

    def remembered(path: Path) -> BuildReport:
        reports.append(rebuilt(path, dataset))
        return reports[-1]

    repair_by_building(store, remembered)
    assert [report.num_written for report in reports] == [1]


def test_a_lost_store_is_built_from_its_recordings(
    pristine: Path, store: Path, dataset: Dataset
) -> None:
    for name in ("manifest.json", "README.md"):
        (store / name).unlink()
    for path in store.glob("examples/part-00001-*"):
        path.unlink()
    assert repair_by_building(store, lambda path: rebuilt(path, dataset)).lost == []
    assert files_of(store) == files_of(pristine)


def test_a_build_with_other_settings_changes_nothing_and_says_what_differs(
    store: Path, dataset: Dataset
) -> None:
    (damaged,) = store.glob("evidence/part-00000-*")
    damaged.write_bytes(b"")
    before = files_of(store)

    def stricter(path: Path) -> BuildReport:
        return build(path, dataset, provider=CountingProvider(before=nobody), curate=STRICTER)

    lost = repair_by_building(store, stricter).lost
    assert str(damaged) in lost[0]
    assert "settings.curate.keep_per_stream" in lost[1]
    assert files_of(store) == before


def test_a_build_of_other_posts_is_refused_and_changes_nothing(
    store: Path, dataset: Dataset
) -> None:
    next(store.glob("evidence/*")).write_bytes(b"")
    before = files_of(store)
    with pytest.raises(StoreMismatch):
        repair_by_building(store, lambda path: rebuilt(path, relabelled(dataset, "LOC")))
    assert files_of(store) == before
    assert not list(store.parent.glob("store.rebuilt-*"))
