"""Whether a build of many posts takes more memory, or more time a post, than one of few."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from cache import (
    STREAMS,
    Dropped,
    Evidence,
    Example,
    Hit,
    Media,
    Observation,
    Post,
    StoredExample,
    StoreWriter,
    Vector,
    content_key,
)
from pipelines.bench.figures import Figure, peak_bytes

_SHARD_SIZE: Final = 512
_DIM: Final = 64
_KEPT: Final = 3
_DROPPED: Final = 2
_SHARED: Final = 4
_GIGABYTE: Final = 1e9


def bench_scale(folder: Path, posts: int = 200_000, seed: int = 0) -> list[Figure]:
    """Write a store of ``posts`` posts, and one of a quarter of them, each in its own process.

    A post keeps three hits and drops two, each with a text (one in five shared with other posts),
    has two vectors of 64 numbers and an image of 200 bytes that four posts share.

    Args:
        folder: the stores are written below it, and removed.
        posts: how many.
        seed: of what is made up.
    """
    return _compared(__name__, folder, posts, seed)


def bench_building(folder: Path, posts: int = 200_000, seed: int = 0) -> list[Figure]:
    """Do the same with all of the builder: ask a provider, record, curate, write; no models."""
    return _compared("pipelines.bench.store_building", folder, posts, seed)


def _compared(module: str, folder: Path, posts: int, seed: int) -> list[Figure]:
    few = max(1, posts // 4)
    few_s, few_bytes = _run(module, folder / "few", few, seed)
    many_s, many_bytes = _run(module, folder / "many", posts, seed)
    ratio = (many_s / posts) / (few_s / few)
    return [
        Figure(f"ms a post, {few} posts", 1e3 * few_s / few),
        Figure(f"ms a post, {posts} posts", 1e3 * many_s / posts),
        Figure("times as long a post with four times the posts", ratio, 1.1, "below"),
        Figure(f"GB of memory, {few} posts", few_bytes / _GIGABYTE),
        Figure(f"GB of memory, {posts} posts", many_bytes / _GIGABYTE, 1.5, "below"),
    ]


def _run(module: str, store: Path, posts: int, seed: int) -> tuple[float, float]:
    """Return seconds of building, and the most memory that the process ever had."""
    command = [sys.executable, "-m", module, str(store), str(posts), str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    shutil.rmtree(store)
    seconds, size_bytes = json.loads(done.stdout)
    return seconds, size_bytes


def write_posts(store: Path, posts: int, seed: int) -> float:
    """Write a store; return the seconds without making up the posts."""
    rng = np.random.default_rng(seed)
    num_shards = -(-posts // _SHARD_SIZE)
    elapsed = 0.0
    with StoreWriter(store, identity={"posts": posts}, num_shards=num_shards) as writer:
        for index in range(num_shards):
            numbers = range(index * _SHARD_SIZE, min(posts, (index + 1) * _SHARD_SIZE))
            vectors = rng.standard_normal((len(numbers), 2, _DIM), np.float32)
            vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
            media = {number: _image(number // _SHARED) for number in numbers}
            rows = [
                _row(number, media[number], two)
                for number, two in zip(numbers, vectors, strict=True)
            ]
            dropped = {
                _name(number): [
                    Dropped(_hit(number, _KEPT + rank, None), "rank", "beyond 3")
                    for rank in range(_DROPPED)
                ]
                for number in numbers
            }
            started = time.perf_counter()
            writer.write_shard(index, rows, dropped, media.values())
            elapsed += time.perf_counter() - started
        started = time.perf_counter()
        writer.close({})
        return elapsed + time.perf_counter() - started


def _row(number: int, image: Media, vectors: Sequence[Vector]) -> StoredExample:
    post = Post(_name(number), ("some", "words", str(number)), f"{number}.jpg")
    hits = [_hit(number, rank, vectors[1] if rank == 0 else None) for rank in range(_KEPT)]
    kept = tuple(Evidence(hit, hit.rank, 1 / (60 + hit.rank)) for hit in hits)
    seen = Observation(post, image.key, "ok", vectors[0])
    return StoredExample(Example(post, "train", ()), seen, kept)


def _hit(number: int, rank: int, embedding: Vector | None) -> Hit:
    level, modality = STREAMS[4 if rank % 2 else 0]
    # One text in five is of the four posts beside each other.
    about = f"posts around {number // _SHARED}" if rank == 0 else f"post {number}"
    return Hit(
        level=level,
        modality=modality,
        region_index=-1,
        provider="bench",
        document_id=f"{number}-{rank}",
        rank=rank,
        provider_score=1.0,
        text=f"What hit {rank} says about {about}. " * 3,
        title=f"Hit {rank}",
        url=f"https://example.org/{number}/{rank}",
        retrieved_at="2026-11-22T00:00:00Z",
        query_key=content_key(str(number).encode()),
        embedding=embedding,
    )


def _image(number: int) -> Media:
    data = np.random.default_rng(number).bytes(200)
    return Media(content_key(data), data, "JPEG", 8, 8)


def _name(number: int) -> str:
    return f"post-{number:07d}"


if __name__ == "__main__":
    _seconds = write_posts(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps([_seconds, peak_bytes()]))
