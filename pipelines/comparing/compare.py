"""The grid: every system, seed and world, and a table of what is finished, after every run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cache.errors import InputError, RamieError
from model.order import EvidenceOf
from model.run import write_atomically
from pipelines.comparing.facts import Facts, facts_of
from pipelines.comparing.jobs import Job, result_of
from pipelines.comparing.places import Place
from pipelines.comparing.rows import Row, Runs, Significance, rows_of
from pipelines.comparing.scored import Scored
from pipelines.comparing.systems import Block, System, systems_in
from pipelines.comparing.table import csv_text, latex, markdown
from pipelines.comparing.workers import LOG, Failure, do_jobs
from pipelines.config import Recipe

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is compared.

    Attributes:
        recipe: every setting but those that the rows change.
        blocks: the rows.
        places: stores; the same rows are run in each.
        seeds: a run of each row and place for each.
        out: folder of the table.
        split: what is scored.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    recipe: Recipe
    blocks: tuple[Block, ...]
    places: tuple[Place, ...]
    seeds: tuple[int, ...]
    out: Path
    split: str = "test"
    device: str = "auto"

    def job(self, system: System, place: Place, seed: int, shown: Iterable[EvidenceOf]) -> Job:
        """Return the run of one row, place and seed."""
        store = place.unfiltered if system.reads_unfiltered else place.store
        assert store is not None, "a place without the store that a row reads"
        recipe = place.recipe.model_copy(
            update={
                "model": system.model(place.recipe.model),
                "train": system.training(place.recipe.train, seed),
            }
        )
        name = " ".join(part for part in (place.name, system.run_name(seed)) if part)
        return Job(
            name=name,
            recipe=recipe,
            store=store,
            fingerprints={
                path: place.fingerprints.get(path, "")
                for path in (store, recipe.second_store())
                if path is not None
            },
            run=place.runs / system.run_name(seed),
            split=self.split,
            shown=tuple(shown),
            device=self.device,
        )

    def jobs(self) -> list[Job]:
        """Return every run once, seed after seed, so that an early table has all rows."""
        found: dict[Path, tuple[System, Place, int, list[EvidenceOf]]] = {}
        for seed in self.seeds:
            for place in self.places:
                for system in systems_in(self.blocks):
                    run = place.runs / system.run_name(seed)
                    shown = found.setdefault(run, (system, place, seed, []))[3]
                    if system.shown not in shown:
                        shown.append(system.shown)
        return [self.job(*parts) for parts in found.values()]


@dataclass(frozen=True, slots=True)
class Compared:
    """What came out.

    Attributes:
        rows: those that have at least one run.
        facts: what they are of.
        failures: runs that came to nothing.
        out: folder of the table.
    """

    rows: tuple[Row, ...]
    facts: Facts
    failures: tuple[Failure, ...]
    out: Path

    def table(self) -> str:
        """Return the table in Markdown."""
        return markdown(self.rows, self.facts)

    def to_text(self) -> str:
        """Return the table, what is lacking in it, and where it lies."""
        lines = [self.table(), ""]
        lines += [f"FAILED {failure.name}: {failure}" for failure in self.failures]
        if self.facts.missing:
            missing = f"missing runs: {self.facts.missing}"
            lines.append(f"{missing}; the same command without --finished trains them.")
        return "\n".join([*lines, str(self.out / "compare.json")])

    def to_json(self) -> dict[str, object]:
        """Return all of it for a machine."""
        return {
            "facts": self.facts.to_json(),
            "failures": [failure.to_json() for failure in self.failures],
            "missing_runs": self.facts.missing,
            "rows": [row.to_json() for row in self.rows],
        }


def compare(
    grid: Grid, *, workers: int = 1, only_finished: bool = False, say: Say, samples: int = 10_000
) -> Compared:
    """Train what is missing, test all, and write ``compare.json``, ``.md``, ``.csv``, ``.tex``.

    The table is written after every run that ends, of what is there.

    Args:
        grid: what is compared.
        workers: runs side by side.
        only_finished: train nothing.
        say: told of every run that ends.
        samples: resamplings of the tests.

    Raises:
        InputError: a folder holds another run, or nothing is finished.
        StoreMismatch: rows are of different protocols or posts.
    """
    if not grid.places or not grid.seeds or len(set(grid.seeds)) < len(grid.seeds):
        raise InputError("name each seed to compare once, and at least one.")
    table = _Table(grid, Significance(samples))
    jobs = grid.jobs()
    waiting = [job for job in jobs if not table.take(job)]
    if waiting and not only_finished:
        if len(waiting) < len(jobs):
            say(f"{len(jobs) - len(waiting)} of {len(jobs)} runs are finished")
        clock = _Clock(len(waiting), say)

        def done(job: Job, failure: Failure | None) -> None:
            failure = failure or table.take_or_tell(job)
            if failure is not None:
                table.failures.append(failure)
            clock.tell(job, failure, table.f1(job))
            if table.results:
                table.write(jobs)

        do_jobs(waiting, workers, done)
    if not table.results:
        raise InputError(_nothing(table.failures, grid.out))
    return table.write(jobs)


@dataclass(slots=True)
class _Table:
    """What is finished so far."""

    grid: Grid
    significance: Significance
    results: dict[tuple[Path, EvidenceOf], Scored] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def take(self, job: Job) -> bool:
        """Take the tests of a run, if it has all of them."""
        found = {shown: result_of(job, shown) for shown in job.shown}
        for shown, result in found.items():
            if result is not None:
                self.results[job.run, shown] = result
        return None not in found.values()

    def take_or_tell(self, job: Job) -> Failure | None:
        """Take the tests of a run that has just ended, or return why they cannot be taken."""
        try:
            there = self.take(job)
        except RamieError as error:
            return Failure(job.name, str(error), None)
        return None if there else Failure(job.name, "it left no test", job.run / LOG)

    def f1(self, job: Job) -> str:
        """Return what people are told of a run."""
        there = [(shown, self.results.get((job.run, shown))) for shown in job.shown]
        return ", ".join(
            f"{'' if shown == 'own' else f'evidence of {shown}: '}F1 {100 * one.micro.f1:.2f}"
            for shown, one in there
            if one is not None
        )

    def write(self, jobs: Sequence[Job]) -> Compared:
        """Write the table of what is there, in every form.

        Args:
            jobs: all that the grid asks for; a run without one of its tests is missing.
        """
        grid = self.grid
        by_system = self._by_system()
        rows = rows_of(grid.blocks, by_system, self.significance)
        runs = list(dict.fromkeys(run for run, _ in self.results))
        there = {key for found in by_system.values() for key in found}
        facts = facts_of(
            grid.recipe,
            [place for place in grid.places if place.name in {world for world, _ in there}],
            runs,
            split=grid.split,
            seeds=[seed for seed in grid.seeds if seed in {found for _, found in there}],
            missing=sum(
                any((job.run, shown) not in self.results for shown in job.shown) for job in jobs
            ),
        )
        done = Compared(tuple(rows), facts, tuple(self.failures), grid.out)
        result = {"recipe": grid.recipe.model_dump(mode="json"), **done.to_json()}
        write_atomically(grid.out / "compare.json", json.dumps(result, indent=1).encode())
        write_atomically(grid.out / "compare.md", (done.table() + "\n").encode())
        write_atomically(grid.out / "compare.csv", csv_text(rows, facts).encode())
        write_atomically(grid.out / "compare.tex", latex(rows, facts).encode())
        return done

    def _by_system(self) -> Mapping[System, Runs]:
        grid = self.grid
        return {
            system: {
                (place.name, seed): self.results[run, system.shown]
                for place in grid.places
                for seed in grid.seeds
                if (run := place.runs / system.run_name(seed), system.shown) in self.results
            }
            for system in systems_in(grid.blocks)
        }


class _Clock:
    """Says after each run how long the rest will take."""

    def __init__(self, total: int, say: Say) -> None:
        self.total, self.say = total, say
        self.ended, self.began = 0, time.monotonic()

    def tell(self, job: Job, failure: Failure | None, f1: str) -> None:
        self.ended += 1
        minutes = (time.monotonic() - self.began) / 60
        left = minutes / self.ended * (self.total - self.ended)
        what = f1 if failure is None else f"FAILED: {failure}"
        rest = f"; about {left:.0f} min left" if self.ended < self.total else ""
        self.say(f"[{self.ended}/{self.total}] {job.name}: {what}{rest}")


def _nothing(failures: Sequence[Failure], out: Path) -> str:
    if not failures:
        return f"no run in {out} is finished. Call it without --finished to train."
    return f"every run failed; the first, {failures[0].name}: {failures[0]}"
