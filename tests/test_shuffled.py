"""An epoch holds every post of its split once, whichever reader it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from cache_helpers import build, plain

from cache import open_store
from cache.reading.shard_cache import ShardCache
from cache.reading.shuffled import shuffled
from cache.store import ReaderName

READERS: tuple[ReaderName, ...] = ("lmdb", "packed", "parquet")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    build(tmp_path / "store", posts=20)
    return tmp_path / "store"


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("split", [None, "train", "dev", "no such split"])
def test_an_epoch_has_every_post_of_the_split_once_and_whole(
    store: Path, name: ReaderName, split: str | None
) -> None:
    with open_store(store, reader=name) as reader:
        found = {one.example.post.example_id: one for one in shuffled(reader, split)}
        assert len(list(shuffled(reader, split))) == len(found)
        assert tuple(sorted(found)) == reader.example_ids(split)
        for example_id, features in found.items():
            assert plain(features) == plain(reader.features(example_id))


@pytest.mark.parametrize("name", READERS)
def test_the_seed_decides_the_order_of_posts(store: Path, name: ReaderName) -> None:
    with open_store(store, reader=name) as reader:
        first, again, other = (
            [one.example.post.example_id for one in shuffled(reader, seed=seed)]
            for seed in (1, 1, 2)
        )
        assert first == again != other
        assert first != sorted(first)


def test_an_epoch_over_shards_decodes_every_row_group_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode = ShardCache._decode

    def counting(self: ShardCache, *args: object) -> object:
        decoded.append(args[:2])
        return decode(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ShardCache, "_decode", counting)
    with open_store(store, reader="parquet") as reader:
        assert len(list(shuffled(reader))) == 60
    assert sorted(decoded) == [(table, i) for table in ("evidence", "examples") for i in range(3)]
