"""The first reads after a start, when nothing of the files is in memory yet."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from cache.errors import StoreError
from cache.reading.derived_file import Form
from cache.reading.warm import WARMING
from pipelines.bench.figures import Figure
from pipelines.bench.store_peers import opened_peer
from pipelines.bench.store_posts import PostMaker
from pipelines.bench.store_reading import RAW, StorePosts, compare, read_all

_MAP: Final = "plain memory map"
_FORMS: Final[tuple[Form, ...]] = ("lmdb", "packed")
_READS: Final = 500
_ROUNDS: Final = 3
_MOST_LEFT: Final = 0.01


def bench_cold(maker: PostMaker, store: Path, folder: Path) -> list[Figure]:
    """Read the first 500 random posts from the disk: store and memory map of a packed file.

    Before each round the files are dropped from memory, which is looked at. What is opened stays
    open, so indexes are in memory for both. Prefetching counts as reading time. The best of
    three rounds counts.

    Raises:
        StoreError: the file system keeps files in memory (tmpfs), or a file was not dropped.
    """
    order = random.Random(maker.seed).sample(range(maker.posts), min(_READS, maker.posts))
    names = [maker.name(number) for number in order]
    digests = {number: maker.whole(number).digest for number in order}
    rates = {_MAP: 0.0}
    mapped = [folder / "RawRecords" / "values"]
    opened_peer(RAW, maker, folder).close()
    for _ in range(_ROUNDS):
        drop(mapped)
        # Opened anew: what is mapped cannot be dropped.
        with closing(opened_peer(RAW, maker, folder)) as raw:
            rates[_MAP] = max(rates[_MAP], _rate(raw.whole, order))
    for form in _FORMS:
        with closing(StorePosts(store, maker, form)) as ours:
            files = sorted((store / "local").glob(f"*.{form}"))
            compare(form, ours, order, digests)
            hints: dict[str, Callable[[], object] | None] = {
                f"{form}, no hint": None,
                f"{form}, prefetched": partial(ours.reader.prefetch, names),
                f"{form}, read in the background": ours.reader.warm,
            }
            for _ in range(_ROUNDS):
                for name, hint in hints.items():
                    ours.reader.close()
                    drop(files)
                    ours.reader.prefetch([])
                    rates[name] = max(rates.get(name, 0.0), _rate(ours.whole, order, hint))
                    _wait_for_background()
    figures = [Figure(f"posts/s, first {len(order)}, cold, {name}", rates[name]) for name in rates]
    for form in _FORMS:
        ratio = max(rates[f"{form}, prefetched"], rates[f"{form}, read in the background"])
        what = f"cold, {form} with the better warm-up, times the memory map"
        figures.append(Figure(what, ratio / rates[_MAP], 3.0))
    return figures


def _rate(
    read: Callable[[int], object], order: Sequence[int], hint: Callable[[], object] | None = None
) -> float:
    """Return posts per second; the time that ``hint`` takes counts."""
    started = time.perf_counter()
    if hint is not None:
        hint()
    read_all(read, order)
    return len(order) / (time.perf_counter() - started)


def _wait_for_background() -> None:
    """Return when nothing is read in the background: it would bring back what is dropped."""
    for thread in threading.enumerate():
        if thread.name == WARMING:
            thread.join()


def drop(files: Sequence[Path]) -> None:
    """Drop files from memory.

    Raises:
        StoreError: they are still there.
    """
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if (share := resident_share(path)) > _MOST_LEFT:
            raise StoreError(
                f"{share:.0%} of {path} stays in memory. Choose a folder on a disk for --work."
            )


def resident_share(path: Path) -> float:
    """Return how much of a file is in memory, from 0 to 1."""
    size = path.stat().st_size
    if not size:
        return 0.0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        pages = -(-size // mmap.PAGESIZE)
        found = (ctypes.c_ubyte * pages)()
        start = ctypes.c_char.from_buffer(mapped)
        try:
            library = ctypes.CDLL(None, use_errno=True)
            arguments = (ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), found)
            if library.mincore(*arguments) != 0:
                raise StoreError(
                    f"cannot see what of {path} is in memory. Use Linux for this part."
                )
        finally:
            del start
        return sum(page & 1 for page in bytes(found)) / pages
