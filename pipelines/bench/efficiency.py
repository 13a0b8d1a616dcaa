"""How efficient retrieval is: each figure beside the one to reach, and a table of all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cache.errors import InputError, RamieError
from pipelines.bench.figures import Figure

Say = Callable[[str], None]
_WIDTH: Final = 72


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured.

    Attributes:
        work: folder for what takes long, and for tools that are compared with.
        quick: smallest sizes, to see that all of it runs; figures then mean little.
        seed: of all that is made up.
        posts: to build and to observe; None leaves it to each part.
        only: parts of ``observing`` and of ``scale``; none means all.
        sizes: posts of the builds whose growth is measured; none takes the usual ones.
        store: of the sample, that is verified.
        recipe: whose data and models are built; None takes full-size models.
        overrides: of its settings.
    """

    work: Path
    quick: bool = False
    seed: int = 0
    posts: int | None = None
    only: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    store: Path = Path("data/stores/sample")
    recipe: str | None = None
    overrides: tuple[str, ...] = ()

    def size(self, usual: int, quick: int) -> int:
        """Return the posts that were asked for, or the usual or quick number."""
        return self.posts or (quick if self.quick else usual)


def bench_efficiency(parts: Sequence[str], options: Options, say: Say) -> dict[str, object]:
    """Measure ``parts`` of `PARTS`; return the figures of each as JSON, and the ``table``.

    A part that cannot be measured here, for want of a package, a tool or room, is told with the
    reason, and is missed by the table.

    Args:
        parts: in the order in which they are measured.
        options: how much.
        say: told every row as it is measured, and the table at the end.

    Raises:
        InputError: ``options.only`` names what no part of ``parts`` has.
    """
    if options.only:
        _refuse_unknown(parts, options.only)
    options.work.mkdir(parents=True, exist_ok=True)
    result: dict[str, object] = {}
    bounded: list[tuple[str, Figure]] = []
    left_out: dict[str, str] = {}
    for name in parts:
        started = time.perf_counter()
        try:
            figures = PARTS[name](options)
        except (RamieError, ModuleNotFoundError) as problem:
            left_out[name] = str(problem)
            result[name] = {"left_out": str(problem)}
            say(f"  {name} is left out: {problem}")
            continue
        for figure in figures:
            say(figure.row)
        say(f"  ({name} took {time.perf_counter() - started:.0f} s)")
        result[name] = [figure.as_json() for figure in figures]
        bounded += [(name, figure) for figure in figures if figure.bound is not None]
    result["table"] = _table(bounded, left_out)
    for line in _lines(bounded, left_out):
        say(line)
    return result


def _refuse_unknown(parts: Sequence[str], only: Sequence[str]) -> None:
    known = [name for part in parts for name in _parts_of(part)]
    if unknown := sorted(set(only) - set(known)):
        there = f"known are {', '.join(known)}" if known else "name none"
        raise InputError(f"{', '.join(parts)}: no part {unknown[0]!r}; {there}.")


def _parts_of(name: str) -> tuple[str, ...]:
    """Return what ``only`` may name of one of `PARTS`."""
    if name == "observing":
        from pipelines.bench import observing

        return observing.PARTS
    if name == "scale":
        from pipelines.bench.scaling import scale

        return scale.PARTS
    return ()


def _table(
    bounded: Sequence[tuple[str, Figure]], left_out: Mapping[str, str]
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "part": name,
            "what": figure.what.strip(),
            "asked": figure.bound,
            "better": figure.better,
            "measured": figure.value,
            "met": figure.met,
        }
        for name, figure in bounded
    ]
    missing: list[dict[str, object]] = [
        {"part": name, "what": f"left out: {why}", "met": None} for name, why in left_out.items()
    ]
    return [*rows, *missing]


def _lines(bounded: Sequence[tuple[str, Figure]], left_out: Mapping[str, str]) -> list[str]:
    lines = ["", f"{'what':<{_WIDTH}} {'asked':>9} {'measured':>10}"]
    for name, figure in bounded:
        sign = ">=" if figure.better == "above" else "<="
        what = f"{name}: {figure.what.strip()}"
        asked = f"{sign} {figure.bound:g}"
        met = "met" if figure.met else "MISSED"
        lines.append(f"{what[:_WIDTH]:<{_WIDTH}} {asked:>9} {figure.value:>10.4g}  {met}")
    return [*lines, *(f"{name}: left out: {why}" for name, why in left_out.items())]


def _build(options: Options) -> list[Figure]:
    from pipelines.bench.build import bench_build
    from pipelines.config import load_recipe

    recipe = load_recipe(options.recipe, options.overrides) if options.recipe else None
    return bench_build(options.size(60, 24), options.seed, recipe)


def _observing(options: Options) -> list[Figure]:
    from pipelines.bench import observing

    only = [one for one in options.only if one in observing.PARTS]
    rounds = 1 if options.quick else 3
    return observing.bench_observing(options.size(48, 6), options.seed, only, rounds)


def _downloading(options: Options) -> list[Figure]:
    from pipelines.bench.downloading import bench_downloading

    return bench_downloading(options.work, options.size(1000, 40), options.seed)


def _searching(options: Options) -> list[Figure]:
    from pipelines.bench.searching import bench_searching

    documents = options.size(1_000_000, 5_000)
    return bench_searching(options.work / "searching", documents, options.seed)


def _engines(options: Options) -> list[Figure]:
    from pipelines.bench.engines import bench_engines

    return bench_engines(options.size(240, 48), options.seed)


def _scale(options: Options) -> list[Figure]:
    from pipelines.bench.scaling import scale

    folder = options.work / "scale"
    only = [one for one in options.only if one in scale.PARTS]
    if options.quick:
        sizes = options.sizes or (64, 160, 320, 640)
        return scale.bench_scale(folder, sizes, (640,), 100_000, 24, options.seed, only)
    sizes = options.sizes or scale.SIZES
    return scale.bench_scale(folder, sizes, seed=options.seed, only=only)


def _starting(options: Options) -> list[Figure]:
    from pipelines.bench.starting import bench_starting

    return bench_starting(options.store, 3 if options.quick else 7)


def _curation(options: Options) -> list[Figure]:
    from pipelines.bench.speed import bench_speed

    return bench_speed(options.size(20_000, 200), seed=options.seed)


PARTS: Final[dict[str, Callable[[Options], list[Figure]]]] = {
    "starting": _starting,
    "build": _build,
    "observing": _observing,
    "downloading": _downloading,
    "searching": _searching,
    "engines": _engines,
    "curation": _curation,
    "scale": _scale,
}
"""In the order of a whole run, what takes long last."""
