"""Verify finds every kind of damage and names the file; a sound store has no problems."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cache_helpers import IDENTITY, build, files_of, image, shard, texts_of, write

from cache import (
    Recording,
    Recordings,
    StoreDamaged,
    StoreWriter,
    content_key,
    fingerprint,
    open_store,
    read_manifest,
    verify_store,
)
from cache.card import data_card
from cache.keys import text_key
from cache.manifest import write_manifest
from cache.schema import SCHEMAS, TABLES
from cache.tables.shards import ParquetFile, describe, parquet_bytes

# The first is the one that all hits were made from.
KEYS = [content_key(b"query"), "1" * 64, "2" * 64]
ANSWERS = [Recording(key, "kb", "{}", "2026", b"answer") for key in KEYS]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    build(tmp_path)
    with Recordings(tmp_path / "recordings") as recordings:
        recordings.put_segment(ANSWERS, [image(i) for i in range(8)])
    open_store(tmp_path).close()
    return tmp_path


def part(store: Path, table: str, index: int = 1) -> Path:
    return next((store / table).glob(f"part-{index:05d}-*"))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_sound_store_has_no_problems_and_is_counted(store: Path) -> None:
    before = files_of(store)
    report = verify_store(store)
    assert report.problems == ()
    assert report.ok
    assert report.counts["examples rows"] == 15
    assert report.counts["dropped rows"] == 18
    assert report.counts["images"] == 4
    assert report.counts["texts"] == len({t for i in range(3) for t in texts_of(shard(i))})
    assert report.counts["shards"] == 3
    assert report.counts["recorded answers"] == 3
    assert report.counts["posts in train"] + report.counts["posts in test"] == 10
    assert files_of(store) == before


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "renamed", "empty", "link"])
def test_damage_to_a_shard_is_found_and_its_file_is_named(
    store: Path, table: str, damage: str
) -> None:
    path = part(store, table)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == "flipped":
        flip(path, 30)
    elif damage == "missing":
        path.unlink()
    elif damage == "renamed":
        path.rename(path.with_name("part-00001-000000000000.parquet"))
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.rename(store.parent / f"{table}-elsewhere")
        path.symlink_to(store.parent / f"{table}-elsewhere")
    problems = verify_store(store).problems
    assert any(str(path) in problem for problem in problems)
    assert len(problems) == (2 if damage == "renamed" else 1)


def test_every_flipped_byte_of_a_shard_is_found(store: Path) -> None:
    path = part(store, "evidence")
    sound = path.read_bytes()
    for place in range(0, len(sound), 997):
        flip(path, place)
        assert not verify_store(store).ok, place
        path.write_bytes(sound)
    assert verify_store(store).ok


def test_page_checksums_are_written_and_compared(store: Path) -> None:
    path = part(store, "evidence")
    sound = path.read_bytes()
    # Where a page lies: any byte of it must be noticed without the hash of the file.
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(8)
    flip(path, chunk.data_page_offset + chunk.total_compressed_size - 1)
    with pytest.raises(StoreDamaged, match="CRC checksum"):
        ParquetFile(path, "evidence").group(0)
    path.write_bytes(sound)
    ParquetFile(path, "evidence").group(0)


def test_swapped_shards_are_found_both(store: Path) -> None:
    first, second = part(store, "dropped", 0), part(store, "dropped", 1)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    problems = "\n".join(verify_store(store).problems)
    assert str(first) in problems
    assert str(second) in problems


@pytest.mark.parametrize(
    "name",
    [
        "examples/part-00007-0123456789ab.parquet",
        "media/.tmp-123-part-00000-0123456789ab.parquet",
        "evidence/notes.txt",
        "recordings/answers.parquet",
        "recordings/.tmp-9-answers-0.parquet",
        "data.parquet",
        "extra/file",
    ],
)
def test_a_file_that_does_not_belong_is_found(store: Path, name: str) -> None:
    path = store / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    problems = verify_store(store).problems
    assert len(problems) == 1
    assert str(store / name.split("/")[0]) in problems[0]


def test_a_note_or_a_report_beside_the_data_is_no_damage(store: Path) -> None:
    (store / "notes.md").write_text("about")
    (store / "inspect.html").write_text("<html>")
    assert verify_store(store).ok


def test_a_missing_an_edited_and_a_foreign_manifest_are_found(store: Path) -> None:
    path = store / "manifest.json"
    text = path.read_text()
    path.write_text(text.replace('"posts": 15', '"posts": 14'))
    assert "edited or damaged" in verify_store(store).problems[0]
    path.write_text(text.replace('"schema_version": 3', '"schema_version": 4'))
    assert "schema 4" in verify_store(store).problems[0]
    path.unlink()
    assert "does not exist" in verify_store(store).problems[0]


def test_damaged_and_renamed_recordings_are_found(store: Path) -> None:
    for kind in ("answers", "media"):
        path = next((store / "recordings").glob(f"{kind}-*"))
        sound = path.read_bytes()
        flip(path, len(sound) // 2)
        assert str(path) in verify_store(store).problems[0]
        path.write_bytes(sound[:-3])
        assert str(path) in verify_store(store).problems[0]
        path.write_bytes(sound)
    other = path.with_name("media-" + "0" * 32 + ".parquet")
    path.rename(other)
    assert str(other) in verify_store(store).problems[0]


def test_an_interrupted_rebuild_is_no_damage_to_the_finished_store(store: Path) -> None:
    with StoreWriter(store, identity=IDENTITY, num_shards=3) as writer:
        write(writer, 1, shard(1, 3))
    (store / "media" / ".tmp-1-part").write_bytes(b"half")
    assert verify_store(store).ok


TEXTS_OF_SHARD_0 = {text_key(text): text for text in texts_of(shard(0))}


def held(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row.get("data") or row.get("text"))


def pointing(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["stored_in"] == 0)


def forge(store: Path, table: str, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change rows of shard 1 as somebody would who can compute every hash."""
    path = part(store, table)
    rows = pq.read_table(path).to_pylist()
    change(rows)
    data = parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMAS[table]), table)
    entry = describe(table, 1, data, len(rows))
    path.unlink()
    (store / entry.path).write_bytes(data)
    content = json.loads((store / "manifest.json").read_text())
    del content["sha256"]
    content["shards"][1]["files"][table] = entry.model_dump()
    content["sha256"] = fingerprint(content)
    (store / "manifest.json").write_text(json.dumps(content))
    # A forger who knows the project leaves no trace in the form of what is edited.
    write_manifest(store, read_manifest(store))
    (store / "README.md").write_text(data_card(read_manifest(store)))


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("examples", lambda rows: rows.reverse(), "not sorted"),
        ("examples", lambda rows: rows[0].update(example_id="post-00-00"), "another shard"),
        ("examples", lambda rows: rows[0].update(photo_status="fine"), "make no sense"),
        ("examples", lambda rows: rows[0].update(photo_key="x"), "no content key"),
        ("examples", lambda rows: rows[0].update(sentence_embedding=[0.5]), "1 numbers"),
        ("examples", lambda rows: rows[0].update(sentence_embedding=[0.1] * 8), "float16"),
        ("examples", lambda rows: rows[0].update(photo_embedding=[float("nan")] * 8), "NaN"),
        ("examples", lambda rows: rows[0].update(photo_embedding=[float("inf")] * 8), "infinity"),
        ("examples", lambda rows: rows[0].update(region_embeddings=[None] * 5), "make no sense"),
        ("evidence", lambda rows: rows[0].update(level="page"), "level makes no sense: page"),
        ("evidence", lambda rows: rows[0].update(example_id="post-00-00"), "of no post"),
        ("evidence", lambda rows: rows.reverse(), "not with its post's rows"),
        (
            "dropped",
            lambda rows: rows[0].update(modality="sound"),
            "modality makes no sense: sound",
        ),
        ("media", lambda rows: held(rows).update(data=b"other"), "is another"),
        ("media", lambda rows: held(rows).update(stored_in=0), "wrong shard"),
        ("media", lambda rows: rows.append(rows[0]), "not sorted"),
        ("texts", lambda rows: held(rows).update(text="other"), "is another"),
        ("texts", lambda rows: held(rows).update(stored_in=0), "wrong shard"),
        ("texts", lambda rows: pointing(rows).update(stored_in=1), "wrong shard"),
        ("texts", lambda rows: pointing(rows).update(stored_in=2), "wrong shard"),
        ("texts", lambda rows: held(rows).update(stored_in=0, text=None), "where it is not"),
        ("texts", lambda rows: rows.append(rows[0]), "not sorted"),
        ("texts", lambda rows: rows.remove(held(rows)), "is missing"),
        ("texts", lambda rows: rows.remove(pointing(rows)), "is missing"),
        (
            "texts",
            lambda rows: (
                rows.append({"key": text_key("x"), "stored_in": 1, "text": "x"}),
                rows.sort(key=lambda row: row["key"]),
            ),
            "needed by no row",
        ),
        (
            "texts",
            lambda rows: pointing(rows).update(
                stored_in=1, text=TEXTS_OF_SHARD_0[pointing(rows)["key"]]
            ),
            "in another shard too",
        ),
        ("evidence", lambda rows: rows[0].update(text_key="f" * 64), "is missing"),
        ("evidence", lambda rows: rows[0].update(text_key="x"), "is missing"),
        (
            "media",
            lambda rows: rows.append(
                {**rows[0], "key": "f" * 64, "stored_in": 0, "data": None},
            ),
            "where it is not",
        ),
    ],
)
def test_rows_that_no_writer_writes_are_found_though_every_hash_fits(
    store: Path, table: str, change: Callable[[list[dict[str, Any]]], Any], message: str
) -> None:
    forge(store, table, change)
    problems = verify_store(store).problems
    assert any(message in problem for problem in problems), problems


