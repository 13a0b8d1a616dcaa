"""Promises of the builder about trouble: nothing finished is lost, nothing is faked."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builder_helpers import (
    STRICTER,
    CountingObserver,
    CountingProvider,
    build,
    files_of,
    make_dataset,
)

from cache.checking.verify import verify_store
from cache.errors import InputError, StoreMismatch
from cache.keys import content_key
from cache.reading.parquet_reader import ParquetReader
from cache.recording.recordings import Recordings
from cache.records import Observation, Query
from cache.writing.writer import StoreWriter
from retrieval.asking.queries import make_queries
from retrieval.building import gather
from retrieval.building.builder import RECORDINGS
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.sight import photos


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return the data set of all these tests; nobody changes its files."""
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> dict[str, bytes]:
    """Return the files of a store that was built without any trouble."""
    store = tmp_path_factory.mktemp("whole")
    build(store, dataset)
    return files_of(store)


class Interrupt:
    """Raises Ctrl-C at the n-th time something starts with ``what``."""

    def __init__(self, what: str, times: int) -> None:
        self.what, self.left = what, times

    def __call__(self, what: str) -> None:
        """Count, and raise at the last."""
        if what.startswith(self.what):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


MOMENTS = [
    ("observe", 1),
    ("observe", 4),
    ("ask", 1),
    ("ask", 2),
    ("ask", 3),
    ("parse", 1),
    ("parse", 12),
    ("media", 1),
    ("media", 5),
]


@pytest.mark.parametrize(("what", "times"), MOMENTS)
def test_ctrl_c_at_any_moment_loses_nothing_finished(
    tmp_path: Path, what: str, times: int, dataset: Dataset, whole: dict[str, bytes]
) -> None:
    stop = Interrupt(what, times)
    observer, provider = CountingObserver(before=stop), CountingProvider(before=stop)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "store", dataset, observer, provider)
    finished = files_of(tmp_path / "store", "examples", "evidence", "dropped")
    stamps = {name: (tmp_path / "store" / name).stat().st_mtime_ns for name in finished}

    report = build(tmp_path / "store", dataset, observer, provider)

    assert report.unfinished == ()
    assert files_of(tmp_path / "store") == whole
    assert stamps == {name: (tmp_path / "store" / name).stat().st_mtime_ns for name in stamps}
    # What was answered before the interruption was not asked again.
    assert set(provider.asked.values()) == {1}
    assert verify_store(tmp_path / "store").problems == ()


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.EACCES, errno.EIO, errno.ENOTCONN], ids=errno.errorcode.get
)
def test_a_photo_that_cannot_be_read_now_leaves_its_posts_for_the_next_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    dataset: Dataset,
    whole: dict[str, bytes],
) -> None:
    away, real = str(dataset.photos["e0"]), os.open

    def failing(path: Any, *given: Any, **named: Any) -> int:
        if str(path) == away:
            raise OSError(number, os.strerror(number), away)
        return real(path, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        report = build(tmp_path / "store", dataset)
    check_unfinished(report, away)
    report = build(tmp_path / "store", dataset)
    assert (report.action, report.unfinished) == ("resumed", ())
    assert files_of(tmp_path / "store") == whole


@pytest.mark.parametrize("stage", ["decode", "curate"])
def test_an_image_that_finds_no_memory_leaves_its_posts_for_the_next_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    dataset: Dataset,
    whole: dict[str, bytes],
) -> None:
    real = photos._upright

    def full(*given: Any) -> object:
        if threading.current_thread().name.startswith(stage):
            raise MemoryError
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(photos, "_upright", full)
        report = build(tmp_path / "store", dataset)
    if stage == "decode":
        check_unfinished(report, str(dataset.photos["e0"]))
    else:
        assert [one.example_id for one in report.unfinished] == ["e0", "e1", "e2", "e3", "e4"]
    assert build(tmp_path / "store", dataset).unfinished == ()
    assert files_of(tmp_path / "store") == whole


def check_unfinished(report: BuildReport, path: str) -> None:
    """Check that both posts with the photo at ``path``, and no others, are unfinished."""
    assert [one.example_id for one in report.unfinished] == ["e0", "e3"]
    for one in report.unfinished:
        assert path in one.reason
        assert "build again" in one.reason
        assert not one.unavailable
    # Nothing is known of it, so it is no photo that was looked at and found to be unusable.
    assert report.photo_problems == {"missing": 1, "not an image": 1}


