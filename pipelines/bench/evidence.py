"""What the evidence is worth: every promise of curation and asking, as figures beside bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cache.errors import InputError
from pipelines.bench.figures import Figure
from pipelines.bench.real_data import VARIABLE, real_data

Say = Callable[[str], None]

# The first of three seeds that nobody looked at while setting a threshold.
FIRST_SEED: Final = 21


def bench_evidence(parts: Sequence[str], seed: int, work: Path, say: Say) -> dict[str, object]:
    """Measure ``parts`` (all, if none is named) and return the figures of each as JSON.

    Args:
        parts: names of `PARTS`.
        seed: the first of three seeds that are measured.
        work: folder for what takes long; what is finished there is not made again.
        say: told every row as it is measured.

    Raises:
        InputError: an unknown part.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise InputError(f"no part {unknown[0]!r}; known are {', '.join(PARTS)}.")
    seeds = range(seed, seed + 3)
    result: dict[str, object] = {}
    if not real_data().is_dir():
        say(f"  rows of real data are left out: no {real_data()}. Set {VARIABLE} to their folder.")
    for name in parts or PARTS:
        started = time.perf_counter()
        figures = PARTS[name](seeds, work)
        for figure in figures:
            say(figure.row)
        say(f"  ({name} took {time.perf_counter() - started:.0f} s)")
        result[name] = [figure.as_json() for figure in figures]
    return result


def _texts(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.dedup import bench_text_duplicates

    return bench_text_duplicates(seeds)


def _images(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.images import bench_image_duplicates

    return bench_image_duplicates(seeds)


def _noise(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.noise import bench_noise

    return bench_noise(seeds)


def _consistency(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.consistency import bench_consistency

    return bench_consistency(seeds)


def _leaks(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.leaks import bench_leaks

    return bench_leaks(seeds)


def _storage(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.storage import bench_storage

    return bench_storage(seeds[0])


def _speed(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.speed import bench_speed

    return bench_speed(seed=seeds[0])


def _asking(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.asking import bench_asking

    return bench_asking(work / "asking", seed=seeds[0])


def _robustness(seeds: Sequence[int], work: Path) -> list[Figure]:
    from pipelines.bench.robustness import bench_robustness

    return bench_robustness(seeds[0], work / f"robustness-{seeds[0]}")


PARTS: Final[dict[str, Callable[[Sequence[int], Path], list[Figure]]]] = {
    "texts": _texts,
    "images": _images,
    "noise": _noise,
    "consistency": _consistency,
    "leaks": _leaks,
    "storage": _storage,
    "speed": _speed,
    "asking": _asking,
    "robustness": _robustness,
}
