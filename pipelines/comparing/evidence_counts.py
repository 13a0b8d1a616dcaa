"""F1 of posts with little and with much evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from cache import open_store
from cache.errors import StoreMismatch
from model.scoring.metrics import Counts
from pipelines.comparing.curves import Curve
from pipelines.comparing.rows import Row

if TYPE_CHECKING:
    from pipelines.comparing.compare import Grid

# Upper ends, inclusive.
_BINS: Final = (0, 2, 5, 10, 20)


def f1_by_evidence(grid: Grid, rows: Sequence[Row]) -> dict[str, Curve]:
    """Return test F1 of each row, by how many evidence items the store has of a post.

    Labels say how many entities or relations are annotated there, over the worlds.

    Raises:
        StoreMismatch: a kept test names posts that the store does not have.
    """
    counts = {place.name: _counts(place.store, grid.split) for place in grid.places}
    found: dict[str, Mapping[float, list[float]]] = {}
    annotated: dict[tuple[float, str], int] = {}
    for row in rows:
        points: defaultdict[float, list[float]] = defaultdict(list)
        for (world, _), run in row.runs.items():
            if unknown := set(run.example_ids) - counts[world].keys():
                raise StoreMismatch(
                    f"a kept test of {row.system.name} is of {len(unknown)} posts that the store "
                    f"does not have, {min(unknown)!r} among them. Remove scores/ of its run."
                )
            bins = np.array([_bin(counts[world][name]) for name in run.example_ids])
            for number in np.unique(bins).tolist():
                tp, fp, fn = run.counts[bins == number].sum(0).tolist()
                bin_counts = Counts(tp, fp, fn)
                points[number].append(100 * bin_counts.f1)
                annotated[number, world] = bin_counts.support
        found[row.system.name] = dict(sorted(points.items()))
    labels: dict[float, str] = {}
    for number in sorted({number for number, _ in annotated}):
        n = sum(count for (of, _), count in annotated.items() if of == number)
        labels[number] = f"{_label(int(number))}\n(n={n})"
    return {
        name: Curve(points, {number: labels[number] for number in points})
        for name, points in found.items()
    }


def _counts(store: Path, split: str) -> Mapping[str, int]:
    with open_store(store, reader="parquet") as reader:
        return {name: len(reader.features(name).evidence) for name in reader.example_ids(split)}


def _bin(count: int) -> int:
    return sum(count > end for end in _BINS)


def _label(number: int) -> str:
    low = 0 if number == 0 else _BINS[number - 1] + 1
    if number == len(_BINS):
        return f"{low} or more"
    return str(low) if low == _BINS[number] else f"{low} to {_BINS[number]}"