def test_a_photo_that_went_since_the_data_set_was_read_stops_a_build_before_it_begins(
    tmp_path: Path,
) -> None:
    dataset = make_dataset(tmp_path / "data")
    path = dataset.photos["e0"]
    path.rename(path.with_suffix(".away"))
    with pytest.raises(InputError, match=rf"cannot look at {path}: No such file.*build again"):
        build(tmp_path / "store", dataset)
    assert not (tmp_path / "store" / "manifest.json").exists()
    # Its size would have told this data set from the one with the photo, for good.
    path.with_suffix(".away").rename(path)
    assert build(tmp_path / "store", dataset).unfinished == ()


@pytest.mark.parametrize("when", [1, 3])
@pytest.mark.parametrize("method", ["write_shard", "close"])
def test_ctrl_c_while_writing_loses_nothing_finished(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    when: int,
    dataset: Dataset,
    whole: dict[str, bytes],
) -> None:
    stop = Interrupt(method, when if method == "write_shard" else 1)
    real: Callable[..., object] = getattr(StoreWriter, method)

    def interrupted(*arguments: object, **named: object) -> object:
        stop(method)
        return real(*arguments, **named)

    provider = CountingProvider()
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, method, interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "store", dataset, provider=provider)
    assert not (tmp_path / "store" / "manifest.json").exists()
    report = build(tmp_path / "store", dataset, provider=provider)
    assert report.num_written == {"write_shard": 4 - when, "close": 0}[method]
    assert files_of(tmp_path / "store") == whole
    assert set(provider.asked.values()) == {1}


def test_ctrl_c_while_curating_anew_leaves_the_old_store_readable(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "fresh", dataset, curate=STRICTER)
    build(tmp_path / "store", dataset)
    old = (tmp_path / "store" / "manifest.json").read_bytes()
    provider = CountingProvider(before=Interrupt("parse", 12))
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "store", dataset, provider=provider, curate=STRICTER)
    assert (tmp_path / "store" / "manifest.json").read_bytes() == old
    with ParquetReader(tmp_path / "store") as store:
        assert len(store.read("e0").evidence) > 0
    observer = CountingObserver()
    report = build(tmp_path / "store", dataset, observer, provider, curate=STRICTER)
    assert (report.action, report.num_written) == ("recurated", 2)
    assert (observer.observed, provider.asked) == ({}, {})
    assert files_of(tmp_path / "store") == files_of(tmp_path / "fresh")


def test_an_interrupted_build_is_not_continued_with_another_recipe(
    tmp_path: Path, dataset: Dataset
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "store", dataset, CountingObserver(before=Interrupt("observe", 4)))
    with pytest.raises(
        StoreMismatch, match=r"curate.keep_per_stream: 2 -> 1; .* removing .*journal"
    ):
        build(tmp_path / "store", dataset, curate=STRICTER)


def test_an_answer_is_on_disk_before_anything_reads_it(tmp_path: Path, dataset: Dataset) -> None:
    provider = CountingProvider(before=Interrupt("parse", 1))
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "store", dataset, provider=provider)
    assert len(Recordings(tmp_path / "store" / RECORDINGS)) == len(provider.asked) == 8


def test_a_provider_that_is_down_leaves_the_post_for_the_next_run_and_no_empty_evidence(
    tmp_path: Path, dataset: Dataset, whole: dict[str, bytes]
) -> None:
    down = CountingProvider(down={"a quiet day at the river"})
    report = build(tmp_path / "store", dataset, provider=down)
    assert [(one.example_id, one.reason) for one in report.unfinished] == [
        ("e1", "the line is down")
    ]
    assert report.unfinished[0].unavailable
    assert report.unavailable == 2
    assert report.counters["unfinished"] == 1
    with ParquetReader(tmp_path / "store") as store:
        assert store.example_ids() == ("e0", "e2", "e3", "e4")
        assert store.manifest.unfinished == ("e1",)

    observer = CountingObserver()
    still = build(tmp_path / "store", dataset, observer, CountingProvider(down={down_text()}))
    assert [one.example_id for one in still.unfinished] == ["e1"]

    up = CountingProvider()
    report = build(tmp_path / "store", dataset, observer, up)
    assert (report.action, report.num_written, report.asked) == ("resumed", 1, 2)
    # Only the post that had no row was looked at again.
    assert set(observer.observed) == {"e1"}
    assert report.unfinished == ()
    assert files_of(tmp_path / "store") == whole


