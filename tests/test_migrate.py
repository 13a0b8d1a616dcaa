"""A store of every published schema is still read: as it is, or after a migration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import store_fixtures as made
from cache_helpers import files_of, plain

from cache import (
    SCHEMA_VERSION,
    InputError,
    Recordings,
    StoreDamaged,
    StoreError,
    StoreMismatch,
    StoreOutdated,
    fingerprint,
    open_store,
    post_sha256,
    read_manifest,
    verify_store,
)
from cache.operations.migrate import STEPS, migrate_store
from cache.store import ReaderName
from cache.tables.shards import describe, parquet_bytes
from pipelines.cli import main

OLD = range(1, SCHEMA_VERSION)
ROWS = [row for rows in made.POSTS for row in rows]


def fixture(version: int) -> Path:
    return made.STORES / f"schema-{version}"


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the fixture of a schema, which a test may change."""
    path = tmp_path / "old"
    shutil.copytree(fixture(request.param), path)
    return path


def check_content(path: Path, version: int, kind: Any = "parquet") -> None:
    """Compare a store of the current schema with what was written in schema ``version``."""
    with open_store(path, reader=kind) as reader:
        assert reader.example_ids() == tuple(row.example.post.example_id for row in ROWS)
        for row in ROWS:
            name = row.example.post.example_id
            found = reader.read(name)
            assert found.post_sha256 == post_sha256(row.example.post)
            assert plain(found)[:-1] == plain(made.as_known(row, version))[:-1]  # type: ignore[index]
            kept = tuple(
                (made.hit_as_known(item.hit, version), item.step, item.reason)
                for item in made.DROPPED.get(name, ())
            )
            dropped = [(item.hit, item.step, item.reason) for item in reader.dropped(name)]
            assert plain(tuple(dropped)) == plain(kept)
        for image in (made.PHOTO, made.FOUND):
            assert reader.media(image.key) == image
        assert reader.manifest.unfinished == made.UNFINISHED
        assert reader.manifest.counters == made.COUNTERS
    recordings = Recordings(path / "recordings")
    assert recordings.get(made.ANSWER.key) == made.ANSWER
    assert recordings.media(made.RECORDED.key) == made.RECORDED
    recordings.close()


def test_every_published_schema_has_a_store_and_a_step_to_the_next() -> None:
    versions = range(1, SCHEMA_VERSION + 1)
    assert sorted(path.name for path in made.STORES.glob("schema-*")) == [
        f"schema-{version}" for version in versions
    ]
    for version in versions:
        content = json.loads((fixture(version) / "manifest.json").read_text())
        assert content["schema_version"] == version
    assert sorted(STEPS) == list(OLD)


@pytest.mark.parametrize("kind", get_args(ReaderName))
@pytest.mark.parametrize("version", OLD)
def test_an_old_store_is_read_after_a_migration(version: int, kind: Any, tmp_path: Path) -> None:
    before = files_of(fixture(version))
    out = tmp_path / "new"
    manifest = migrate_store(fixture(version), out)
    assert verify_store(out).problems == ()
    check_content(out, version, kind)
    theirs = json.loads((fixture(version) / "manifest.json").read_text())
    assert manifest.identity == {
        **made.IDENTITY,
        "migrated_from": {"schema_version": version, "manifest_sha256": theirs["sha256"]},
    }
    expected = made.COMPARED_WITH if version > 1 else ""
    assert {shard.compared_with for shard in manifest.shards} == {expected}
    assert files_of(fixture(version)) == before


@pytest.mark.parametrize("kind", get_args(ReaderName))
def test_the_store_of_this_schema_is_read_as_it_is(kind: Any, tmp_path: Path) -> None:
    # A reader writes beside what it reads.
    shutil.copytree(fixture(SCHEMA_VERSION), tmp_path / "store")
    assert verify_store(tmp_path / "store").problems == ()
    check_content(tmp_path / "store", SCHEMA_VERSION, kind)


def test_the_writer_still_writes_the_bytes_of_this_schema(tmp_path: Path) -> None:
    made.build(tmp_path)
    ours, theirs = files_of(tmp_path), files_of(fixture(SCHEMA_VERSION))
    writers = [
        pq.read_metadata(next((root / "examples").glob("*"))).created_by
        for root in (tmp_path, fixture(SCHEMA_VERSION))
    ]
    if writers[0] != writers[1]:
        pytest.skip(f"{writers[1]} wrote the fixture, and {writers[0]} may write other bytes")
    assert ours == theirs


def test_the_last_step_gives_what_a_build_would_have_written(tmp_path: Path) -> None:
    migrated = migrate_store(fixture(2), tmp_path / "new")
    built = made.build(tmp_path / "built")
    assert migrated.shards == built.shards
    assert migrated.summary == built.summary


def test_the_first_step_gives_the_tables_of_the_second_schema(tmp_path: Path) -> None:
    unknown = {"image_url": "", "image_sha256": "", "consistency": None}
    manifests = [migrate_store(fixture(v), tmp_path / str(v)) for v in (1, 2)]
    for table in ("examples", "evidence", "dropped", "texts", "media"):
        one, two = (
            [
                pq.read_table(tmp_path / str(v) / shard.files[table].path).to_pylist()
                for shard in manifest.shards
            ]
            for v, manifest in zip((1, 2), manifests, strict=True)
        )
        for row in (row for rows in two for row in rows if "consistency" in row):
            row.update(unknown)
        assert one == two


