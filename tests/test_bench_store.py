"""The benchmark of the store measures what it says, at sizes at which figures mean nothing yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from cache import InputError, StoreDamaged, StoreError, open_store, verify_store
from pipelines.bench.figures import Figure
from pipelines.bench.store import PARTS, bench_store
from pipelines.bench.store_cold import bench_cold, drop, resident_share
from pipelines.bench.store_opening import bench_opening
from pipelines.bench.store_peers import PEERS, opened_peer
from pipelines.bench.store_posts import PostMaker, WholePost
from pipelines.bench.store_reading import bench_reading, compare
from pipelines.bench.store_scale import bench_building, bench_scale, write_posts
from pipelines.bench.store_writing import bench_writing
from pipelines.bench.verifying import verify_figures as bench_verify

MAKER = PostMaker(seed=3, posts=60)


def _positive(figures: list[Figure]) -> bool:
    return len(figures) > 0 and all(figure.value > 0 for figure in figures)


def _need_peers() -> None:
    for name in ("datasets", "webdataset", "wids"):
        pytest.importorskip(name, reason="pip install '.[bench]'")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "store"
    assert _positive(bench_writing(MAKER, path))
    assert [one.name for one in path.parent.iterdir()] == ["store"]
    return path


def test_what_is_measured_is_a_sound_store_of_the_posts_that_were_made_up(store: Path) -> None:
    assert verify_store(store).ok
    with open_store(store) as reader:
        assert reader.example_ids() == tuple(map(MAKER.name, range(60)))
    assert _positive(bench_verify(store))


def test_posts_are_the_same_for_a_seed_and_others_for_another() -> None:
    digests = {PostMaker(3, 9).whole(n).digest for n in (0, 1)} | {MAKER.whole(0).digest}
    assert len(digests) == 2
    assert PostMaker(4, 9).whole(0).digest not in digests


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_gives_back_every_value(tmp_path: Path, name: str) -> None:
    _need_peers()
    peer = opened_peer(name, MAKER, tmp_path)
    try:
        for number in (0, 59, 7):
            assert peer.values(peer.whole(number)).digest == MAKER.whole(number).digest
            assert peer.light(number) is not None
    finally:
        peer.close()


def test_a_peer_that_cheats_is_found_out() -> None:
    class Cheat:
        def whole(self, number: int) -> WholePost:
            post = MAKER.whole(number)
            return post._replace(images=[*post.images[:2], b""])

        light = whole

        def values(self, post: WholePost) -> WholePost:
            return post

        def close(self) -> None: ...

    with pytest.raises(StoreDamaged, match="post 1 comes back changed from: cheat"):
        compare("cheat", Cheat(), [1], [0, MAKER.whole(1).digest])


def test_reading_warm_and_cold_gives_rates_for_all_layouts(store: Path, tmp_path: Path) -> None:
    _need_peers()
    figures = bench_reading(MAKER, store, tmp_path)
    assert _positive(figures)
    for name in PEERS:
        assert sum(figure.what.endswith(f", {name}") for figure in figures) == 2
    assert _positive(bench_cold(MAKER, store, tmp_path))


def test_what_was_dropped_from_memory_is_not_there_any_more(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    assert resident_share(path) == 1
    try:
        drop([path])
    except StoreError:
        pytest.skip("the temporary folder is in memory")
    assert resident_share(path) == 0


def test_opening_is_measured_in_a_process_of_its_own(store: Path) -> None:
    seconds, megabytes = bench_opening(store)
    assert seconds.what == "s to open a store of 60 posts"
    assert 0 < seconds.value < 60
    # A Python with NumPy and Arrow takes more than 20 MB, and far less than 1 GB.
    assert 20 < megabytes.value < 1000


def test_a_build_of_many_posts_is_compared_with_one_of_few(tmp_path: Path) -> None:
    assert _positive(bench_scale(tmp_path, posts=1200))
    assert _positive(bench_building(tmp_path, posts=40))
    assert list(tmp_path.iterdir()) == []


def test_the_posts_that_show_what_grows_share_texts_and_images(tmp_path: Path) -> None:
    write_posts(tmp_path, 600, seed=1)
    summary = verify_store(tmp_path).counts
    assert summary["texts"] == 600 * 4 + 600 // 4
    assert summary["images"] == 600 // 4


def test_the_command_measures_the_chosen_parts_and_leaves_nothing_behind(tmp_path: Path) -> None:
    said: list[str] = []
    result = bench_store(["writing", "verify"], 30, 1, tmp_path, said.append)
    assert list(result) == ["writing", "verify"]
    assert any("times as fast as pyarrow" in line and ">= 0.7" in line for line in said)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_not_known_or_a_disk_without_room_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no part 'reeding'"):
        bench_store(["reeding"], 30, 0, tmp_path, print)
    with pytest.raises(InputError, match="0 posts"):
        bench_store([], 0, 0, tmp_path, print)
    with pytest.raises(StoreError, match=r"has room for .* Give fewer --posts"):
        bench_store([], 10**9, 0, tmp_path, print)
    assert {
        "writing",
        "reading",
        "cold",
        "verify",
        "open",
        "scale",
        "building",
        "size",
        "sharing",
    } <= set(PARTS)
