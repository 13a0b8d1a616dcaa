"""What every reader of a store promises; one suite over all of them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from cache_helpers import IDENTITY, Shard, build, files_of, image, plain, shard, write
from hypothesis import given, settings
from hypothesis import strategies as st

from cache import (
    STREAMS,
    Dropped,
    Evidence,
    Example,
    Hit,
    InputError,
    Observation,
    Post,
    Region,
    Span,
    StoredExample,
    StoreMismatch,
    StoreReader,
    StoreWriter,
    features_of,
    open_store,
    post_sha256,
)

Name = Literal["lmdb", "packed", "parquet"]
READERS: tuple[Name, ...] = ("lmdb", "packed", "parquet")
WRITTEN = {row.example.post.example_id: row for i in range(3) for row in shard(i).rows}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readers") / "store"
    build(path)
    return path


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest, store: Path) -> Iterator[StoreReader]:
    with open_store(store, reader=request.param) as opened:
        yield opened


def test_every_post_comes_back_as_it_was_written(reader: StoreReader) -> None:
    assert reader.example_ids() == tuple(sorted(WRITTEN))
    for name, row in WRITTEN.items():
        assert plain(reader.read(name)) == plain(row)


def test_features_are_those_of_the_record(reader: StoreReader) -> None:
    for name, row in WRITTEN.items():
        assert plain(reader.features(name)) == plain(features_of(row))


def test_splits_share_out_the_posts(reader: StoreReader) -> None:
    for split in ("train", "dev", "test"):
        expected = [n for n, row in sorted(WRITTEN.items()) if row.example.split == split]
        assert reader.example_ids(split) == tuple(expected)
    assert reader.example_ids("no such split") == ()


def test_dropped_hits_come_back_with_step_and_reason_in_order(reader: StoreReader) -> None:
    for index in range(3):
        part = shard(index)
        for row in part.rows:
            name = row.example.post.example_id
            expected = [_without_embedding(item) for item in part.dropped.get(name, ())]
            assert plain(reader.dropped(name)) == plain(tuple(expected))


def _without_embedding(item: Dropped) -> Dropped:
    fields = {name: getattr(item.hit, name) for name in Hit.__dataclass_fields__}
    return Dropped(Hit(**{**fields, "embedding": None}), item.step, item.reason)


def test_every_image_comes_back_whichever_shard_holds_it(reader: StoreReader) -> None:
    for number in reversed(range(4)):
        assert reader.media(image(number).key) == image(number)


def test_what_is_not_there_is_said_to_be_not_there(reader: StoreReader) -> None:
    for ask in (reader.read, reader.features, reader.dropped, reader.media):
        with pytest.raises(InputError, match="'nobody'"):
            ask("nobody")


def test_vectors_are_float32_and_changing_one_does_not_reach_the_store(
    reader: StoreReader,
) -> None:
    name = next(n for n, row in WRITTEN.items() if row.observation.photo_embedding is not None)
    vector = reader.features(name).photo_embedding
    assert vector is not None
    assert vector.dtype == np.float32
    if vector.flags.writeable:
        vector[:] = 0
    assert plain(reader.features(name)) == plain(features_of(WRITTEN[name]))


def test_a_reader_works_after_a_round_through_pickle_and_again_after_close(
    reader: StoreReader,
) -> None:
    name = reader.example_ids()[1]
    other: StoreReader = pickle.loads(pickle.dumps(reader))  # noqa: S301 - our own bytes
    assert plain(other.read(name)) == plain(WRITTEN[name])
    other.close()
    reader.close()
    reader.close()
    assert plain(reader.features(name)) == plain(features_of(WRITTEN[name]))
    assert reader.media(image(0).key) == image(0)


def test_two_readers_of_one_store_in_one_process_do_not_disturb_each_other(
    reader: StoreReader, store: Path
) -> None:
    name = reader.example_ids()[1]
    for kind in READERS:
        with open_store(store, reader=kind) as other:
            assert plain(other.read(name)) == plain(reader.read(name))
    assert plain(reader.read(name)) == plain(WRITTEN[name])


@pytest.mark.parametrize("kind", READERS)
def test_reading_changes_no_file_of_the_store(kind: Name, tmp_path: Path) -> None:
    build(tmp_path, 1)
    before = files_of(tmp_path)
    with open_store(tmp_path, reader=kind) as opened:
        for name in opened.example_ids():
            opened.read(name)
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("kind", READERS)
def test_the_wrong_identity_is_refused_and_the_right_one_accepted(kind: Name, store: Path) -> None:
    open_store(store, reader=kind, identity=IDENTITY).close()
    other = {**IDENTITY, "fingerprints": {"observe": "a", "ask": "x"}}
    with pytest.raises(StoreMismatch, match=r"fingerprints\.ask differ"):
        open_store(store, reader=kind, identity=other)


def test_an_unknown_reader_is_named(store: Path) -> None:
    with pytest.raises(InputError, match=r"'pickle'.*lmdb, packed, parquet"):
        open_store(store, reader="pickle")  # type: ignore[arg-type]


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
NUMBER = st.floats(-1e300, 1e300, allow_nan=False)
VECTORS = st.none() | st.lists(st.floats(-6e4, 6e4, width=16), min_size=3, max_size=3).map(
    lambda values: np.array(values, np.float32)
)
HITS = st.builds(
    lambda stream, **rest: Hit(level=stream[0], modality=stream[1], **rest),
    stream=st.sampled_from(STREAMS),
    region_index=st.just(-1),
    provider=TEXT,
    document_id=TEXT,
    rank=st.integers(0, 2**31 - 1),
    provider_score=NUMBER,
    text=TEXT,
    media_key=st.none() | st.just("0" * 64),
    title=TEXT,
    url=TEXT,
    image_url=TEXT,
    image_sha256=TEXT,
    retrieved_at=TEXT,
    query_key=TEXT,
    relevance=st.none() | NUMBER,
    consistency=st.none() | NUMBER,
    embedding=VECTORS,
)


def spans(num_tokens: int, label: st.SearchStrategy[str]) -> st.SearchStrategy[Span]:
    """Spans within so many tokens; none where there are no tokens."""
    edges = st.lists(st.integers(0, num_tokens), min_size=2, max_size=2, unique=True)
    return st.builds(lambda ends, name: Span(min(ends), max(ends), name), edges, label)


@st.composite
def records(draw: st.DrawFn) -> StoredExample:
    tokens = tuple(draw(st.lists(TEXT, max_size=3)))
    some = spans(len(tokens), TEXT) if tokens else st.nothing()
    mention = st.none() | (spans(len(tokens), st.just("")) if tokens else st.nothing())
    post = Post(draw(TEXT), tokens, draw(TEXT), draw(mention), draw(mention))
    entities = draw(st.none() | st.lists(some, max_size=2 if tokens else 0).map(tuple))
    regions = st.builds(Region, st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), TEXT, NUMBER, VECTORS)
    seen = Observation(
        post,
        draw(st.none() | st.just("f" * 64)),
        draw(st.sampled_from(["ok", "none", "missing", "unreadable"])),
        draw(VECTORS),
        draw(VECTORS),
        tuple(draw(st.lists(regions, max_size=2))),
    )
    region = st.integers(-1, len(seen.regions) - 1)
    hits = st.builds(lambda hit, index: replace(hit, region_index=index), HITS, region)
    evidence = st.builds(Evidence, hits, st.integers(0, 9), NUMBER)
    return StoredExample(
        Example(
            post, draw(st.sampled_from(["train", "dev", "test"])), entities, draw(st.none() | TEXT)
        ),
        seen,
        tuple(draw(st.lists(evidence, max_size=3))),
        post_sha256(post),
    )


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(records(), max_size=3, unique_by=lambda row: row.example.post.example_id))
def test_both_readers_return_exactly_what_was_written_whatever_it_is(
    rows: list[StoredExample], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any")
    with StoreWriter(path, identity={}, num_shards=1) as writer:
        write(writer, 0, Shard(tuple(rows), {}, ()))
        writer.close({})
    for kind in READERS:
        with open_store(path, reader=kind) as reader:
            for row in rows:
                name = row.example.post.example_id
                assert plain(reader.read(name)) == plain(row)
                assert plain(reader.features(name)) == plain(features_of(row))