def change_manifest(store: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest the way an attacker would: with a hash that fits."""
    content = json.loads((store / "manifest.json").read_text())
    del content["sha256"]
    change(content)
    content["sha256"] = fingerprint(content)
    (store / "manifest.json").write_text(json.dumps(content))


def forge(store: Path, table: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a row of shard 0 as somebody would who can compute every hash."""
    path = next((store / table).glob("part-00000-*"))
    whole = pq.read_table(path)
    rows = whole.to_pylist()
    change(rows[0])
    data = parquet_bytes(pa.Table.from_pylist(rows, whole.schema), table)
    file = describe(table, 0, data, len(rows))
    path.unlink()
    (store / file.path).write_bytes(data)
    change_manifest(store, lambda c: c["shards"][0]["files"].update({table: file.model_dump()}))


@pytest.mark.parametrize("old", OLD, indirect=True)
@pytest.mark.parametrize("table", ["examples", "evidence", "dropped", "media"])
def test_a_flipped_bit_in_an_old_store_is_found(old: Path, table: str, tmp_path: Path) -> None:
    path = next((old / table).glob("part-00001-*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match=str(path)):
        migrate_store(old, tmp_path / "new")
    assert not (tmp_path / "new" / "manifest.json").exists()


@pytest.mark.parametrize("old", OLD, indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["shards"][0]["files"]["media"].update(path="../../secret.parquet"),
        lambda c: c["shards"][0]["files"]["media"].update(path="/etc/passwd"),
        lambda c: c["shards"][0]["files"].pop("dropped"),
        lambda c: c["shards"].reverse(),
        lambda c: c["shards"][0].update(embedding_dim=9),
        lambda c: c["shards"][0]["files"]["evidence"].update(rows=10**12),
        lambda c: c.update(summary={}),
        lambda c: c.pop("identity"),
    ],
)
def test_an_old_manifest_is_not_believed(
    old: Path, change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    change_manifest(old, change)
    with pytest.raises(StoreDamaged, match=r"manifest.json cannot be used|rows instead of"):
        migrate_store(old, tmp_path / "new")
    assert not (tmp_path / "new" / "manifest.json").exists()


@pytest.mark.parametrize("old", OLD, indirect=True)
@pytest.mark.parametrize(
    ("table", "change", "why"),
    [
        ("examples", lambda row: row.update(split="evil"), "split"),
        ("examples", lambda row: row.update(head={"start": 3, "end": 99}), "head"),
        ("evidence", lambda row: row.update(region_index=7), "region_index"),
        ("evidence", lambda row: row.update(fused_score=float("nan")), "fused_score"),
        ("evidence", lambda row: row.update(example_id="nobody"), "nobody"),
        ("media", lambda row: row.update(data=b"other"), "is another"),
        ("media", lambda row: row.update(data=None), "lacks images"),
    ],
)
def test_nonsense_with_hashes_that_fit_becomes_no_store(
    old: Path, table: str, change: Callable[[dict[str, Any]], object], why: str, tmp_path: Path
) -> None:
    forge(old, table, change)
    with pytest.raises(StoreDamaged, match=rf"makes no sense: (.|\n)*{why}"):
        migrate_store(old, tmp_path / "new")
    assert not (tmp_path / "new" / "manifest.json").exists()


@pytest.mark.parametrize("old", OLD, indirect=True)
def test_a_migration_that_was_interrupted_goes_on(old: Path, tmp_path: Path) -> None:
    path = next((old / "media").glob("part-00001-*"))
    path.rename(tmp_path / "away")
    with pytest.raises(StoreDamaged):
        migrate_store(old, tmp_path / "new")
    (tmp_path / "away").rename(path)
    (tmp_path / "new" / "texts" / "part-00007-0123456789ab.parquet").write_bytes(b"left over")
    migrate_store(old, tmp_path / "new")
    migrate_store(old, tmp_path / "undisturbed")
    assert files_of(tmp_path / "new") == files_of(tmp_path / "undisturbed")


def test_a_store_needs_no_migration_twice_and_none_is_replaced(tmp_path: Path) -> None:
    migrate_store(fixture(1), tmp_path / "new")
    with pytest.raises(InputError, match="nothing to migrate"):
        migrate_store(tmp_path / "new", tmp_path / "newer")
    before = files_of(tmp_path / "new")
    with pytest.raises(InputError, match="already"):
        migrate_store(fixture(2), tmp_path / "new")
    assert files_of(tmp_path / "new") == before


@pytest.mark.parametrize("old", [2], indirect=True)
def test_a_schema_of_the_future_is_not_migrated(old: Path, tmp_path: Path) -> None:
    change_manifest(old, lambda content: content.update(schema_version=SCHEMA_VERSION + 1))
    with pytest.raises(StoreMismatch, match="code version named in the manifest"):
        migrate_store(old, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_whoever_opens_an_old_store_is_told_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreOutdated, match=r"ramie migrate .*schema-1 OUT"):
        open_store(fixture(1))
    assert main(["migrate", str(fixture(1)), str(tmp_path / "new"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["posts"] == 5
    assert result["fingerprint"] == read_manifest(tmp_path / "new").fingerprint
    assert main(["verify", str(tmp_path / "new")]) == 0
    assert issubclass(StoreOutdated, StoreError)
