"""The contract in prose and the contract in code say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cache_helpers import build

from cache import SCHEMA_VERSION
from cache.keys import content_key
from cache.manifest import FileEntry, Manifest, ShardEntry
from cache.recording.segment_index import SMALL_BYTES
from cache.schema import RECORDINGS_VERSION, ROW_GROUP, SCHEMAS, TABLES

DOCUMENT = Path(__file__).parent.parent / "docs" / "store-format.md"
ROW = re.compile(r"^\| `(\w+)` \| `([^`]+)` \| (yes|no) \| (.+) \|$", re.MULTILINE)


def documented(table: str) -> list[tuple[str, str, str, str]]:
    text = DOCUMENT.read_text()
    heading = "## Recordings" if table == "recordings" else f"### {table}"
    section = text.split(f"\n{heading}\n")[1].split("\n#")[0]
    return ROW.findall(section)


@pytest.mark.parametrize("table", SCHEMAS)
def test_the_document_lists_exactly_the_columns_of_the_code(table: str) -> None:
    assert documented(table) == [
        (
            field.name,
            str(field.type),
            "yes" if field.nullable else "no",
            field.metadata[b"description"].decode(),
        )
        for field in SCHEMAS[table]
    ]


def test_the_document_is_of_this_schema() -> None:
    text = DOCUMENT.read_text()
    assert text.startswith(f"# The format of a store, schema {SCHEMA_VERSION}\n")
    sizes = re.search(
        r"hold (\d+) rows of `examples` and\s+`recordings`, (\d+) of `evidence`, `dropped` and "
        r"`texts`, (\d+) of `media`",
        text,
    )
    assert sizes is not None
    assert [int(size) for size in sizes.groups()] == [
        ROW_GROUP[table] for table in ("examples", "evidence", "media")
    ]
    assert ROW_GROUP["recordings"] == ROW_GROUP["examples"]
    assert ROW_GROUP["dropped"] == ROW_GROUP["texts"] == ROW_GROUP["evidence"]
    assert f"a number of their own, {RECORDINGS_VERSION} so far" in text.replace("\n", " ")
    assert f"below {SMALL_BYTES >> 20} MiB" in text


def test_the_document_lists_exactly_the_keys_of_the_manifest() -> None:
    section = DOCUMENT.read_text().split("\n## manifest.json\n")[1].split("\n## ")[0]
    top, entries = section.split("Each entry of `shards`")
    key = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
    assert set(key.findall(top)) == {*Manifest.model_fields, "sha256"}
    assert set(key.findall(entries)) == set(ShardEntry.model_fields)
    assert all(f"`{name}`" in entries for name in FileEntry.model_fields)


def test_files_carry_the_schema_and_a_description_of_every_column(tmp_path: Path) -> None:
    manifest = build(tmp_path, 1)
    for table in TABLES:
        schema = pq.read_schema(tmp_path / manifest.shards[0].files[table].path)
        assert schema.equals(SCHEMAS[table], check_metadata=False)
        assert schema.metadata[b"ramie.schema"] == str(SCHEMA_VERSION).encode()
        assert schema.metadata[b"ramie.table"] == table.encode()
        for field in schema:
            assert field.metadata[b"description"]


def test_the_hash_of_the_manifest_can_be_computed_as_the_document_says(tmp_path: Path) -> None:
    build(tmp_path, 2)
    content = json.loads((tmp_path / "manifest.json").read_text())
    claimed = content.pop("sha256")
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    assert content_key(canonical.encode()) == claimed
    for shard in content["shards"]:
        for table, file in shard["files"].items():
            data = (tmp_path / file["path"]).read_bytes()
            assert (len(data), content_key(data)) == (file["size_bytes"], file["sha256"])
            assert file["path"] == (
                f"{table}/part-{shard['index']:05d}-{file['sha256'][:12]}.parquet"
            )
