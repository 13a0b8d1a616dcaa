"""How fast a store is verified, beside plain SHA-256 of the same files, and in what memory."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from cache import StoreDamaged, StoreWriter, VerifyReport, verify_store
from cache.checking.verify_bytes import verify_bytes
from pipelines.bench.figures import Figure
from pipelines.bench.store_posts import PostMaker

_ROUNDS: Final = 3
_GIGABYTE: Final = 1e9
_MEGABYTE: Final = 1e6
_CORES: Final = 2
_CHILD: Final = (
    "import sys; from cache import verify_store; assert verify_store(sys.argv[1]).ok; "
    "from pipelines.bench.figures import peak_bytes; print(peak_bytes())"
)


def bench_verify(posts: int, seed: int) -> list[Figure]:
    """Write a synthetic store, and measure verifying it.

    Each post has 12 texts of about 300 characters, 6 embeddings of 512 numbers and 3 images of
    15 KB that nothing compresses. The images are not looked at as such, for they are none.

    Args:
        posts: how many; 20,000 take 1.1 GB.
        seed: of texts, embeddings and images.
    """
    with tempfile.TemporaryDirectory() as made:
        store = Path(made) / "store"
        maker = PostMaker(seed, posts)
        shards = list(maker.shards())
        with StoreWriter(store, identity={"seed": seed}, num_shards=len(shards)) as writer:
            for index, numbers in enumerate(shards):
                records = [maker.record(number) for number in numbers]
                media = [image for _, images in records for image in images]
                writer.write_shard(index, [row for row, _ in records], {}, media)
            writer.close({})
        return verify_figures(store)


def verify_figures(store: Path) -> list[Figure]:
    """Verify a sound store three times, warm; the best counts.

    Raises:
        StoreDamaged: a sound store does not verify.
    """
    files = sorted(store.glob("*/part-*.parquet"))
    size = sum(path.stat().st_size for path in files)
    plain, verified, shared, compared = [], [], [], []
    # In turns: other programs on the machine slow all of them down alike.
    for _ in range(_ROUNDS):
        plain.append(_seconds(lambda: _hash(files, 1)))
        shared.append(_seconds(lambda: _hash(files, _CORES)))
        verified.append(_seconds(lambda: _sound(verify_store(store))))
        compared.append(_seconds(lambda: _sound(verify_bytes(store))))
    alone = subprocess.run(
        [sys.executable, "-c", _CHILD, str(store)], capture_output=True, text=True, check=True
    )
    speed = size / _GIGABYTE / min(verified)
    return [
        Figure("GB of shards", size / _GIGABYTE),
        Figure("GB/s verified", speed, 0.8),
        Figure("GB/s compared with hashes (--bytes)", size / _GIGABYTE / min(compared), 0.8),
        Figure("GB/s of plain SHA-256, one thread", size / _GIGABYTE / min(plain)),
        Figure(f"GB/s of plain SHA-256, {_CORES} threads", size / _GIGABYTE / min(shared)),
        Figure("MB of memory at most, verifying", int(alone.stdout) / _MEGABYTE, 1000, "below"),
    ]


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _hash(files: Sequence[Path], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda path: hashlib.sha256(path.read_bytes()).digest(), files))


def _sound(report: VerifyReport) -> None:
    if not report.ok:
        raise StoreDamaged(f"a new store does not verify: {report.problems[0]}")
