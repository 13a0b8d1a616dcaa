"""Can labels be told from numbers about the evidence? Probes, cross-validated, with intervals.

Each field is given to two probes: a look-up (the value's bucket names the commonest label) and a
linear model that also sees what is known beside it. What counts is how often a probe is right
beyond the better of two innocent ones: always the commonest label, and the linear model of what is
known beside the field alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from cache.records import Example
from model.scoring.metrics import find_none_label
from pipelines.audit.models import (
    Codes,
    Commonest,
    Linear,
    LookUp,
    Model,
    Right,
    class_numbers,
    paired_gain,
    split_folds,
)

# Ends the names of the fields that are made of all others.
TOGETHER: Final = "together"
_CONFIDENCE: Final = 0.95
_NUMBER_CAP: Final = 3


@dataclass(frozen=True, slots=True)
class Folding:
    """How to cross-validate.

    Attributes:
        groups: of each post; posts of one group stay in one fold.
        folds: how many, at least 2.
        seed: which.
    """

    groups: Sequence[Hashable]
    folds: int
    seed: int


@dataclass(frozen=True, slots=True)
class Target:
    """Something that annotations say of posts.

    Attributes:
        name: for people.
        labels: by place of the post among all; posts that nobody annotated are missing.
    """

    name: str
    labels: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Field:
    """Numbers about the evidence of each post.

    Attributes:
        name: for people.
        columns: their names.
        codes: buckets, posts x columns.
        beside: what may be known without them: a key of the innocent columns.
    """

    name: str
    columns: Sequence[str]
    codes: Codes
    beside: str


@dataclass(frozen=True, slots=True)
class Finding:
    """How well one probe tells one target from one field.

    Attributes:
        target: what was told.
        field: from what.
        probe: ``look-up`` or ``linear``.
        column: the column that the look-up used most often; empty for the linear model.
        beside: what could be known without the field.
        posts: annotated posts.
        majority: accuracy of the commonest label.
        known: accuracy of the better innocent probe.
        accuracy: of this probe.
        gain: ``accuracy - known``.
        low: lower end of the interval of ``gain``.
        high: upper end. All intervals of an audit hold at once with 95 % confidence.
    """

    target: str
    field: str
    probe: str
    column: str
    beside: str
    posts: int
    majority: float
    known: float
    accuracy: float
    gain: float
    low: float
    high: float


def targets_of(examples: Sequence[Example]) -> list[Target]:
    """Return what the annotations of ``examples`` say, each as one label per post."""
    relations = {n: e.relation for n, e in enumerate(examples) if e.relation is not None}
    entities = {n: e.entities for n, e in enumerate(examples) if e.entities is not None}
    none = find_none_label(relations.values())
    targets = [
        Target("relation", relations),
        Target("relation or none", {n: str(r != none) for n, r in relations.items()}),
        Target("an entity or none", {n: str(bool(e)) for n, e in entities.items()}),
        Target(
            "number of entities", {n: str(min(len(e), _NUMBER_CAP)) for n, e in entities.items()}
        ),
        Target(
            "set of entity types",
            {n: "+".join(sorted({s.label for s in e})) for n, e in entities.items()},
        ),
    ]
    return [target for target in targets if len(set(target.labels.values())) > 1]


def probe_fields(
    targets: Sequence[Target],
    fields: Sequence[Field],
    innocent: Mapping[str, Codes],
    folding: Folding,
    say: Callable[[str], object] = lambda what: None,
) -> list[Finding]:
    """Return a finding per target, field and probe; fields that never differ are passed over.

    Args:
        targets: what to tell.
        fields: from what.
        innocent: buckets of what may be known (posts x columns), by `Field.beside`.
        folding: how to cross-validate.
        say: is told of every step that was done.
    """
    differing = [field for field in fields if field.columns]
    for beside in innocent:
        several = [field for field in differing if field.beside == beside]
        if len(several) > 1:
            differing.append(_together(beside, several))
    num_tests = 2 * len(differing) * len(targets)
    z = NormalDist().inv_cdf(1 - (1 - _CONFIDENCE) / 2 / max(1, num_tests))
    findings: list[Finding] = []
    for target in targets:
        trial = _Trial(target, innocent, folding)
        for field in differing:
            findings += trial.findings(field, z)
            say(f"{target.name}: {field.name}")
    return findings


def _together(beside: str, fields: Sequence[Field]) -> Field:
    columns = [f"{field.name}: {column}" for field in fields for column in field.columns]
    codes = np.concatenate([field.codes for field in fields], axis=1)
    return Field(f"all beside {beside} {TOGETHER}", columns, codes, beside)


class _Trial:
    """The folds of one target, and how often the innocent probes are right."""

    def __init__(self, target: Target, innocent: Mapping[str, Codes], folding: Folding) -> None:
        self.name = target.name
        self.rows = np.array(sorted(target.labels), dtype=np.int64)
        self.labels = class_numbers([target.labels[row] for row in self.rows.tolist()])
        numbers: dict[Hashable, int] = {}
        groups = (folding.groups[row] for row in self.rows.tolist())
        self.groups = np.array([numbers.setdefault(one, len(numbers)) for one in groups])
        self.folds = split_folds(self.labels, self.groups, folding.folds, folding.seed)
        self.innocent = {beside: codes[self.rows] for beside, codes in innocent.items()}
        majority = self._right(Commonest())
        self.majority = float(majority.mean())
        self.known: dict[str, Right] = {}
        for beside, codes in self.innocent.items():
            right = self._right(Linear(codes))
            self.known[beside] = right if right.mean() > majority.mean() else majority

    def findings(self, field: Field, z: float) -> list[Finding]:
        """Return the findings of both probes about one field."""
        codes = field.codes[self.rows]
        look_up = LookUp(codes)
        linear = Linear(np.concatenate([self.innocent[field.beside], codes], axis=1))
        by_value, by_sum = self._right(look_up), self._right(linear)
        column = field.columns[look_up.favourite]
        return [
            self._finding(field, "look-up", column, by_value, z),
            self._finding(field, "linear", "", by_sum, z),
        ]

    def _finding(self, field: Field, probe: str, column: str, right: Right, z: float) -> Finding:
        known = self.known[field.beside]
        gain, error = paired_gain(right, known, self.groups, len(self.folds))
        return Finding(
            target=self.name,
            field=field.name,
            probe=probe,
            column=column,
            beside=field.beside,
            posts=len(self.rows),
            majority=self.majority,
            known=float(known.mean()),
            accuracy=float(right.mean()),
            gain=gain,
            low=gain - z * error,
            high=gain + z * error,
        )

    def _right(self, probe: Model) -> Right:
        """Return where a probe is right on posts that it has not seen."""
        right = np.zeros(len(self.labels), dtype=np.bool_)
        for train, test in self.folds:
            right[test] = probe(train, self.labels[train], test) == self.labels[test]
        return right
