"""The summary in a manifest is what the shards hold."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cache_helpers import build, image, shard, texts_of

from cache import Hit, fingerprint, verify_store
from cache.card import data_card
from cache.manifest import read_manifest
from cache.schema import TABLES
from cache.tables.shards import open_shard
from cache.tables.summary import Tally, summarise

SHARDS = [shard(index) for index in range(3)]
ROWS = [row for part in SHARDS for row in part.rows]
KEPT = [evidence.hit for row in ROWS for evidence in row.evidence]
DROPPED = [item for part in SHARDS for items in part.dropped.values() for item in items]


def of_provider(name: str, hits: list[Hit]) -> int:
    return sum(hit.provider == name for hit in hits)


def test_the_summary_counts_what_was_written(tmp_path: Path) -> None:
    images = {item.key: item for part in SHARDS for item in part.media}
    dropped = [item.hit for item in DROPPED]
    assert build(tmp_path).summary == {
        "posts": Counter(row.example.split for row in ROWS),
        "photos": Counter(row.observation.photo_status for row in ROWS),
        "hits": {"kept": len(KEPT), "dropped": len(DROPPED)},
        "reasons": Counter(item.step for item in DROPPED),
        "providers": {
            "kb": {
                "kept": of_provider("kb", KEPT),
                "dropped": of_provider("kb", dropped),
                "first": "2026-11-01",
                "last": "2026-11-01",
            }
        },
        "streams": Counter(f"{hit.level}/{hit.modality}" for hit in KEPT),
        "texts": len({text for part in SHARDS for text in texts_of(part)}),
        "images": {"count": 4, "bytes": sum(len(item.data) for item in images.values())},
    }
    assert set(images) == {image(number).key for number in range(4)}


def test_an_empty_store_has_a_summary(tmp_path: Path) -> None:
    assert build(tmp_path, 0).summary == summarise(tmp_path, ())
    assert verify_store(tmp_path).ok


def test_tallies_of_parts_add_up_in_any_order(tmp_path: Path) -> None:
    manifest = build(tmp_path)
    tallies = []
    for entry in manifest.shards:
        for table in TABLES:
            tallies.append(Tally())
            file = open_shard(tmp_path, entry.files[table], table)
            for group in range(file.num_groups):
                tallies[-1].add(table, file.group(group), entry.index)
            file.close()
    total = Tally()
    for one in reversed(tallies):
        total.merge(one)
    assert total.summary() == manifest.summary


@pytest.mark.parametrize(
    ("key", "value"),
    [("texts", 1), ("images", {"count": 4, "bytes": 0}), ("more", 1), ("posts", {})],
)
def test_verify_finds_a_summary_that_the_shards_belie(
    tmp_path: Path, key: str, value: Any
) -> None:
    build(tmp_path)
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    content["summary"][key] = value
    content["sha256"] = fingerprint(content)
    path.write_text(json.dumps(content))
    (tmp_path / "README.md").write_text(data_card(read_manifest(tmp_path)))
    assert read_manifest(tmp_path).summary[key] == value
    problems = verify_store(tmp_path).problems
    assert any(f"summary of {key}" in problem for problem in problems)
