"""What a build did, and what the store holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import JsonValue

from cache.records import FeatureSet
from retrieval.asking.estimate import Questions
from retrieval.building.cases import Unfinished
from retrieval.datasets import Dataset

# Of a build, in the order in which a post goes through them; then what is no stage.
STAGES: Final = (
    "decode",
    "detect",
    "embed",
    "ask",
    "fetch",
    "curate",
    "write",
    "features",
    "waiting",
)
Action = Literal["built", "resumed", "refreshed", "recurated", "features added", "nothing to do"]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What one run of the builder did.

    Attributes:
        action: what kind of run it was.
        counters: of the whole store, as its manifest has them.
        num_written: shards written in this run.
        num_observed: posts that the models looked at in this run.
        num_arrays: arrays that were made in this run, by feature set.
        asked: distinct questions that providers answered in this run.
        answered_from_recordings: distinct questions that an earlier answer served.
        unavailable: questions that a provider could not answer, or that nobody asked.
        blocked: of these, questions that a live provider blocked or otherwise failed at.
        outdated: of these, questions whose older answer was kept.
        missing: questions that were not asked because nobody was to be, by provider.
        fetches: pages and images ``fetched``, ``failed`` (for good, and recorded so) and
            ``unavailable`` (without a recording) in this run; empty where nothing is fetched.
        estimate: what was to be asked, as it was known when the build began.
        unfinished: posts without a row in the store; the next run tries again.
        photo_problems: unusable photos met in this run, by reason.
        seconds: wall time by stage, in the order of `STAGES`. Stages overlap, so the sum may be
            more than the wall time. ``waiting`` is when this process neither detected, embedded,
            curated nor wrote: it began, or photos, answers or other machines held it up.
        forward_seconds: wall time inside forward passes of detector and encoder, the limit of a
            build; of all processes together.
        wall_seconds: of the whole run.
    """

    action: Action
    counters: Mapping[str, JsonValue]
    num_written: int = 0
    num_observed: int = 0
    num_arrays: Mapping[FeatureSet, int] = field(default_factory=dict)
    asked: int = 0
    answered_from_recordings: int = 0
    unavailable: int = 0
    blocked: int = 0
    outdated: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)
    fetches: Mapping[str, int] = field(default_factory=dict)
    estimate: tuple[Questions, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    photo_problems: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    forward_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def shares(self) -> dict[str, float]:
        """Return `seconds`, and those in ``forward passes``, as shares of the wall time."""
        if not self.seconds or not self.wall_seconds:
            return {}
        seconds = {**self.seconds, "forward passes": self.forward_seconds}
        return {name: value / self.wall_seconds for name, value in seconds.items()}

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as JSON."""
        return {
            "action": self.action,
            "counters": dict(self.counters),
            "num_written": self.num_written,
            "num_observed": self.num_observed,
            "num_arrays": {str(name): number for name, number in self.num_arrays.items()},
            "asked": self.asked,
            "answered_from_recordings": self.answered_from_recordings,
            "unavailable": self.unavailable,
            "blocked": self.blocked,
            "outdated": self.outdated,
            "missing": dict(self.missing),
            "fetches": dict(self.fetches),
            "estimate": [questions.as_json() for questions in self.estimate],
            "unfinished": {one.example_id: one.reason for one in self.unfinished},
            "photo_problems": dict(self.photo_problems),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "shares": {name: round(value, 4) for name, value in self.shares.items()},
            "forward_seconds": round(self.forward_seconds, 3),
            "wall_seconds": round(self.wall_seconds, 3),
        }


def dataset_counters(dataset: Dataset) -> dict[str, JsonValue]:
    """Return how often each oddity occurred in the data set, as a manifest keeps it."""
    return {f"data set: {problem.kind}": problem.count for problem in dataset.problems}
