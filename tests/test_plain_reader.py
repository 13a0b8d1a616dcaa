"""The page on the format says enough: a reader written from it alone reads what ours reads."""

from __future__ import annotations

import ast
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import store_fixtures
from cache_helpers import build
from plain_reader import PlainStore

from cache import SCHEMA_VERSION, Hit, StoredExample, StoreReader, open_store
from cache.keys import text_key

FIXTURE = store_fixtures.STORES / f"schema-{SCHEMA_VERSION}"


def test_it_imports_nothing_but_pyarrow_and_the_standard_library() -> None:
    tree = ast.parse(Path(__file__).with_name("plain_reader.py").read_text())
    imported = {
        name.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported == {"hashlib", "json", "pathlib", "pyarrow.parquet"}


def listed(vector: Any) -> list[float] | None:
    return None if vector is None else [float(value) for value in vector]


def hit_columns(name: str, hit: Hit) -> dict[str, Any]:
    columns = asdict(hit)
    columns["hit_rank"] = columns.pop("rank")
    columns["text_key"] = text_key(hit.text) if hit.text else None
    columns["embedding"] = listed(hit.embedding)
    return {"example_id": name, **columns}


def post_columns(stored: StoredExample, reader: StoreReader) -> dict[str, Any]:
    """What our reader says of a post, as the columns of the page."""
    example, seen, post = stored.example, stored.observation, stored.example.post
    name = post.example_id

    def span(value: Any) -> dict[str, int] | None:
        return None if value is None else {"start": value.start, "end": value.end}

    sides = ("left", "top", "right", "bottom")
    dropped = [(hit_columns(name, item.hit), item) for item in reader.dropped(name)]
    for columns, _ in dropped:
        del columns["embedding"]
    return {
        "example_id": name,
        "split": example.split,
        "tokens": list(post.tokens),
        "photo_name": post.photo_name,
        "head": span(post.head),
        "tail": span(post.tail),
        "entities": None if example.entities is None else [s._asdict() for s in example.entities],
        "relation": example.relation,
        "post_sha256": stored.post_sha256,
        "photo_key": seen.photo_key,
        "photo_status": seen.photo_status,
        "photo_embedding": listed(seen.photo_embedding),
        "sentence_embedding": listed(seen.sentence_embedding),
        "regions": [
            {
                **dict(zip(sides, region.box, strict=True)),
                "label": region.label,
                "confidence": region.confidence,
            }
            for region in seen.regions
        ],
        "region_embeddings": [listed(region.embedding) for region in seen.regions],
        "evidence": [
            {**hit_columns(name, e.hit), "rank": e.rank, "fused_score": e.fused_score}
            for e in stored.evidence
        ],
        "dropped": [{**cols, "step": d.step, "reason": d.reason} for cols, d in dropped],
    }


def check(path: Path) -> None:
    plain = PlainStore(path)
    with open_store(path, reader="parquet") as reader:
        assert tuple(sorted(plain.posts)) == reader.example_ids()
        for name, post in plain.posts.items():
            assert post == post_columns(reader.read(name), reader)
        assert plain.images
        for key, image in plain.images.items():
            ours = asdict(reader.media(key))
            assert {name: image[name] for name in ours} == ours


def test_both_readers_say_the_same_of_the_published_store() -> None:
    check(FIXTURE)


def test_both_readers_say_the_same_of_a_store_of_several_shards(tmp_path: Path) -> None:
    build(tmp_path, 4)
    check(tmp_path)


@pytest.mark.parametrize("table", ["manifest.json", "examples", "evidence", "texts", "media"])
def test_the_plain_reader_finds_a_flipped_bit(table: str, tmp_path: Path) -> None:
    shutil.copytree(FIXTURE, tmp_path / "store")
    path = tmp_path / "store" / table
    path = next(path.iterdir()) if path.is_dir() else path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"edited|damaged|control|codec|delimiter"):
        PlainStore(tmp_path / "store")
