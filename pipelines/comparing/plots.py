"""Figures of a table, as SVG and PNG: what a reader asks after having seen the mean F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

from cache.errors import InputError
from pipelines.comparing.curves import (
    Curve,
    learning_curves,
    noise_curves,
    share_curves,
)
from pipelines.comparing.evidence_counts import f1_by_evidence
from pipelines.comparing.facts import Facts
from pipelines.comparing.rows import Row

if TYPE_CHECKING:
    from pipelines.comparing.compare import Compared, Grid

FORMATS: Final = ("svg", "png")
_BY_TYPE: Final = "f1-by-type"
# Of all blocks; other figures are of the first, and say so where it has a title.
_BY_SHARE: Final = "f1-by-share"
# Of none of the runs in the table.
_BY_NOISE: Final = "f1-by-noise"
# Figure -> what is along and what is up.
_AXES: Final = {
    "dev-f1-by-epoch": ("epoch", "dev F1"),
    "loss-by-epoch": ("epoch", "training loss"),
    "f1-by-evidence": ("evidence items of a post", "test F1"),
    _BY_SHARE: ("% of the training posts", "test F1"),
    _BY_NOISE: ("% noise in the knowledge base", "test F1"),
}
_NOISE_TITLE: Final = "sample, made-up worlds of `ramie bench evidence --only robustness`"
_DPI: Final = 150
# Told apart without colours, too: by the marker.
_MARKERS: Final = "osD^vPX*<>hd"


def write_plots(done: Compared, grid: Grid, noise: Path | None = None) -> list[Path]:
    """Write every figure that the runs have data for, under ``done.out``/plots; return the files.

    Args:
        done: the table.
        grid: what it was made from.
        noise: ``curves.json`` of ``ramie bench evidence --only robustness``.

    Raises:
        InputError: matplotlib is not installed, or ``noise`` is no such file.
    """
    main = [row for row in done.rows if row.block == done.rows[0].block]
    curves = {**learning_curves(grid, main), "f1-by-evidence": f1_by_evidence(grid, main)}
    curves[_BY_SHARE] = share_curves(done.rows)
    if noise is not None:
        curves[_BY_NOISE] = noise_curves(noise)
    there = {name: found for name, found in curves.items() if found}
    return draw(main, there, done.facts, done.out / "plots")


def check_plots(noise: Path | None = None) -> None:
    """Raise now what `write_plots` would raise after a night of training."""
    _matplotlib()
    if noise is not None:
        noise_curves(noise)


def draw(
    rows: Sequence[Row], curves: Mapping[str, Mapping[str, Curve]], facts: Facts, folder: Path
) -> list[Path]:
    """Draw F1 by type of ``rows``, and ``curves`` by the name of their figure; return the files.

    Args:
        rows: of one block.
        curves: by figure, then by row.
        facts: what they are of: it stands over each figure.
        folder: of the files.

    Raises:
        InputError: matplotlib is not installed.
    """
    plot = _matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for name in (_BY_TYPE, *curves):
        figure, axes = plot.subplots(figsize=(7, 4.2), layout="constrained")
        if name == _BY_TYPE:
            _bars(axes, rows)
        else:
            _curves(axes, curves[name], *_AXES[name])
        axes.set_title(_title(name, rows, facts), fontsize="medium", wrap=True)
        for kind in FORMATS:
            files.append(folder / f"{name}.{kind}")
            # Without the date, the same figures are the same bytes.
            dated = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(files[-1], dpi=_DPI, metadata=dated)
        plot.close(figure)
    return files


def _title(name: str, rows: Sequence[Row], facts: Facts) -> str:
    if name == _BY_NOISE:
        return _NOISE_TITLE
    block = rows[0].block if rows and name != _BY_SHARE else ""
    return "\n".join(part for part in (facts.title(), block) if part)


def _matplotlib() -> Any:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise InputError(
            "plots need matplotlib, which is not installed; in a checkout of this project: "
            "pip install '.[plots]'. Or leave out --plots."
        ) from error
    mpl.use("Agg")
    # Equal figures are equal bytes: no random ids in the SVG.
    mpl.rcParams["svg.hashsalt"] = "ramie"
    # Names of types come from data, and are no formulas.
    mpl.rcParams["text.parse_math"] = False
    from matplotlib import pyplot

    return pyplot


def _bars(axes: Any, rows: Sequence[Row]) -> None:
    by_system = {row.system.name: row.f1_by_type() for row in rows}
    types = sorted({name for scores in by_system.values() for name in scores})
    width = 0.8 / max(1, len(by_system))
    for place, (system, scores) in enumerate(by_system.items()):
        left = [
            number + (place - (len(by_system) - 1) / 2) * width for number in range(len(types))
        ]
        f1 = [scores[name].f1 if name in scores else 0.0 for name in types]
        axes.bar(left, f1, width, label=system)
    # The most, for in a grid with holes some rows are of fewer worlds.
    support = [max(s[name].support for s in by_system.values() if name in s) for name in types]
    ticks = [f"{name}\n(n={n})" for name, n in zip(types, support, strict=True)]
    axes.set_xticks(range(len(types)), ticks, rotation=30 if len(types) > 6 else 0, ha="center")
    axes.set_ylabel("test F1")
    _legend(axes)


def _curves(axes: Any, curves: Mapping[str, Curve], along: str, up: str) -> None:
    """Draw a line for each curve, with its lowest and highest run as a band."""
    ticks: dict[float, str] = {}
    for (name, curve), marker in zip(curves.items(), _MARKERS * len(curves), strict=False):
        xs = list(curve.points)
        means = [mean(curve.points[x]) for x in xs]
        (line,) = axes.plot(xs, means, marker=marker, markersize=4, label=name)
        lows, highs = ([side(curve.points[x]) for x in xs] for side in (min, max))
        axes.fill_between(xs, lows, highs, color=line.get_color(), alpha=0.15, linewidth=0)
        ticks |= curve.labels
    if ticks:
        axes.set_xticks(list(ticks), list(ticks.values()))
    else:
        axes.locator_params(axis="x", integer=True)
    axes.set_xlabel(along)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    if curves:
        _legend(axes)


def _legend(axes: Any) -> None:
    axes.legend(fontsize="small", loc="best")
