"""Made-up records for the tests of the contract."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cache import (
    STREAMS,
    Dropped,
    Evidence,
    Example,
    Hit,
    Manifest,
    Media,
    Observation,
    Post,
    Region,
    Span,
    StoredExample,
    StoreWriter,
    Vector,
    content_key,
    post_sha256,
)

DIM = 8
IDENTITY = {"recipe": {"name": "test", "keep": 5}, "fingerprints": {"observe": "a", "ask": "b"}}


@dataclass(frozen=True)
class Shard:
    """What `StoreWriter.write_shard` takes, as one value."""

    rows: tuple[StoredExample, ...]
    dropped: dict[str, tuple[Dropped, ...]]
    media: tuple[Media, ...]
    unfinished: tuple[str, ...] = ()


def vector(rng: np.random.Generator, dim: int = DIM) -> Vector:
    values = rng.standard_normal(dim)
    return (values / np.linalg.norm(values)).astype(np.float16).astype(np.float32)


def texts_of(part: Shard) -> set[str]:
    """The texts that a shard's hits have."""
    hits = [kept.hit for row in part.rows for kept in row.evidence]
    hits += [item.hit for items in part.dropped.values() for item in items]
    return {hit.text for hit in hits} - {""}


def image(number: int) -> Media:
    # The header of an image of 4 x 3 pixels; nobody decodes what comes after it.
    header = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 4, 3)
    data = header + b"image " + str(number).encode() * 50
    return Media(content_key(data), data, "PNG", 4, 3)


def hit(
    rng: np.random.Generator, rank: int, media_key: str | None = None, num_regions: int = 2
) -> Hit:
    level, modality = STREAMS[int(rng.integers(6))]
    known = bool(rng.integers(2))
    return Hit(
        level=level,
        modality=modality,
        region_index=min(int(rng.integers(3)), num_regions - 1) if level == "object" else -1,
        provider="kb",
        document_id=f"doc {rng.integers(1000)}",
        rank=rank,
        provider_score=float(rng.random()),
        # Few texts, so that posts and shards share most of them; every fourth has none.
        text=f"schöner Text {rng.integers(30)} \U0001f600 " * int(rng.integers(4) > 0),
        media_key=media_key,
        title="A title",
        url="https://example.org/?a=1&b=<2>",
        image_url="https://example.org/ü.jpg" if media_key else "",
        image_sha256=content_key(b"as found") if media_key else "",
        retrieved_at="2026-11-01T00:00:00Z",
        query_key=content_key(b"query"),
        relevance=float(rng.random()) if known else None,
        consistency=None if known else float(rng.random()),
        embedding=vector(rng) if known else None,
    )


def stored(name: str, seed: int, photo: Media | None = None) -> StoredExample:
    """A post with everything in it, or (every third one) with nothing that may be missing."""
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        post = Post(name, ("word",))
        return StoredExample(Example(post, "dev"), Observation(post), (), post_sha256(post))
    post = Post(name, ("a", "b", "", "çé"), f"{name}.jpg", Span(0, 1), Span(0, 4))
    entities = (Span(0, 2, "PER"), Span(2, 3, "LOC")) if seed % 2 else ()
    example = Example(post, "train" if seed % 2 else "test", entities, "/per/org/member_of")
    regions = tuple(
        Region((0.5, 1.0, 20.25, 1 / 3), "dog", float(rng.random()), one)
        for one in (vector(rng), None)
    )
    seen = Observation(
        post,
        photo.key if photo else None,
        "ok" if photo else "missing",
        vector(rng) if photo else None,
        vector(rng),
        regions,
    )
    key = photo.key if photo else None
    evidence = tuple(Evidence(hit(rng, i, key), i, 1 / (60 + i)) for i in range(seed % 5))
    return StoredExample(example, seen, evidence, post_sha256(post))


def shard(index: int, posts: int = 5, first_seed: int = 0) -> Shard:
    """Shard ``index``: it needs image ``index`` and the one of the shard before."""
    images = [image(index), image(index + 1)]
    rows = tuple(
        stored(f"post-{index:02d}-{i:02d}", first_seed + 10 * index + i, images[i % 2])
        for i in range(posts)
    )
    rng = np.random.default_rng(1000 + index)
    dropped: dict[str, tuple[Dropped, ...]] = {
        row.example.post.example_id: (
            Dropped(hit(rng, 0, images[0].key, num_regions), "dedup", "copy of 1"),
            Dropped(hit(rng, 1, None, num_regions), "rank", "beyond 5"),
        )
        for row in rows[::2]
        for num_regions in (len(row.observation.regions),)
    }
    return Shard(rows, dropped, tuple(images))


def write(writer: StoreWriter, index: int, part: Shard) -> None:
    writer.write_shard(index, part.rows, part.dropped, part.media, part.unfinished)


def build(path: Path, num_shards: int = 3, posts: int = 5) -> Manifest:
    """Write a whole small store."""
    with StoreWriter(path, identity=IDENTITY, num_shards=num_shards) as writer:
        for index in range(num_shards):
            if index not in writer.finished_shards():
                write(writer, index, shard(index, posts))
        return writer.close({"posts": num_shards * posts})


def files_of(path: Path) -> dict[str, bytes]:
    """Every file of a store but the derived ones, by relative path."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and "local" not in file.relative_to(path).parts
    }


def plain(value: object) -> object:
    """Records as nested tuples with vectors as lists, so that == compares everything."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.tolist())
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        return (type(value).__name__, *((name, plain(getattr(value, name))) for name in fields))
    return value