NAN, INFINITE = float("nan"), float("inf")


def of_post(rows: list[dict[str, Any]], **values: Any) -> None:
    """Change the one post that has everything (`cache_helpers.stored`)."""
    next(row for row in rows if row["example_id"] == "post-01-01").update(values)


def change_box(rows: list[dict[str, Any]], side: str, value: float) -> None:
    row = next(row for row in rows if row["example_id"] == "post-01-01")
    row["regions"][1][side] = value


NONSENSE = [
    ("examples", lambda rows: of_post(rows, split="evil"), "split.*evil"),
    ("examples", lambda rows: of_post(rows, head={"start": -1, "end": 1}), "head.*-1"),
    ("examples", lambda rows: of_post(rows, tail={"start": 2, "end": 2}), "tail.*2"),
    ("examples", lambda rows: of_post(rows, tail={"start": 3, "end": 5}), "tail.*5"),
    (
        "examples",
        lambda rows: of_post(rows, entities=[{"start": 10**6, "end": -1, "label": "PER"}]),
        "entities.*1000000",
    ),
    ("examples", lambda rows: change_box(rows, "left", NAN), "regions.*nan"),
    ("examples", lambda rows: change_box(rows, "bottom", INFINITE), "regions.*inf"),
    ("examples", lambda rows: change_box(rows, "confidence", NAN), "regions.*nan"),
    ("evidence", lambda rows: rows[0].update(provider_score=NAN), "provider_score.*nan"),
    ("evidence", lambda rows: rows[0].update(fused_score=INFINITE), "fused_score.*inf"),
    ("evidence", lambda rows: rows[0].update(relevance=-INFINITE), "relevance.*-inf"),
    ("evidence", lambda rows: rows[0].update(consistency=NAN), "consistency.*nan"),
    ("evidence", lambda rows: rows[0].update(embedding=[NAN] * 8), "embedding.*NaN"),
    ("evidence", lambda rows: rows[0].update(region_index=2**30), "region_index 1073741824"),
    ("evidence", lambda rows: rows[0].update(region_index=2), "region_index 2 .*2 regions"),
    ("evidence", lambda rows: rows[0].update(region_index=-2), "region_index.*-2"),
    ("evidence", lambda rows: rows[0].update(rank=-1), "rank makes no sense: -1"),
    ("evidence", lambda rows: rows[0].update(hit_rank=-7), "hit_rank makes no sense: -7"),
    ("dropped", lambda rows: rows[-1].update(hit_rank=-1), "hit_rank makes no sense: -1"),
    ("dropped", lambda rows: rows[-1].update(region_index=2), "region_index 2 .*2 regions"),
    ("dropped", lambda rows: rows[-1].update(provider_score=INFINITE), "provider_score.*inf"),
]


