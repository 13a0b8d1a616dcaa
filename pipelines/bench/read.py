"""How fast posts come out of a store: text and embeddings, random order, one process, warm."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cache import (
    STREAMS,
    Evidence,
    Example,
    Hit,
    Observation,
    Post,
    StoreDamaged,
    StoredExample,
    StoreReader,
    StoreWriter,
    open_store,
)

_TEXTS = 12
_EMBEDDINGS = 6
_DIM = 512
_SHARD_SIZE = 512
_REPEATS = 3
_PARQUET_POSTS = 2000


def bench_read(posts: int = 20_000, seed: int = 0, folder: Path | None = None) -> dict[str, float]:
    """Write a synthetic store and time reading it; every value's hash is compared on the way.

    Each post has 12 evidence texts of about 300 characters and 6 embeddings of 512 numbers (one
    of the photo, five of evidence). The derived file is timed over all posts in random order, best
    of 3 after a warm-up round; the Parquet reader over at most 2,000 of them, once.

    Args:
        posts: how many.
        seed: of texts, embeddings and order.
        folder: where the store is written; None takes a temporary folder.

    Returns:
        ``lmdb_posts_per_s`` and ``parquet_posts_per_s`` by the clock, ``lmdb_posts_per_cpu_s``
        and ``parquet_posts_per_cpu_s`` by the processor time of this thread (they differ where
        other programs take their share), ``ratio`` of the derived file to Parquet by the clock,
        ``write_s``, ``derive_s``, ``store_bytes``, ``lmdb_bytes``, and ``bytes_per_post`` in
        the derived file.
    """
    with tempfile.TemporaryDirectory(dir=folder) as made:
        store = Path(made) / "store"
        started = time.perf_counter()
        _write(store, posts, seed)
        written = time.perf_counter()
        with open_store(store) as reader:
            derived = time.perf_counter()
            order = list(reader.example_ids())
            random.Random(seed).shuffle(order)
            rates = [_rate(reader, order) for _ in range(1 + _REPEATS)]
        with open_store(store, reader="parquet") as reader:
            reader.features(order[0])
            parquet, parquet_cpu = _rate(reader, order[:_PARQUET_POSTS])
        derived_files = (store / "local").glob("features-*.lmdb")
        lmdb_bytes = sum(file.stat().st_size for file in derived_files)
        store_bytes = sum(file.stat().st_size for file in store.glob("*/*.parquet"))
    lmdb = max(wall for wall, _ in rates)
    return {
        "posts": posts,
        "lmdb_posts_per_s": round(lmdb),
        "lmdb_posts_per_cpu_s": round(max(cpu for _, cpu in rates)),
        "parquet_posts_per_s": round(parquet),
        "parquet_posts_per_cpu_s": round(parquet_cpu),
        "ratio": round(lmdb / parquet, 1),
        "write_s": round(written - started, 2),
        "derive_s": round(derived - written, 2),
        "store_bytes": store_bytes,
        "lmdb_bytes": lmdb_bytes,
        "bytes_per_post": round(lmdb_bytes / posts),
    }


def _rate(reader: StoreReader, order: Sequence[str]) -> tuple[float, float]:
    """Return posts per second by the clock, and by this thread's processor time.

    What was read is looked at, so that no reader could leave it unread.
    """
    texts = vectors = 0
    started, cpu_started = time.perf_counter(), time.thread_time()
    for name in order:
        features = reader.features(name)
        texts += len(features.evidence)
        vectors += features.photo_embedding is not None
    elapsed, cpu = time.perf_counter() - started, time.thread_time() - cpu_started
    if (texts, vectors) != (_TEXTS * len(order), len(order)):
        raise StoreDamaged(f"{texts} texts and {vectors} photos came back. Report this as a bug.")
    return len(order) / elapsed, len(order) / cpu


def _write(store: Path, posts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = ["".join(map(chr, rng.integers(97, 123, size=5))) for _ in range(5000)]
    num_shards = -(-posts // _SHARD_SIZE)
    with StoreWriter(store, identity={"bench": posts, "seed": seed}, num_shards=num_shards) as out:
        for index in range(num_shards):
            first = index * _SHARD_SIZE
            last = min(posts, first + _SHARD_SIZE)
            rows = [_post(f"post-{i:07d}", rng, words) for i in range(first, last)]
            out.write_shard(index, rows, {}, [])
        out.close({})


def _post(name: str, rng: np.random.Generator, words: Sequence[str]) -> StoredExample:
    vectors = rng.standard_normal((_EMBEDDINGS, _DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    post = Post(name, tuple(words[i] for i in rng.integers(len(words), size=16)))
    evidence = []
    for rank in range(_TEXTS):
        level, modality = STREAMS[rank % len(STREAMS)]
        hit = Hit(
            level=level,
            modality=modality,
            region_index=-1,
            provider="bench",
            document_id=str(rank),
            rank=rank,
            provider_score=1.0,
            text=" ".join(words[i] for i in rng.integers(len(words), size=50)),
            relevance=0.5,
            consistency=0.5,
            embedding=vectors[1 + rank] if 1 + rank < _EMBEDDINGS else None,
        )
        evidence.append(Evidence(hit, rank // len(STREAMS), 1 / (60 + rank)))
    seen = Observation(post, photo_embedding=vectors[0])
    return StoredExample(Example(post, "train", ()), seen, tuple(evidence))