def down_text() -> str:
    """Return the sentence that the provider does not answer in these tests."""
    return "a quiet day at the river"


def test_an_interrupted_run_with_unfinished_posts_asks_for_them_too(
    tmp_path: Path, dataset: Dataset, whole: dict[str, bytes]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(
            tmp_path / "store",
            dataset,
            CountingObserver(before=Interrupt("observe e4", 1)),
            CountingProvider(down={down_text()}),
        )
    report = build(tmp_path / "store", dataset)
    assert (report.num_written, report.unfinished) == (2, ())
    assert files_of(tmp_path / "store") == whole


def test_a_provider_that_raises_for_all_leaves_all_posts_unfinished(
    tmp_path: Path, dataset: Dataset
) -> None:
    report = build(
        tmp_path / "store", dataset, provider=CountingProvider(down={"sentence", "image"})
    )
    assert len(report.unfinished) == 5
    assert "evidence" not in report.counters


def test_an_image_that_cannot_be_fetched_leaves_its_posts_unfinished(
    tmp_path: Path, dataset: Dataset, whole: dict[str, bytes]
) -> None:
    report = build(tmp_path / "store", dataset, provider=CountingProvider(lost_media=True))
    assert len(report.unfinished) == 5
    assert all("is not to be had" in one.reason for one in report.unfinished)
    assert build(tmp_path / "store", dataset).unfinished == ()
    assert files_of(tmp_path / "store") == whole


def test_an_error_in_one_post_stops_no_other_and_is_reported_with_its_id(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    dataset: Dataset,
    whole: dict[str, bytes],
) -> None:

    def fail_at_e1(what: str) -> None:
        if what == "observe e1":
            raise ZeroDivisionError("a bug")

    def fail_at_e4(observation: Observation) -> list[Query]:
        if observation.post.example_id == "e4":
            raise KeyError("another bug")
        return make_queries(observation)

    with monkeypatch.context() as patch:
        patch.setattr(gather, "make_queries", fail_at_e4)
        report = build(tmp_path / "store", dataset, CountingObserver(before=fail_at_e1))
    assert [(one.example_id, one.reason) for one in report.unfinished] == [
        ("e1", "ZeroDivisionError: a bug"),
        ("e4", "KeyError: 'another bug'"),
    ]
    assert not any(one.unavailable for one in report.unfinished)
    assert "post e1 could not be observed" in caplog.text
    assert build(tmp_path / "store", dataset).unfinished == ()
    assert files_of(tmp_path / "store") == whole


def test_models_that_cannot_be_used_stop_the_build_with_their_own_error(tmp_path: Path) -> None:
    def broken(what: str) -> None:
        raise InputError("weights are missing. Put them there.")

    with pytest.raises(InputError, match="weights are missing"):
        build(tmp_path / "store", make_dataset(tmp_path / "data"), CountingObserver(before=broken))
    assert not (tmp_path / "store" / "build.lock").exists()


def test_a_missing_shard_file_is_written_again_from_what_was_recorded(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "store", dataset)
    before = files_of(tmp_path / "store")
    next((tmp_path / "store" / "examples").glob("part-00001-*")).unlink()
    provider = CountingProvider()
    report = build(tmp_path / "store", dataset, provider=provider)
    assert (report.action, report.num_written, report.asked) == ("resumed", 1, 0)
    assert files_of(tmp_path / "store") == before


def test_without_recordings_curating_anew_asks_again_and_gives_the_same(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "fresh", dataset, curate=STRICTER)
    build(tmp_path / "store", dataset)
    for path in (tmp_path / "store" / RECORDINGS).iterdir():
        path.unlink()
    report = build(tmp_path / "store", dataset, curate=STRICTER)
    assert (report.num_observed, report.asked) == (0, 12)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "fresh")


def test_a_photo_changed_behind_the_store_keeps_what_was_seen(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    build(tmp_path / "store", dataset)
    path = dataset.photos["e0"]
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    assert build(tmp_path / "store", dataset, curate=STRICTER).num_observed == 0
    with ParquetReader(tmp_path / "store") as store:
        key = store.read("e0").observation.photo_key or ""
        assert content_key(store.media(key).data) == key != content_key(bytes(changed))
