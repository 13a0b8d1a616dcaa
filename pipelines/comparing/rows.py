"""A row of a table: a system's scores over worlds and seeds, and how far it is from two others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.scoring.significance import (
    Comparison,
    bootstrap_interval,
    stratified_bootstrap,
    stratified_randomisation,
)
from pipelines.comparing.scored import Scored, same_posts
from pipelines.comparing.systems import Block, System

# Tests by world and seed: a grid that is not finished has holes.
Runs = Mapping[tuple[str, int], Scored]
_Strata = list[NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Against:
    """A system against another, on the runs that both have.

    Attributes:
        other: name of the other one.
        bootstrap: by the paired bootstrap over posts, drawn within each world.
        with_runs: the same with the runs drawn again as well, so that the spread of the seeds is
            in its interval and p-values; None where a world has one common run, which says nothing
            of the spread.
        randomisation: by approximate randomisation.
    """

    other: str
    bootstrap: Comparison
    with_runs: Comparison | None
    randomisation: Comparison

    def to_json(self) -> dict[str, object]:
        """Return the bootstrap's figures by name, and the others' p-values and interval."""
        return {
            "other": self.other,
            **self.bootstrap.to_json(),
            "p_randomisation": self.randomisation.p_two_sided,
            "low_with_runs": None if self.with_runs is None else self.with_runs.low,
            "high_with_runs": None if self.with_runs is None else self.with_runs.high,
            "p_with_runs": None if self.with_runs is None else self.with_runs.p_two_sided,
        }


class TypeScore(NamedTuple):
    """Mean F1 of a type or relation, in percent, and how many of it are annotated."""

    f1: float
    support: int


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row.

    Attributes:
        system: what it is of.
        block: title of the block that it stands in.
        runs: its tests, by world and seed.
        interval: 95 % interval of F1 over the choice of test posts, in [0, 1].
        against_first: its difference to the first row of the block; None in that row.
        against_best: its difference to the best of the other whole systems of the block; None
            where there is none, or the row is an ablation or a control.
    """

    system: System
    block: str
    runs: Runs
    interval: tuple[float, float]
    against_first: Against | None
    against_best: Against | None

    @property
    def f1(self) -> list[float]:
        """Return micro F1 of each run, in percent: what papers print (entities lenient)."""
        return [100 * run.micro.f1 for run in self.runs.values()]

    @property
    def mean_f1(self) -> float:
        """Return the mean F1 in percent; as all means, over the worlds of that over their runs."""
        return 100 * _mean_f1(self.runs)

    @property
    def spread(self) -> float | None:
        """Return the standard deviation of F1 over seeds, within the worlds, in percent.

        None where no world has two seeds: one run says nothing of how steady a system is.
        """
        groups = [[100 * run.micro.f1 for run in runs] for runs in _by_world(self.runs).values()]
        several = [stdev(group) ** 2 for group in groups if len(group) > 1]
        return float(np.sqrt(mean(several))) if several else None

    @property
    def strict_f1(self) -> float | None:
        """Return the mean F1 of entities in the strict reading, in percent."""
        if any(run.strict is None for run in self.runs.values()):
            return None
        return 100 * _over_worlds(self.runs, lambda run: run.strict.f1 if run.strict else 0.0)

    @property
    def accuracy(self) -> float | None:
        """Return the mean accuracy of relations, in percent."""
        if any(run.accuracy is None for run in self.runs.values()):
            return None
        return 100 * _over_worlds(self.runs, lambda run: run.accuracy or 0.0)

    @property
    def precision(self) -> float:
        """Return the mean precision in percent."""
        return 100 * _over_worlds(self.runs, lambda run: run.micro.precision)

    @property
    def recall(self) -> float:
        """Return the mean recall in percent."""
        return 100 * _over_worlds(self.runs, lambda run: run.micro.recall)

    @property
    def annotated(self) -> int:
        """Return how many entities or relations are annotated, over the worlds."""
        return sum(next(iter(runs)).micro.support for runs in _by_world(self.runs).values())

    def f1_by_type(self) -> dict[str, TypeScore]:
        """Return the score of each type or relation that is annotated, over the worlds."""

        def score(name: str) -> TypeScore:
            there = {key: run for key, run in self.runs.items() if name in run.by_type}
            f1 = 100 * _over_worlds(there, lambda run: run.by_type[name].f1)
            worlds = _by_world(there).values()
            return TypeScore(f1, sum(first.by_type[name].support for first, *_ in worlds))

        known = [pair for run in self.runs.values() for pair in run.by_type.items()]
        return {name: score(name) for name in sorted({name for name, one in known if one.support})}

    def figures(self) -> dict[str, object]:
        """Return what the row is of, and its figures over all runs, in percent."""
        return {
            "system": self.system.name,
            "block": self.block,
            "fusion": self.system.fusion,
            "without": self.system.without,
            "share": self.system.share,
            "f1_mean": self.mean_f1,
            "f1_stdev": self.spread,
            "f1_low": 100 * self.interval[0],
            "f1_high": 100 * self.interval[1],
            "f1_strict": self.strict_f1,
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "annotated": self.annotated,
        }

    def to_json(self) -> dict[str, object]:
        """Return the row with every run's scores."""
        return {
            **self.figures(),
            "f1": self.f1,
            "f1_by_type": {name: one._asdict() for name, one in self.f1_by_type().items()},
            "against_first": None if self.against_first is None else self.against_first.to_json(),
            "against_best": None if self.against_best is None else self.against_best.to_json(),
            "runs": [
                {"world": world, "seed": seed, **run.evaluation}
                for (world, seed), run in self.runs.items()
            ],
        }


