"""How fast a store is written, beside plain pyarrow with the same tables on the same disk."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from cache import StoreWriter
from cache.schema import SCHEMAS, TABLES, Table
from cache.tables.shards import write_options
from pipelines.bench.figures import Figure
from pipelines.bench.store_posts import POST_BYTES, PostMaker

_MEGABYTE: Final = 1e6


def bench_writing(maker: PostMaker, store: Path) -> list[Figure]:
    """Write a store shard by shard, and each shard's tables with pyarrow alone right after it.

    The store is written from records, as a builder does it, all of closing it included; pyarrow
    gets finished tables. Every file is synced in both. Making up posts is not timed.

    Args:
        maker: of the posts.
        store: folder of the store, which stays; there must be none.

    Returns:
        Megabytes of texts, vectors and images a second, and the ratio to plain pyarrow, whose
        default options do not compare as well as ours do: snappy, large row groups, no checksums.
    """
    seconds = {"ours": 0.0, "default": 0.0, "same options": 0.0}
    shards = list(maker.shards())
    pa.array([b"", b"x"])  # Loads what pyarrow loads late.
    plain = store.with_name(f"{store.name}-plain")
    with StoreWriter(store, identity={"seed": maker.seed}, num_shards=len(shards)) as writer:
        for index, numbers in enumerate(shards):
            made = [maker.record(number) for number in numbers]
            rows = [row for row, _ in made]
            media = [image for _, images in made for image in images]
            started = time.perf_counter()
            writer.write_shard(index, rows, {}, media)
            seconds["ours"] += time.perf_counter() - started
            tables = _tables(store, index)
            seconds["default"] += _write_plain(plain, tables, own_options=False)
            seconds["same options"] += _write_plain(plain, tables, own_options=True)
        started = time.perf_counter()
        writer.close({})
        seconds["ours"] += time.perf_counter() - started
    plain.rmdir()
    megabytes = maker.posts * POST_BYTES / _MEGABYTE
    return [
        Figure("MB/s written, records to a store", megabytes / seconds["ours"]),
        Figure("MB/s written, tables by pyarrow", megabytes / seconds["default"]),
        Figure(
            "MB/s written, tables by pyarrow, our options", megabytes / seconds["same options"]
        ),
        Figure("times as fast as pyarrow", seconds["default"] / seconds["ours"], 0.7),
        Figure("times as fast as pyarrow, our options", seconds["same options"] / seconds["ours"]),
    ]


def _tables(store: Path, index: int) -> dict[Table, pa.Table]:
    """Return the tables of a shard as the writer had them: each column in one piece."""
    tables: dict[Table, pa.Table] = {}
    for table in TABLES:
        path = next((store / table).glob(f"part-{index:05d}-*.parquet"))
        tables[table] = pq.read_table(path).cast(SCHEMAS[table]).combine_chunks()
    return tables


def _write_plain(folder: Path, tables: Mapping[Table, pa.Table], *, own_options: bool) -> float:
    """Return the seconds that pyarrow takes; the files are removed again."""
    folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        pq.write_table(table, path, **(write_options(table, name) if own_options else {}))
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    elapsed = time.perf_counter() - started
    for path in folder.iterdir():
        path.unlink()
    return elapsed
