"""Answers are kept as they came, found again by key, and never read in part."""

from __future__ import annotations

import hashlib
import random
import resource
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cache_helpers import image
from hypothesis import given, settings
from hypothesis import strategies as st

from cache import InputError, Media, Recording, Recordings, StoreDamaged
from cache.recording.recordings import Asked, answers_table
from cache.recording.segments import check_segment, segments, write_segment
from cache.tables.contents import media_table

DAY = "2026-11-01T00:00:00Z"


def answer(key: str, body: bytes = b'{"hits": []}', asked_at: str = DAY) -> Recording:
    return Recording(key, "kb", '{"text": "wörd"}', asked_at, body)


@settings(max_examples=10, deadline=None)
@given(bodies=st.dictionaries(st.text(st.characters(codec="utf-8")), st.binary(), max_size=5))
def test_what_was_put_comes_back_now_and_after_opening_again(
    bodies: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("recordings")
    answers = [answer(key, body) for key, body in bodies.items()]
    with Recordings(folder) as recordings:
        recordings.put_segment(answers)
        assert [recordings.get(item.key) for item in answers] == answers
    with Recordings(folder) as again:
        assert [again.get(item.key) for item in answers] == answers
        assert len(again) == len(answers)


def test_an_empty_answer_is_not_the_same_as_no_answer(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path / "not made yet")
    recordings.put_segment([answer("asked", b"")])
    found = recordings.get("asked")
    assert found is not None
    assert found.body == b""
    assert recordings.get("never asked") is None
    assert "asked" in recordings
    assert "never asked" not in recordings


def test_many_segments_and_groups_are_found_by_key(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    for first in (0, 100, 200):
        numbers = range(first, first + 100)
        recordings.put_segment([answer(f"{n:03d}", str(n).encode()) for n in numbers])
    for opened in (recordings, Recordings(tmp_path)):
        for number in range(299, -1, -7):
            found = opened.get(f"{number:03d}")
            assert found is not None
            assert found.body == str(number).encode()


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.put_segment([answer("1")], [image(1)])
    before = sorted(tmp_path.iterdir())
    recordings.put_segment([answer("1")], [image(1)])
    recordings.put_segment([])
    assert sorted(tmp_path.iterdir()) == before
    recordings.put_segment([answer("1", b"another day"), answer("2")], [image(1), image(2)])
    found = recordings.get("1")
    assert found is not None
    assert found.body == b'{"hits": []}'
    rows = [pq.read_metadata(path).num_rows for path in sorted(tmp_path.iterdir())]
    assert rows == [1, 1, 1, 1]


def test_equal_segments_have_equal_names_and_bytes(tmp_path: Path) -> None:
    answers = [answer(str(n)) for n in range(5)]
    Recordings(tmp_path / "a").put_segment(answers, [image(1), image(2)])
    Recordings(tmp_path / "b").put_segment(answers[::-1], [image(2), image(1), image(1)])
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


def test_images_come_back_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.put_segment([], [image(number) for number in range(40)])
    for opened in (recordings, Recordings(tmp_path)):
        assert all(opened.media(image(n).key) == image(n) for n in range(40))
        assert opened.has_media(image(3).key)
        assert not opened.has_media("0" * 64)
        with pytest.raises(InputError, match="holds no image"):
            opened.media("0" * 64)


def test_half_written_segments_are_not_seen(tmp_path: Path) -> None:
    Recordings(tmp_path).put_segment([answer("1")])
    path = next(tmp_path.iterdir())
    half = path.read_bytes()[:50]
    (tmp_path / f".tmp-12-{path.name}").write_bytes(half)
    (tmp_path / "answers-short.parquet").write_bytes(half)
    assert len(Recordings(tmp_path)) == 1


@pytest.mark.parametrize("place", [4, 60, -30, -5])
def test_a_damaged_segment_is_an_error_that_says_what_to_remove(
    tmp_path: Path, place: int
) -> None:
    Recordings(tmp_path).put_segment([answer(str(n), bytes(range(200))) for n in range(9)])
    path = next(tmp_path.iterdir())
    data = bytearray(path.read_bytes())
    data[place] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match=rf"{path.name}.*Remove it.*asked again"):
        Recordings(tmp_path).get("8")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    Recordings(tmp_path / "a").put_segment([answer("1")])
    path = next((tmp_path / "a").iterdir())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / path.name).symlink_to(path)
    with pytest.raises(StoreDamaged, match="not a regular file"):
        Recordings(tmp_path / "b")


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    with pytest.raises(InputError, match="cannot be recorded"):
        recordings.put_segment([answer("\ud800")])
    with pytest.raises(InputError, match="has the key"):
        recordings.put_segment([], [Media("0" * 64, b"x", "PNG", 1, 1)])
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_was_asked_for_later_replaces_an_earlier_one_now_and_ever_after(
    tmp_path: Path,
) -> None:
    new, old = answer("1", b"new", "2026-11-02"), answer("1", b"old", "2026-11-01")
    with Recordings(tmp_path) as recordings:
        recordings.put_segment([old])
        recordings.put_segment([old, new, old])
        assert recordings.get("1") == new
        recordings.put_segment([old])
        assert recordings.get("1") == new
        assert Recordings(tmp_path).get("1") == new
    assert Recordings(tmp_path).get("1") == new
    assert len(list(tmp_path.iterdir())) == 1


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "asked_at",
    [
        "zzzz",
        "9999-12-31T23:59:59+00:00",
        "2026-11-23T12:00:01Z",
        "2026-W01-1",
        "20260101",
        "2026-11-22T11:00:00+23:59",
        "2026-13-01",
        "\uff12\uff10\uff12\uff16-01-01",
    ],
)
def test_a_time_of_asking_that_cannot_be_counts_as_the_earliest(
    tmp_path: Path, asked_at: str
) -> None:
    real, poison = answer("1", b"real", "2025-01-01T00:00:00Z"), answer("1", b"zzz", asked_at)
    for name, item in (("a", poison), ("b", real)):
        Recordings(tmp_path / name).put_segment([item])
        copy(tmp_path / name, tmp_path / "all")
    for _ in range(2):
        with Recordings(tmp_path / "all", lambda: NOW) as recordings:
            recordings.put_segment([poison])
            assert recordings.get("1") == real
            recordings.put_segment([answer("2", b"", asked_at)])
            assert [one.asked_at for one in recordings.asked()] == [real.asked_at, ""]