@dataclass(slots=True)
class Significance:
    """Makes comparisons, and remembers them: a table is made again after every run.

    Attributes:
        samples: resamplings of each test.
    """

    samples: int = 10_000
    _known: dict[Any, Any] = field(default_factory=dict)

    def interval(self, runs: Runs) -> tuple[float, float]:
        """Return the 95 % interval of the score of one system."""
        key = ("interval", *runs.values())
        if key not in self._known:
            self._known[key] = bootstrap_interval(_strata(runs), self.samples)
        found: tuple[float, float] = self._known[key]
        return found

    def against(self, ours: Runs, theirs: Runs, other: str) -> Against | None:
        """Return how far ``ours`` are from ``theirs``; None without a common world and seed.

        Raises:
            StoreMismatch: they were tested on different posts.
        """
        common = [key for key in ours if key in theirs]
        if not common:
            return None
        one, two = ({key: runs[key] for key in common} for runs in (ours, theirs))
        for place in common:
            same_posts(one[place], two[place])
        key = (other, *one.values(), *two.values())
        if key not in self._known:
            a, b = _strata(one), _strata(two)
            several = min(len(runs) for runs in a) > 1
            self._known[key] = Against(
                other,
                stratified_bootstrap(a, b, self.samples),
                stratified_bootstrap(a, b, self.samples, resample_runs=True) if several else None,
                stratified_randomisation(a, b, self.samples),
            )
        found: Against = self._known[key]
        return found


def rows_of(
    blocks: Sequence[Block], results: Mapping[System, Runs], significance: Significance
) -> list[Row]:
    """Return the rows that have a run, block after block.

    Raises:
        StoreMismatch: rows of a block were tested on different posts.
    """
    rows: list[Row] = []
    for block in blocks:
        there = {system: results[system] for system in block.systems if results.get(system)}
        for system, runs in there.items():
            first, best = block.systems[0], _best_other(system, there)
            rows.append(
                Row(
                    system,
                    block.title,
                    runs,
                    significance.interval(runs),
                    _against(system, first, there, significance),
                    _against(system, best, there, significance),
                )
            )
    return rows


def _against(
    system: System, other: System | None, there: Mapping[System, Runs], tests: Significance
) -> Against | None:
    if other is None or other == system or other not in there:
        return None
    return tests.against(there[system], there[other], other.name)


def _best_other(system: System, there: Mapping[System, Runs]) -> System | None:
    """Return the whole system with the highest mean F1 but ``system``, if that one is whole."""
    if not system.is_whole:
        return None
    others = [other for other in there if other.is_whole and other != system]
    return max(others, key=lambda other: _mean_f1(there[other]), default=None)


def _mean_f1(runs: Runs) -> float:
    return _over_worlds(runs, lambda run: run.micro.f1)


def _over_worlds(runs: Runs, figure: Callable[[Scored], float]) -> float:
    """Return the mean over the worlds of that over their runs: a grid may have holes."""
    return mean(mean(map(figure, group)) for group in _by_world(runs).values())


def _by_world(runs: Runs) -> dict[str, list[Scored]]:
    worlds: dict[str, list[Scored]] = {}
    for (world, _), run in runs.items():
        worlds.setdefault(world, []).append(run)
    return worlds


def _strata(runs: Runs) -> _Strata:
    """Return the counts of each world, ``[runs posts 3]``.

    Raises:
        StoreMismatch: runs of one world were tested on different posts.
    """
    groups = _by_world(runs).values()
    for first, *others in groups:
        for other in others:
            same_posts(first, other)
    return [np.stack([run.counts for run in group]) for group in groups]