@pytest.mark.parametrize(("table", "change", "message"), NONSENSE)
def test_values_that_make_no_sense_are_found_by_verifying_and_by_every_reader(
    store: Path, table: str, change: Callable[[list[dict[str, Any]]], Any], message: str
) -> None:
    forge(store, table, change)
    (problem,) = verify_store(store).problems
    assert re.search(rf"{table}/part-00001.*'post-01-.*{message}", problem)
    readers: tuple[Literal["lmdb", "packed", "parquet"], ...] = ("lmdb", "packed", "parquet")
    for reader in readers:
        with pytest.raises(StoreDamaged, match=rf"shard 1.*'post-01-.*{message}"):
            read_all(store, reader)


def read_all(store: Path, reader: Literal["lmdb", "packed", "parquet"]) -> None:
    with open_store(store, reader=reader) as opened:
        for name in opened.example_ids():
            opened.read(name)
            opened.dropped(name)


@pytest.mark.parametrize("reader", ["lmdb", "packed", "parquet"])
def test_readers_refuse_evidence_of_posts_that_are_elsewhere_though_every_hash_fits(
    store: Path, reader: Literal["lmdb", "packed", "parquet"]
) -> None:
    forge(store, "evidence", lambda rows: rows[-1].update(example_id="post-00-00"))
    with (
        pytest.raises(StoreDamaged, match="'post-00-00' that does not belong there"),
        open_store(store, reader=reader) as opened,
    ):
        opened.read("post-01-01")


@pytest.mark.parametrize("reader", ["lmdb", "packed", "parquet"])
@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("texts", lambda rows: held(rows).update(text="other")),
        ("texts", lambda rows: rows.remove(held(rows))),
        ("texts", lambda rows: rows.clear()),
        ("texts", lambda rows: pointing(rows).update(stored_in=1)),
        ("texts", lambda rows: [row.update(stored_in=99, text=None) for row in rows]),
        ("texts", lambda rows: [row.update(stored_in=-1, text=None) for row in rows]),
        ("evidence", lambda rows: [row.update(text_key="x") for row in rows]),
    ],
)
def test_readers_refuse_texts_that_are_missing_or_others_though_every_hash_fits(
    store: Path,
    reader: Literal["lmdb", "packed", "parquet"],
    table: str,
    change: Callable[[list[dict[str, Any]]], Any],
) -> None:
    forge(store, table, change)

    def read_all() -> None:
        with open_store(store, reader=reader) as opened:
            for name in opened.example_ids():
                opened.read(name)
                opened.dropped(name)

    with pytest.raises(StoreDamaged, match=r"text \w+ is|says that text"):
        read_all()


def test_the_key_of_an_image_is_the_hash_of_its_bytes() -> None:
    assert image(1).key == content_key(image(1).data)
