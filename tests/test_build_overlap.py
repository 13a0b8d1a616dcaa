"""Promises of stages that overlap: more at a time, little in memory, an end within seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from build_child import build as build_like_child
from builder_helpers import (
    SETTINGS,
    CountingObserver,
    CountingProvider,
    build,
    files_of,
    make_dataset,
)

from cache.keys import content_key
from cache.recording.recordings import Recordings
from cache.records import Example, Observation, Post
from cache.writing.writer import StoreWriter
from pipelines.verbs import build as build_verb
from retrieval.building import line
from retrieval.building.builder import RECORDINGS
from retrieval.building.line import MOST_ASKING, MOST_FINISHING, Line
from retrieval.building.worker import Worker
from retrieval.datasets import Dataset
from retrieval.sight import loading
from retrieval.sight.photos import Needs, Photo, load_photo

HERE = Path(__file__).parent
# Far longer than anything here takes, on any machine: only a deadlock gets there.
LONG_S = 60.0


def many_posts(folder: Path, number: int) -> Dataset:
    """Return so many posts, each with a photo, two to a shard in these tests."""
    photo = make_dataset(folder).photos["e0"]
    names = [f"m{place:03}" for place in range(number)]
    examples = tuple(Example(Post(name, ("a", "word", name), "p0.png"), "train") for name in names)
    return Dataset(examples, dict.fromkeys(names, photo), (), None, (), content_key(b"many"))


def threads_of_builds() -> set[str]:
    return {"ask", "fetch", "curate and write", "photos"} & {
        one.name for one in threading.enumerate()
    }


def num_recorded(store: Path) -> int:
    with Recordings(store / RECORDINGS) as book:
        return len(book)


def test_the_next_batch_is_looked_at_while_one_is_asked_about_and_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third_is_seen, second_is_asked = threading.Event(), threading.Event()
    num_asked = 0
    write = StoreWriter.write_shard

    def look_at(what: str) -> None:
        if what == "observe m004":
            third_is_seen.set()

    def ask(what: str) -> None:
        nonlocal num_asked
        num_asked += what.startswith("ask")
        if num_asked == 1:
            assert third_is_seen.wait(LONG_S)
        elif num_asked == 2:
            second_is_asked.set()

    def write_shard(writer: StoreWriter, index: int, *given: object) -> None:
        assert index or second_is_asked.wait(LONG_S)
        write(writer, index, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreWriter, "write_shard", write_shard)
    observer, provider = CountingObserver(before=look_at), CountingProvider(before=ask)
    report = build(tmp_path / "store", many_posts(tmp_path / "data", 8), observer, provider)
    assert report.unfinished == ()
    assert third_is_seen.is_set()
    assert second_is_asked.is_set()


@pytest.mark.parametrize("slow", ["ask", "write"])
def test_as_little_is_in_memory_with_many_posts_as_with_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    num_seen = num_written = 0
    on_the_way, photos_alive, photos_gone = [0], [0], [0]
    write = StoreWriter.write_shard

    def load(path: Path, needs: Needs | None) -> Photo:
        photo = load_photo(path, needs)
        weakref.finalize(photo.pixels, photos_gone.append, 1)
        photos_alive.append(len(photos_alive) - sum(photos_gone))
        return photo

    def look_at(what: str) -> None:
        nonlocal num_seen
        if what.startswith("observe"):
            num_seen += 1
            on_the_way.append(num_seen - num_written)

    def write_shard(writer: StoreWriter, *given: object) -> None:
        nonlocal num_written
        if slow == "write":
            time.sleep(0.05)
        write(writer, *given)  # type: ignore[arg-type]
        num_written += 2

    def ask(what: str) -> None:
        if slow == "ask" and what.startswith("ask"):
            time.sleep(0.05)

    monkeypatch.setattr(loading, "load_photo", load)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(StoreWriter, "write_shard", write_shard)
    dataset = many_posts(tmp_path / "data", 60)
    observer, provider = CountingObserver(before=look_at), CountingProvider(before=ask)
    # Others are kept in memory for all of the build, by design.
    curate = SETTINGS.curate.model_copy(update={"reference_posts": 2})
    assert build(tmp_path / "store", dataset, observer, provider, curate=curate).num_written == 30
    # One batch more of each kind: it is being taken from one stage to the next.
    assert 4 <= max(on_the_way) <= 2 * (MOST_ASKING + MOST_FINISHING + 3)
    # Two lots of two photos, one that is decoded ahead of them, and one that is handed over.
    assert max(photos_alive) <= 6


def test_photos_with_many_pixels_are_looked_at_in_lots_and_the_store_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = many_posts(tmp_path / "data", 5)
    build(tmp_path / "whole", dataset)
    together: list[int] = []
    observe = CountingObserver.observe

    def count(
        observer: CountingObserver, posts: Sequence[Post], *given: Sequence[Any]
    ) -> list[Observation]:
        together.append(len(posts))
        return observe(observer, posts, *given)

    monkeypatch.setattr(CountingObserver, "observe", count)
    monkeypatch.setattr(loading, "PIXELS_TOGETHER", 1)
    report = build(tmp_path / "lots", dataset)
    assert together == [1] * 5
    assert report.num_observed == 5
    assert files_of(tmp_path / "lots") == files_of(tmp_path / "whole")


def test_a_photo_that_breaks_the_decoder_itself_stops_the_build_and_every_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, needs: Needs | None) -> Photo:
        raise SystemError("out of handles")

    monkeypatch.setattr(loading, "load_photo", broken)
    with pytest.raises(SystemError, match="out of handles"):
        build(tmp_path / "store", many_posts(tmp_path / "data", 8))
    end = time.monotonic() + LONG_S
    while threads_of_builds() and time.monotonic() < end:
        time.sleep(0.01)
    assert not threads_of_builds()
    assert not (tmp_path / "store" / "build.lock").exists()


def test_what_one_stage_has_finished_is_written_though_another_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, fetch = many_posts(tmp_path / "data", 8), Line._fetch
    has_answers = threading.Semaphore(0)

    def fetch_and_tell(of_build: Line, asked: Any) -> Any:
        cases = fetch(of_build, asked)
        has_answers.release()
        return cases

    def fail(what: str) -> None:
        if what == "observe m004":
            assert all(has_answers.acquire(timeout=LONG_S) for _ in range(2))
            raise KeyboardInterrupt

    monkeypatch.setattr(Line, "_fetch", fetch_and_tell)
    monkeypatch.setattr(line, "_PATIENCE_S", LONG_S)
    provider = CountingProvider()
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "store", dataset, CountingObserver(before=fail), provider)
    report = build(tmp_path / "store", dataset, provider=provider)
    assert (report.num_written, report.num_observed) == (2, 4)
    assert set(provider.asked.values()) == {1}
    build(tmp_path / "whole", dataset)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "whole")


@pytest.mark.parametrize(("how", "answered"), [("ask", 2), ("observe", 3)])
def test_ctrl_c_ends_within_seconds_and_what_was_answered_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, answered: int
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    store, data = tmp_path / "store", tmp_path / "data"
    command = [sys.executable, str(HERE / "build_child.py"), str(store), str(data), how]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"hangs\n"
            end = time.monotonic() + LONG_S
            while num_recorded(store) < answered and time.monotonic() < end:
                time.sleep(0.02)
            start = time.monotonic()
            child.send_signal(signal.SIGINT)
            assert child.wait(LONG_S) == -signal.SIGINT
            # Five of them for what could still be finished; what hangs takes five minutes.
            assert time.monotonic() - start < 30
        finally:
            child.kill()
    assert not (store / "build.lock").exists()
    report = build_like_child(store, data, "")
    assert report.unfinished == ()
    # Of four distinct sentences: two posts have the same one.
    assert report.asked == 4 - answered
    build_like_child(tmp_path / "whole", data, "")
    assert files_of(store) == files_of(tmp_path / "whole")


def test_the_shares_of_the_wall_time_tell_what_a_build_waited_for(tmp_path: Path) -> None:
    def sleep(what: str) -> None:
        if what.startswith("ask"):
            time.sleep(1.0)

    dataset = many_posts(tmp_path / "data", 2)
    report = build(tmp_path / "store", dataset, provider=CountingProvider(before=sleep))
    shares = report.shares
    assert list(shares) == [*report.seconds, "forward passes"]
    assert report.seconds["waiting"] >= 1.0
    assert shares["waiting"] == pytest.approx(report.seconds["waiting"] / report.wall_seconds)
    work = sum(report.seconds[name] for name in ("embed", "curate", "write"))
    assert report.seconds["waiting"] + work == pytest.approx(report.wall_seconds, abs=0.5)
    assert report.as_json()["shares"] == {name: round(one, 4) for name, one in shares.items()}
    told = f"where the time went (stages overlap): decode {shares['decode']:.0%}, embed"
    assert told in build_verb._text("store", report)


def test_a_worker_does_jobs_in_order_until_one_fails() -> None:
    worker, done = Worker("test"), []

    def job(number: int) -> int:
        if number == 3:
            raise ZeroDivisionError("a bug")
        done.append(number)
        return number

    futures = [worker.submit(job, number) for number in range(5)]
    assert [future.result(LONG_S) for future in futures[:3]] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError, match="a bug"):
        futures[3].result(LONG_S)
    with pytest.raises(CancelledError):
        futures[4].result(LONG_S)
    assert done == [0, 1, 2]
    worker.stop()


def test_a_worker_that_is_stopped_ends_the_job_at_hand_and_begins_no_other() -> None:
    worker, begun, go_on = Worker("test"), threading.Event(), threading.Event()

    def job() -> str:
        begun.set()
        assert go_on.wait(LONG_S)
        return "done"

    at_hand, next_one = worker.submit(job), worker.submit(job)
    assert begun.wait(LONG_S)

    def go_on_once_it_is_stopped() -> None:
        assert worker._stopped.wait(LONG_S)
        go_on.set()

    threading.Thread(target=go_on_once_it_is_stopped).start()
    worker.stop()
    assert at_hand.result(0) == "done"
    assert next_one.cancelled()
