"""Systems side by side: the same store, encoder and splits, several seeds, and significance.

Runs that are finished are taken as they are, unfinished ones go on, so a comparison can be
stopped and called again, and its runs can be trained by other processes beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from cache.errors import InputError
from model.evaluation import Evaluation, evaluate
from model.metrics import Counts, EntityScores
from model.order import EvidenceOf
from model.run import write_atomically
from model.significance import Comparison, paired_bootstrap
from model.training import train
from pipelines.config import Recipe
from pipelines.runs import write_recipe
from pipelines.tasks import model_task


@dataclass(frozen=True, slots=True)
class System:
    """One row of the table.

    Attributes:
        fusion: name of the system.
        trained_on: whose evidence it was shown in training.
        shown: whose evidence it is shown at the test.
    """

    fusion: str
    trained_on: EvidenceOf = "own"
    shown: EvidenceOf = "own"

    @property
    def name(self) -> str:
        """Return what the table calls it."""
        if self.trained_on == "others":
            return f"{self.fusion}, trained and tested on the evidence of other posts"
        if self.shown != "own":
            return f"{self.fusion}, shown the evidence of {self.shown} at the test"
        return self.fusion

    def run_name(self, seed: int) -> str:
        """Return the name of its run folder."""
        suffix = "" if self.trained_on == "own" else f"-{self.trained_on}"
        return f"{self.fusion}{suffix}-seed{seed}"


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A system's scores over the seeds, and its difference to the first row."""

    system: System
    evaluations: tuple[Evaluation, ...]
    against_first: Comparison | None

    @property
    def f1(self) -> list[float]:
        """Return micro F1 per seed, in percent: what papers print (entities lenient)."""
        return [100 * _micro(evaluation).f1 for evaluation in self.evaluations]

    def to_json(self) -> dict[str, object]:
        """Return the row with every run's scores."""
        return {
            "system": self.system.name,
            "f1": self.f1,
            "f1_mean": mean(self.f1),
            "f1_stdev": stdev(self.f1) if len(self.f1) > 1 else 0.0,
            "against_first": None if self.against_first is None else self.against_first.to_json(),
            "runs": [evaluation.to_json() for evaluation in self.evaluations],
        }


def systems_of(fusions: Iterable[str], controls: bool) -> list[System]:
    """Return the rows of a table; ``controls`` adds two for each system that reads evidence."""
    rows: list[System] = []
    for fusion in fusions:
        rows.append(System(fusion))
        if controls and fusion != "text_only":
            rows += [System(fusion, "own", "others"), System(fusion, "others", "others")]
    return rows


def compare(
    recipe: Recipe,
    store: Path,
    out: Path,
    *,
    systems: Sequence[System],
    seeds: Sequence[int],
    say: Callable[[str], None],
    split: str = "test",
) -> list[Row]:
    """Train what is missing, evaluate all, and write ``out``/compare.json and compare.md.

    Args:
        recipe: every setting but the fusion, the seed and whose evidence is shown.
        store: what is read.
        out: folder of the runs.
        systems: rows of the table; the first is what the others are compared with.
        seeds: a run of each.
        say: told of every run that is finished.
        split: what is scored.

    Raises:
        InputError: no system or seed, or one of them twice.
    """
    if (
        not systems
        or not seeds
        or len(set(seeds)) < len(seeds)
        or len(set(systems)) < len(systems)
    ):
        raise InputError("name each system and each seed to compare once, and at least one.")
    rows: list[Row] = []
    for system in systems:
        evaluations = []
        for seed in seeds:
            run = _trained(recipe, store, out, system, seed)
            evaluations.append(evaluate(run, store, split, system.shown, progress=True))
            say(f"{system.name}, seed {seed}: {split} F1 {100 * _micro(evaluations[-1]).f1:.2f}")
        against = (
            paired_bootstrap(_counts(evaluations), _counts(rows[0].evaluations)) if rows else None
        )
        rows.append(Row(system, tuple(evaluations), against))
        _write(rows, out, recipe, seeds, split)
    return rows


def _trained(recipe: Recipe, store: Path, out: Path, system: System, seed: int) -> Path:
    """Return the finished run of one system and seed."""
    model = recipe.model.model_copy(update={"fusion": system.fusion})
    settings = recipe.train.model_copy(update={"seed": seed, "evidence": system.trained_on})
    run = out / system.run_name(seed)
    train(store, model_task(recipe), model, settings, run, progress=True)
    write_recipe(run, recipe.model_copy(update={"model": model, "train": settings}), store)
    return run


def table(rows: Sequence[Row], seeds: Sequence[int], split: str) -> str:
    """Return a Markdown table: mean and spread of F1, and the difference to the first row."""
    first = rows[0].evaluations[0]
    lines = [
        f"| {split}, {len(first.example_ids)} posts, {_support(first)} annotated, "
        f"seeds {', '.join(map(str, seeds))} | F1 | P | R | difference to {rows[0].system.name} "
        "(95 % interval) | p |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        spread = f" ± {stdev(row.f1):.2f}" if len(row.f1) > 1 else ""
        precision = mean(100 * _micro(e).precision for e in row.evaluations)
        recall = mean(100 * _micro(e).recall for e in row.evaluations)
        versus = row.against_first
        difference = p_value = ""
        if versus is not None:
            interval = f"({100 * versus.low:+.2f}, {100 * versus.high:+.2f})"
            difference = f"{100 * versus.difference:+.2f} {interval}"
            p_value = f"{versus.p_two_sided:.4f}"
        lines.append(
            f"| {row.system.name} | {mean(row.f1):.2f}{spread} | {precision:.2f} | {recall:.2f} "
            f"| {difference} | {p_value} |"
        )
    return "\n".join(lines)


def _write(
    rows: Sequence[Row], out: Path, recipe: Recipe, seeds: Sequence[int], split: str
) -> None:
    result = {
        "recipe": recipe.model_dump(mode="json"),
        "split": split,
        "seeds": list(seeds),
        "rows": [row.to_json() for row in rows],
    }
    write_atomically(out / "compare.json", json.dumps(result, indent=1).encode())
    write_atomically(out / "compare.md", (table(rows, seeds, split) + "\n").encode())


def _micro(evaluation: Evaluation) -> Counts:
    scores = evaluation.scores
    return scores.lenient.micro if isinstance(scores, EntityScores) else scores.micro


def _support(evaluation: Evaluation) -> int:
    return int(evaluation.counts[:, [0, 2]].sum())


def _counts(evaluations: Sequence[Evaluation]) -> NDArray[np.int64]:
    return np.stack([evaluation.counts for evaluation in evaluations])