def test_an_answer_of_a_machine_whose_clock_is_a_little_ahead_counts(tmp_path: Path) -> None:
    with Recordings(tmp_path, lambda: NOW) as recordings:
        for asked_at in ("2026-11-22", "2026-11-22T12:00:00+00:00", "2026-11-23T11:59:59.5Z"):
            recordings.put_segment([answer("1", b"", asked_at)])
            assert recordings.get("1") == answer("1", b"", asked_at)


def test_a_build_may_fix_its_time_before_and_after_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + timedelta(days=1000)
    for name, epoch in (("past", "0"), ("future", str(int(later.timestamp()))), ("no", "soon")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        asked = answer("1", b"", later.isoformat(timespec="seconds") if name == "future" else DAY)
        with Recordings(tmp_path / name) as recordings:
            recordings.put_segment([answer("1", b"old", "2020-01-01"), asked])
            assert recordings.get("1") == asked


def bomb(key: str, size_bytes: int, use_dictionary: bool = False) -> bytes:
    """A segment of 64 answers (one where all have bodies of their own) that compresses well."""
    body = bytes(size_bytes)
    rows = [answer(f"{key}{n}", body) for n in range(64 if use_dictionary else 1)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        answers_table(rows),
        sink,
        compression="zstd",
        use_dictionary=["body"] if use_dictionary else False,
        dictionary_pagesize_limit=1 << 30,
        write_page_checksum=True,
        write_statistics=False,
    )
    return bytes(sink.getvalue())


def put_file(folder: Path, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"answers-{hashlib.sha256(data).hexdigest()[:32]}.parquet"
    path.write_bytes(data)
    return path


def test_small_files_of_large_answers_are_merged_a_few_at_a_time_or_left_alone(
    tmp_path: Path,
) -> None:
    large = put_file(tmp_path, bomb("large", 40 << 20))
    for number in range(5):
        put_file(tmp_path, bomb(str(number), 20 << 20))
    with Recordings(tmp_path) as recordings:
        recordings.put_segment([answer("one more")])
        before = pa.total_allocated_bytes()
        assert large.stat().st_size < 10_000
    assert large.exists()
    merged = [pq.read_metadata(path) for path in tmp_path.iterdir() if path != large]
    assert 2 <= len(merged) < 6
    assert max(one.row_group(0).total_byte_size for one in merged) <= 64 << 20
    assert pa.total_allocated_bytes() <= before
    with Recordings(tmp_path) as again:
        assert len(again) == 7


@pytest.mark.parametrize("use_dictionary", [False, True])
def test_a_row_group_that_claims_too_much_is_refused_before_it_is_decompressed(
    tmp_path: Path, use_dictionary: bool
) -> None:
    size_bytes = (9 << 20) if use_dictionary else (520 << 20)
    path = put_file(tmp_path, bomb("1", size_bytes, use_dictionary))
    recordings = Recordings(tmp_path)
    with pytest.raises(StoreDamaged, match=rf"{path.name}.*536,870,912.*Remove it"):
        recordings.get("10")
    recordings.close()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_folders_copied_together_the_latest_answer_counts_then_the_greater_body(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    answers = [answer("1", b"z", "2026-01-01"), answer("1", b"a", "2026-02-01")]
    answers.append(answer("1", b"b", "2026-02-01"))
    for number in order:
        Recordings(tmp_path / str(number)).put_segment([answers[number]])
        copy(tmp_path / str(number), tmp_path / "all")
    for _ in range(2):
        with Recordings(tmp_path / "all") as recordings:
            assert recordings.get("1") == answers[2]
            recordings.put_segment([answer("2")])


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def test_closing_merges_small_segments_and_reading_alone_merges_nothing(tmp_path: Path) -> None:
    with Recordings(tmp_path) as recordings:
        for number in range(9):
            recordings.put_segment([answer(str(number))], [image(number)])
        Recordings(tmp_path).close()
        assert len(list(tmp_path.iterdir())) == 18
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == ["answers", "media"]
    assert verify_segments(tmp_path) == 9
    assert recordings.get("3") == Recordings(tmp_path).get("3") == answer("3")
    assert recordings.media(image(8).key) == image(8)


def verify_segments(folder: Path) -> int:
    for path, _ in segments(folder):
        check_segment(path)
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("answers-*"))


def test_large_segments_are_left_alone(tmp_path: Path) -> None:
    large = answer("large", random.Random(0).randbytes(2 << 20))
    Recordings(tmp_path).put_segment([large])
    before = set(tmp_path.iterdir())
    with Recordings(tmp_path) as recordings:
        for number in range(3):
            recordings.put_segment([answer(str(number))])
    assert before < set(tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2
    assert Recordings(tmp_path).get("large") == large


# The name that sorts first is looked at first; with some seed that is the large segment's.
@pytest.mark.parametrize("seed", range(5))
def test_a_merge_gives_no_answer_up_because_a_file_that_it_leaves_alone_has_it_too(
    tmp_path: Path, seed: int
) -> None:
    filler = random.Random(seed).randbytes(2 << 20)
    Recordings(tmp_path / "large").put_segment([answer("both"), answer("filler", filler)])
    Recordings(tmp_path / "small").put_segment([answer("both")])
    (large,) = (tmp_path / "large").iterdir()
    copy(tmp_path / "large", tmp_path / "small")
    with Recordings(tmp_path / "small") as recordings:
        recordings.put_segment([answer("one more")])
    # As another process would, that relied on the small segment.
    (tmp_path / "small" / large.name).unlink()
    assert Recordings(tmp_path / "small").get("both") == answer("both")


def test_one_answer_at_a_time_does_not_fill_the_folder_with_files(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    for number in range(200):
        recordings.put_segment([answer(str(number))])
        assert len(list(tmp_path.iterdir())) <= 65
    for opened in (recordings, Recordings(tmp_path)):
        assert all(opened.get(str(number)) == answer(str(number)) for number in range(200))


def test_more_segments_than_a_process_may_open_files_can_be_read(tmp_path: Path) -> None:
    for number in range(300):
        write_segment(tmp_path, "recordings", answers_table([answer(str(number))]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with Recordings(tmp_path) as recordings:
            assert all(recordings.get(str(n)) == answer(str(n)) for n in range(300))
            recordings.put_segment([answer("one more")])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(list(tmp_path.iterdir())) == 1
    assert len(Recordings(tmp_path)) == 301


def test_a_reader_finds_again_what_others_merged_since_it_looked(tmp_path: Path) -> None:
    with Recordings(tmp_path) as writer:
        for number in range(5):
            writer.put_segment([answer(str(number))], [image(number)])
        readers = [Recordings(tmp_path) for _ in range(2)]
        assert readers[0].get("0") == answer("0")
    for number in range(5):
        assert readers[0].get(str(number)) == answer(str(number))
        assert readers[1].media(image(number).key) == image(number)
    for reader in readers:
        reader.close()


def test_what_a_person_removed_is_no_longer_answered_and_is_no_error(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.put_segment([answer("1")], [image(1)])
    for path in tmp_path.iterdir():
        path.unlink()
    assert recordings.get("1") is None
    with pytest.raises(InputError, match="holds no image"):
        recordings.media(image(1).key)


def test_many_threads_may_record_and_read_at_once(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)

    def work(thread: int) -> bool:
        for number in range(20):
            mine = answer(f"{thread} {number}", str(thread).encode())
            recordings.put_segment([mine, answer("shared")], [image(number)])
            if recordings.get(mine.key) != mine or recordings.media(image(number).key) is None:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    recordings.close()
    assert len(Recordings(tmp_path)) == 8 * 20 + 1


def test_a_reader_and_two_writers_that_merge_lose_nothing(tmp_path: Path) -> None:
    done = threading.Event()

    def write(name: str) -> None:
        for number in range(25):
            with Recordings(tmp_path) as recordings:
                recordings.put_segment([answer(f"{name} {number}"), answer("both", b"", "")])
                assert "both" in recordings

    def read() -> int:
        known: set[str] = set()
        while not done.is_set():
            with Recordings(tmp_path) as recordings:
                for key in known | {one.key for one in recordings.asked()}:
                    assert recordings.get(key) is not None, key
                    known.add(key)
        return len(known)

    with ThreadPoolExecutor(3) as pool:
        reading = pool.submit(read)
        writing = [pool.submit(write, name) for name in "ab"]
        try:
            for one in writing:
                one.result()
        finally:
            done.set()
        assert reading.result() > 0
    assert len(Recordings(tmp_path)) == 51


def test_what_is_recorded_can_be_listed_without_reading_answers(tmp_path: Path) -> None:
    with Recordings(tmp_path) as recordings:
        recordings.put_segment([answer("2"), answer("1", b"new", "2026-11-02")])
        recordings.put_segment([Recording("0", "web", "{}", "", b"")])
        listed = list(recordings.asked())
    assert listed == [Asked("0", "web", ""), Asked("1", "kb", "2026-11-02"), Asked("2", "kb", DAY)]
    again = Recordings(tmp_path)
    assert list(again.asked()) == listed
    assert list(again.asked("web")) == listed[:1]
    assert list(again.asked("wikipedia")) == []


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["put", "put", "put", "close", "open"]),
        st.sampled_from("abc"),
        st.sampled_from(["", "2025-01-01", "2026-01-01"]),
        st.binary(max_size=1),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_any_interleaving_of_two_processes_gives_the_same_answers(
    steps: list[tuple[int, str, str, str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("interleaved")
    opened = [Recordings(folder), Recordings(folder)]
    written: dict[str, list[tuple[str, bytes]]] = {}
    for who, what, key, asked_at, body in steps:
        if what == "close":
            opened[who].close()
        elif what == "open":
            opened[who] = Recordings(folder)
        else:
            known = opened[who].get(key)
            if known is None or asked_at > known.asked_at:
                written.setdefault(key, []).append((asked_at, body))
            opened[who].put_segment([answer(key, body, asked_at)])
            assert opened[who].get(key) is not None
    check(folder, written)
    for one in opened:
        one.close()
        check(folder, written)


def check(folder: Path, written: dict[str, list[tuple[str, bytes]]]) -> None:
    recordings = Recordings(folder)
    assert {one.key for one in recordings.asked()} == set(written)
    for key, versions in written.items():
        asked_at, body = max(versions)
        assert recordings.get(key) == answer(key, body, asked_at)


def test_recordings_of_the_first_schema_are_read(tmp_path: Path) -> None:
    table = answers_table([answer("1")]).replace_schema_metadata(
        {"ramie.schema": "1", "ramie.table": "recordings"}
    )
    write_segment(tmp_path, "recordings", table)
    images = media_table([image(1)], {image(1).key: 0}, 0).replace_schema_metadata(
        {"ramie.schema": "1", "ramie.table": "media"}
    )
    write_segment(tmp_path, "media", images)
    with Recordings(tmp_path) as recordings:
        assert recordings.get("1") == answer("1")
        assert recordings.media(image(1).key) == image(1)
        recordings.put_segment([answer("2")], [image(2)])
    with Recordings(tmp_path) as recordings:
        assert recordings.get("1") == answer("1")
        assert recordings.media(image(1).key) == image(1)


def test_a_damaged_small_segment_is_not_merged_and_costs_the_others_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Recordings(tmp_path).put_segment([answer("bad", bytes(range(200)))])
    path = next(tmp_path.iterdir())
    data = bytearray(path.read_bytes())
    # Within the body, which opening does not look at.
    data[data.index(bytes(range(100, 110)))] ^= 0x55
    path.write_bytes(data)
    with Recordings(tmp_path) as recordings:
        recordings.put_segment([answer("1")])
        recordings.put_segment([answer("2")])
    assert path.name in caplog.text
    again = Recordings(tmp_path)
    assert again.get("1") == answer("1")
    assert again.get("2") == answer("2")
    with pytest.raises(StoreDamaged, match="Remove it"):
        again.get("bad")


def test_what_was_known_stays_known_where_looking_again_fails(tmp_path: Path) -> None:
    with Recordings(tmp_path) as writer:
        writer.put_segment([answer("1")])
        writer.put_segment([answer("2")])
        reader = Recordings(tmp_path)
    (tmp_path / f"answers-{'0' * 32}.parquet").write_bytes(b"half a file")
    with pytest.raises(StoreDamaged, match="Remove it"):
        reader.get("1")
    assert "1" in reader
    (tmp_path / f"answers-{'0' * 32}.parquet").unlink()
    assert reader.get("1") == answer("1")
