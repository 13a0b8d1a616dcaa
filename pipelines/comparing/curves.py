"""Points of the curves that are plotted, from what runs and benches left behind."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cache.errors import InputError
from model.run import METRICS
from pipelines.comparing.rows import Row

if TYPE_CHECKING:
    from pipelines.comparing.compare import Grid

# Of a run's JSON lines, some hundred bytes an epoch.
MOST_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Curve:
    """A line with all runs that it is the mean of.

    Attributes:
        points: the values of every run at each place, places in order.
        labels: names of places, where the number says nothing.
    """

    points: Mapping[float, Sequence[float]]
    labels: Mapping[float, str] = field(default_factory=dict)


def learning_curves(grid: Grid, rows: Sequence[Row]) -> dict[str, dict[str, Curve]]:
    """Return dev F1 (in percent) and training loss by epoch, by figure, of each trained row."""
    found: dict[str, dict[str, Curve]] = {"dev-f1-by-epoch": {}, "loss-by-epoch": {}}
    places = {place.name: place for place in grid.places}
    for row in rows:
        if row.system.shown != row.system.trained_on:
            continue  # the same run as another row
        points: dict[str, defaultdict[float, list[float]]] = {
            name: defaultdict(list) for name in found
        }
        for world, seed in row.runs:
            run = places[world].runs / row.system.run_name(seed)
            for record in _records(run / METRICS):
                epoch = float(record["epoch"])
                points["dev-f1-by-epoch"][epoch].append(100 * float(record["dev_f1"]))
                points["loss-by-epoch"][epoch].append(float(record["train_loss"]))
        for name, by_epoch in points.items():
            if by_epoch:
                found[name][row.system.name] = Curve(dict(sorted(by_epoch.items())))
    return found


def share_curves(rows: Sequence[Row]) -> dict[str, Curve]:
    """Return test F1 by the percent of training posts; empty where there is but one share."""
    points: defaultdict[str, dict[float, list[float]]] = defaultdict(dict)
    for row in rows:
        if row.system.is_whole:
            points[row.system.fusion][100 * row.system.share] = row.f1
    if all(len(by_share) < 2 for by_share in points.values()):
        return {}
    return {name: Curve(dict(sorted(by_share.items()))) for name, by_share in points.items()}


def noise_curves(path: Path) -> dict[str, Curve]:
    """Return test F1 by the percent of noise, as ``ramie bench evidence`` measured it.

    Raises:
        InputError: the file cannot be read as that.
    """
    try:
        content = json.loads(path.read_bytes())
        return {
            str(name): Curve({100 * float(share): [float(f1)] for share, f1 in curve.items()})
            for name, curve in content.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} does not hold F1 by share of noise ({error}). Make it with `ramie bench "
            "evidence --only robustness --work DIR`, which writes DIR/robustness-SEED/curves.json."
        ) from error


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the end of every epoch that a run noted; lines that are something else are skipped."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        lines = file.read(MOST_BYTES).splitlines()
    for line in lines:
        try:
            record = json.loads(line)
            figures = [float(record[name]) for name in ("epoch", "dev_f1", "train_loss")]
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
            continue
        if all(map(math.isfinite, figures)):
            yield record
