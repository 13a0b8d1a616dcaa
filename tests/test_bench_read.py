"""The benchmark of reading runs, at a size at which its figures mean nothing yet."""

from __future__ import annotations

from pathlib import Path

from pipelines.bench.read import bench_read


def test_the_benchmark_reports_rates_and_leaves_nothing_behind(tmp_path: Path) -> None:
    figures = bench_read(40, seed=1, folder=tmp_path)
    assert figures["posts"] == 40
    assert figures["lmdb_posts_per_s"] > 0
    assert figures["parquet_posts_per_s"] > 0
    # By the clock, other programs may take their share of one reader and not of the other.
    assert figures["lmdb_posts_per_cpu_s"] > figures["parquet_posts_per_cpu_s"] > 0
    assert figures["bytes_per_post"] > 6 * 512 * 2 + 12 * 299
    assert list(tmp_path.iterdir()) == []
