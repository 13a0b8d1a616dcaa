"""Small stores with something changed in them, and hashes that fit again."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from cache import (
    MANIFEST_NAME,
    Dropped,
    Evidence,
    Example,
    Hit,
    Media,
    Observation,
    Post,
    RamieError,
    Region,
    Span,
    StoredExample,
    StoreWriter,
    content_key,
    fingerprint,
)
from cache.manifest import shard_path
from cache.schema import TABLES

Files = dict[str, bytes]
_DIM: Final = 8
# What a footer is in mostly: half of all changes are made there.
_END_BYTES: Final = 3000
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2, 255, 2**31 - 1, 2**31, 2**53, 2**63, 2**64, -(2**63)),
    *(1.5, 1e308, -0.0, 10**400, "", "0", "\0", "../x", "/etc/passwd", "\ud800", "x" * 5000),
    *([], {}, [[]], {"": {}}, [None] * 50, {"a": [{"b": {}}]}, "train", "posts", "f" * 64),
)


def small_store(store: Path) -> None:
    """Write a sound store of two shards with something in every column."""
    with StoreWriter(store, identity={"name": "fuzz", "encoder": "e"}, num_shards=2) as writer:
        for index in range(2):
            data = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x04\0\0\0\x03" + bytes([index])
            image = Media(content_key(data), data, "PNG", 4, 3)
            posts = [_post(f"post {index} {number}", image) for number in range(4)]
            fallen = (Dropped(_hit(9, None), "rank", "beyond 5"),)
            dropped = {row.example.post.example_id: fallen for row in posts[::2]}
            writer.write_shard(index, posts, dropped, [image], ())
        writer.close({"posts": 8}, rights={"licence": "CC0-1.0"})


def _post(name: str, image: Media) -> StoredExample:
    vector = (np.arange(_DIM) / 16).astype(np.float32)
    post = Post(name, ("a", "word", "more"), f"{name}.jpg", Span(0, 1), Span(1, 3))
    regions = (Region((0.0, 1.0, 2.0, 3.0), "dog", 0.5, vector), Region((0, 0, 1, 1), "cat", 0.25))
    seen = Observation(post, image.key, "ok", vector, None, regions)
    kept = tuple(Evidence(_hit(rank, image.key), rank, 1 / 60) for rank in range(3))
    return StoredExample(Example(post, "train", (Span(0, 2, "PER"),), "of"), seen, kept)


def _hit(rank: int, key: str | None) -> Hit:
    return Hit(
        level="sentence",
        modality="text",
        region_index=-1,
        provider="kb",
        document_id=f"document {rank}",
        rank=rank,
        provider_score=0.5,
        text=f"A text, {rank}.",
        media_key=key,
        title="Title",
        url="https://example.org/",
        retrieved_at="2026-11-01T00:00:00Z",
        query_key=content_key(b"query"),
        embedding=(np.ones(_DIM) / 4).astype(np.float32),
    )


def files_of(store: Path) -> Files:
    """Return the files of a store but derived ones, by relative path."""
    paths = [store / MANIFEST_NAME, *(p for t in TABLES for p in (store / t).glob("*"))]
    return {str(path.relative_to(store)): path.read_bytes() for path in paths}


def mutant(sound: Files, steps: Sequence[float]) -> Files:
    """Return the files of a store after steps, each of which changes something by its number."""
    files = dict(sound)
    for step in steps:
        rng = random.Random(step)
        if rng.random() < 0.25:
            files[MANIFEST_NAME] = _other_manifest(files[MANIFEST_NAME], rng)
        else:
            name = rng.choice(sorted(set(files) - {MANIFEST_NAME}))
            data = _other_bytes(files[name], rng, sorted(files.values()))
            files = with_file(files, name, data)
    return files


def with_file(files: Files, name: str, data: bytes) -> Files:
    """Return files of which one has other bytes, with hashes that fit where there are any."""
    rest = {path: content for path, content in files.items() if path != name}
    try:
        content = json.loads(files[MANIFEST_NAME])
        for shard in content["shards"]:
            for table, entry in shard["files"].items():
                # Another table may be a path that leads elsewhere, another index be too long.
                if entry["path"] == name and table in TABLES and shard["index"] < 10**9:
                    digest = hashlib.sha256(data).hexdigest()
                    path = shard_path(table, shard["index"], digest)
                    entry |= {"path": path, "sha256": digest, "size_bytes": len(data)}
                    return {**rest, path: data, MANIFEST_NAME: signed(content)}
    except (ValueError, KeyError, TypeError, AttributeError):
        # The manifest was changed before, and is none any more.
        pass
    return {**rest, name: data}


def signed(content: Any) -> bytes:
    """Return a manifest with a hash that fits, where it can have one."""
    if isinstance(content, dict):
        content.pop("sha256", None)
        try:
            content["sha256"] = fingerprint(content)
        except RamieError:
            content["sha256"] = "0" * 64
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _other_manifest(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return _other_bytes(data, rng, [data])
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return data
    parent: Any = None
    key: Any = None
    node = content
    while isinstance(node, dict | list) and node and rng.random() < 0.8:
        parent, key = node, rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node = parent[key]
    if parent is None:
        return signed(content)
    change = rng.randrange(4)
    if change == 0:
        del parent[key]
    elif change == 1 and isinstance(parent, list):
        parent.insert(key, node)
    elif change == 2 and isinstance(parent, dict):
        parent[str(rng.choice(_VALUES))[:50]] = node
    else:
        parent[key] = rng.choice(_VALUES)
    return signed(content)


def _other_bytes(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    if rng.random() < 0.5:
        at = max(len(data) - rng.randrange(_END_BYTES), 0)
    change: Callable[[], bytes] = rng.choice(
        (
            lambda: _flipped(data, at, rng),
            lambda: data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at + 1 :],
            lambda: data[:at] + rng.choice(_EXTREMES) + data[at + 4 :],
            lambda: data[:at],
            lambda: data[:at] + data[at + rng.randint(1, 64) :],
            lambda: data[:at] + data[max(at - 64, 0) : at] + data[at:],
            lambda: _spliced(data, at, rng.choice(others), rng),
        )
    )
    return change()


_EXTREMES: Final = (b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff\x0f")


def _flipped(data: bytes, at: int, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if changed:
            changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
            at = max(at + rng.randint(-40, 40), 0)
    return bytes(changed)


def _spliced(data: bytes, at: int, other: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(other) + 1)
    piece = other[start : start + rng.randint(1, 200)]
    return data[:at] + piece + data[at + len(piece) :]
