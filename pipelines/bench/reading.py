"""Why embeddings are read without workers, and shards shard by shard: posts a second of each."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import DataLoader

from cache import StoreReader, StoreWriter, open_store
from cache.reading.shuffled import shuffled
from pipelines.bench.figures import Figure
from pipelines.bench.store_posts import VECTORS, PostMaker

_BATCH: Final = 32
_WORKERS: Final = 2
_SINGLES: Final = 500


def bench_reading(posts: int = 20_000, seed: int = 0, folder: Path | None = None) -> list[Figure]:
    """Read one epoch in shuffled batches by a data loader, and one from the shards themselves.

    The loader collates the embeddings of 32 posts into one tensor, from the derived file, warm;
    with workers the time includes starting them, as every epoch of a loader does.

    Args:
        posts: how many the synthetic store has.
        seed: of posts and orders.
        folder: where the store is written; None takes a temporary folder.
    """
    with tempfile.TemporaryDirectory(dir=folder) as made:
        store = Path(made) / "store"
        _write(store, PostMaker(seed, posts))
        with open_store(store) as reader:
            _epoch(reader, 0, seed)
            alone = posts / _epoch(reader, 0, seed)
            helped = posts / _epoch(reader, _WORKERS, seed)
        with open_store(store, reader="parquet") as reader:
            singles = _single_reads(reader, seed)
            by_shard = posts / _timed(shuffled(reader, seed=seed))
    return [
        Figure("posts/s, data loader, 0 workers", alone),
        Figure(f"posts/s, data loader, {_WORKERS} workers", helped),
        Figure(f"0 workers, times {_WORKERS} workers", alone / helped, 1.0),
        Figure("posts/s, shards, single random reads", singles),
        Figure("posts/s, shards, shuffled by shard", by_shard),
        Figure("shards: by shard, times single reads", by_shard / singles, 10.0),
    ]


class _Embeddings:
    """The embeddings of each post, as a data set for torch."""

    def __init__(self, reader: StoreReader) -> None:
        self._reader = reader
        self._names = reader.example_ids()

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> np.ndarray[Any, Any]:
        features = self._reader.features(self._names[index])
        found = [features.photo_embedding, features.sentence_embedding]
        found += [item.embedding for item in features.evidence]
        return np.stack([vector for vector in found if vector is not None])


def _epoch(reader: StoreReader, workers: int, seed: int) -> float:
    """Return the seconds that an epoch of a data loader takes."""
    loader: DataLoader[Any] = DataLoader(
        _Embeddings(reader),  # type: ignore[arg-type]
        batch_size=_BATCH,
        shuffle=True,
        num_workers=workers,
        collate_fn=_collate,
        generator=torch.Generator().manual_seed(seed),
    )
    return _timed(loader)


def _collate(posts: list[np.ndarray[Any, Any]]) -> torch.Tensor:
    assert all(len(vectors) == VECTORS for vectors in posts)
    return torch.from_numpy(np.stack(posts))


def _single_reads(reader: StoreReader, seed: int) -> float:
    """Return posts a second, of a random part of them."""
    names = list(reader.example_ids())
    random.Random(seed).shuffle(names)
    reader.features(names[0])
    names = names[:_SINGLES]
    return len(names) / _timed(map(reader.features, names))


def _timed(items: Iterable[object]) -> float:
    started = time.perf_counter()
    for _ in items:
        pass
    return time.perf_counter() - started


def _write(store: Path, maker: PostMaker) -> None:
    shards = list(maker.shards())
    identity = {"bench": maker.posts, "seed": maker.seed}
    with StoreWriter(store, identity=identity, num_shards=len(shards)) as writer:
        for index, numbers in enumerate(shards):
            # Their images are named and not there, as where nobody could fetch them.
            rows = [maker.record(number)[0] for number in numbers]
            writer.write_shard(index, rows, {}, [])
        writer.close({})
