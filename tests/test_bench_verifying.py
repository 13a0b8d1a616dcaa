"""The figures of verifying come out for a small store, too."""

from __future__ import annotations

from pipelines.bench.verifying import bench_verify


def test_verifying_is_measured_beside_plain_hashing() -> None:
    figures = {figure.what: figure.value for figure in bench_verify(20, 0)}
    assert all(value > 0 for value in figures.values())
    assert {"GB/s verified", "GB/s of plain SHA-256, one thread"} <= figures.keys()
