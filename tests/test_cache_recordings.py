"""Answers are kept as they came, found again by key, and never read in part."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cache_helpers import image
from hypothesis import given, settings
from hypothesis import strategies as st

from cache import InputError, Media, Recording, Recordings, StoreDamaged


def answer(key: str, body: bytes = b'{"hits": []}') -> Recording:
    return Recording(key, "kb", '{"text": "wörd"}', "2026-11-01T00:00:00Z", body)


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
