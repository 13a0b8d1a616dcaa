"""Killed at any moment, and gone on with: the store must be that of a build left in peace."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipelines.options import note
from pipelines.soak.moments import PHASES
from pipelines.soak.outcome import add_options, conclude, working_folder
from pipelines.soak.stories import Story, look, stories
from pipelines.soak.watched import Watched

HELP = "kill a build (SIGKILL) at random moments, let it go on, and compare"
_MOST_IN_A_ROW: Final = 4
# After a change that a kill waits for: so long, at most, until the kill.
_LONGEST_DELAY_S: Final = 0.002


@dataclass(slots=True, eq=False)
class Kills:
    """What happened.

    Attributes:
        hits: kills that hit a running build, by what it had changed last.
        by_clock: those of them at a moment that the clock chose; the others waited for a change.
        runs: of the build, killed or not.
        stores: that were built to their end and compared, by story.
        problems: whatever was not as it must be.
    """

    hits: Counter[str] = field(default_factory=Counter)
    by_clock: int = 0
    runs: int = 0
    stores: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "kills": self.hits.total(),
            "kills after phase": {phase: self.hits[phase] for phase in PHASES},
            "kills by the clock": self.by_clock,
            "runs": self.runs,
            "stores compared": dict(sorted(self.stores.items())),
            "problems": self.problems,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the soak takes."""
    parser.add_argument("--times", type=int, default=200, help="kills (default: %(default)s)")
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Kill, and print what came of it; 1 where something was not as it must be."""
    with working_folder(options.work) as folder:
        kills = soak(folder, options.times, options.seed, note)
    return conclude(kills.as_json(), options.json)


def soak(folder: Path, times: int, seed: int, say: Callable[[str], None]) -> Kills:
    """Kill builds below ``folder`` until ``times`` kills hit; every store is built to its end.

    Args:
        folder: empty.
        times: kills that hit a build while it ran.
        seed: of the moments.
        say: told now and then how far it is.

    Raises:
        InputError: a step of the soak itself failed.
    """
    rng, kills = random.Random(seed), Kills()
    with stories(folder) as told:
        while kills.hits.total() < times:
            story = told[kills.stores.total() % len(told)]
            most = min(rng.randint(1, _MOST_IN_A_ROW), times - kills.hits.total())
            _torment(story, folder / "store", most, rng, kills)
            say(f"{kills.hits.total()} of {times} kills, {len(kills.problems)} problems")
    return kills


def killed(story: Story, store: Path, log: Path, rng: random.Random) -> Watched:
    """Return a run of a story that was killed at a random moment, or ended before it came."""
    child = Watched(story.order, store, log)
    if rng.random() < 0.5:
        child.kill_after(rng.uniform(0, story.seconds))
    else:
        phase = rng.choice(sorted(story.changes))
        nth = rng.randint(1, story.changes[phase])
        child.kill_at(phase, nth, rng.choice((0, rng.uniform(0, _LONGEST_DELAY_S))))
    return child


def _torment(story: Story, store: Path, most: int, rng: random.Random, kills: Kills) -> None:
    """Build ``store`` with at most so many kills in a row, and compare it at its end."""
    log = story.begin(store)
    before = look(store, log).answers
    for _ in range(most):
        child = killed(story, store, log, rng)
        kills.runs += 1
        if child.code >= 0:
            break
        kills.hits[child.phase] += 1
        kills.by_clock += child.by_clock
        seen = look(store, log)
        problems = [
            f"recording {key} is lost"
            for key, old in before.items()
            if seen.answers.get(key) not in (old, story.end.answers.get(key))
        ]
        where = f"{story.name}, killed after {child.phase}"
        kills.problems += [f"{where}: {problem}" for problem in [*seen.problems, *problems]]
        before = seen.answers
    kills.runs += 1
    kills.stores[story.name] += 1
    kills.problems += story.finish(store, log)
