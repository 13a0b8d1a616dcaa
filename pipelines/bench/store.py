"""What the store promises in numbers, beside the figures to reach and beside its peers."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from cache.errors import InputError, StoreError
from pipelines.bench.figures import Figure
from pipelines.bench.store_posts import POST_BYTES, PostMaker

Say = Callable[[str], None]
# The store, its derived files, and the same posts in five other layouts.
_COPIES: Final = 8
_IN_ALL_LAYOUTS: Final = frozenset(("writing", "reading", "cold", "verify", "open"))
_MEGABYTE: Final = 1e6


class Bench:
    """The posts that are measured, and where; the store is written when the first part needs it.

    Attributes:
        maker: of the posts.
        folder: for everything that is written.
    """

    def __init__(self, maker: PostMaker, folder: Path) -> None:
        self.maker = maker
        self.folder = folder
        self.written: list[Figure] = []

    @cached_property
    def store(self) -> Path:
        """The store of all posts."""
        from pipelines.bench.store_writing import bench_writing

        path = self.folder / "store"
        self.written = bench_writing(self.maker, path)
        return path

    @cached_property
    def peers(self) -> Path:
        """Where peers lie."""
        path = self.folder / "peers"
        path.mkdir()
        return path


def bench_store(
    parts: Sequence[str], posts: int, seed: int, work: Path, say: Say
) -> dict[str, object]:
    """Measure ``parts`` (all, if none is named) and return the figures of each as JSON.

    Args:
        parts: names of `PARTS`.
        posts: in the store that is written, read, verified and handed on, and in the one that
            the builder builds; part ``scale`` writes ten times as many to see what grows.
        seed: of what is made up.
        work: a folder is made in it, and removed; it should lie on a disk.
        say: told every row as it is measured.

    Raises:
        InputError: an unknown part, or a peer is not installed.
        StoreError: there is not enough room.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise InputError(f"no part {unknown[0]!r}; known are {', '.join(PARTS)}.")
    if posts < 1:
        raise InputError(f"cannot measure with {posts} posts; give 1 or more.")
    work.mkdir(parents=True, exist_ok=True)
    if not set(parts) or set(parts) & _IN_ALL_LAYOUTS:
        _check_room(work, posts)
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="store-", dir=work) as made:
        bench = Bench(PostMaker(seed, posts), Path(made))
        for name in parts or PARTS:
            started = time.perf_counter()
            figures = PARTS[name](bench)
            for figure in figures:
                say(figure.row)
            say(f"  ({name} took {time.perf_counter() - started:.0f} s)")
            result[name] = [figure.as_json() for figure in figures]
    return result


def _check_room(work: Path, posts: int) -> None:
    needed = _COPIES * posts * POST_BYTES
    if (free := shutil.disk_usage(work).free) < needed:
        raise StoreError(
            f"{work} has room for {free / _MEGABYTE:,.0f} MB, and {needed / _MEGABYTE:,.0f} are "
            "needed. Give fewer --posts, or another folder as --work."
        )


def _writing(bench: Bench) -> list[Figure]:
    assert bench.store
    return bench.written


def _reading(bench: Bench) -> list[Figure]:
    from pipelines.bench.store_reading import bench_reading

    return bench_reading(bench.maker, bench.store, bench.peers)


def _loader(bench: Bench) -> list[Figure]:
    from pipelines.bench.reading import bench_reading

    return bench_reading(bench.maker.posts, bench.maker.seed, bench.folder)


def _cold(bench: Bench) -> list[Figure]:
    from pipelines.bench.store_cold import bench_cold

    return bench_cold(bench.maker, bench.store, bench.peers)


def _verify(bench: Bench) -> list[Figure]:
    from pipelines.bench.verifying import verify_figures

    return verify_figures(bench.store)


def _open(bench: Bench) -> list[Figure]:
    from pipelines.bench.store_opening import bench_opening

    return bench_opening(bench.store)


def _scale(bench: Bench) -> list[Figure]:
    from pipelines.bench.store_scale import bench_scale

    return bench_scale(bench.folder, 10 * bench.maker.posts, bench.maker.seed)


def _building(bench: Bench) -> list[Figure]:
    from pipelines.bench.store_scale import bench_building

    return bench_building(bench.folder, bench.maker.posts, bench.maker.seed)


def _size(bench: Bench) -> list[Figure]:
    from pipelines.bench.storage import bench_storage

    return bench_storage(bench.maker.seed)


def _sharing(bench: Bench) -> list[Figure]:
    from pipelines.bench.sharing import bench_sharing

    return bench_sharing(bench.maker.posts * POST_BYTES, bench.maker.seed)


PARTS: Final[dict[str, Callable[[Bench], list[Figure]]]] = {
    "writing": _writing,
    "reading": _reading,
    "loader": _loader,
    "cold": _cold,
    "verify": _verify,
    "open": _open,
    "scale": _scale,
    "building": _building,
    "size": _size,
    "sharing": _sharing,
}
