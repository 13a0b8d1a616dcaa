"""How long a build takes: what comes before, after, and in the stages that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pipelines.planning.line import Costs, Machines, Simulated, SimulatedLine
from pipelines.planning.lines import DrawnLine, Provider
from pipelines.planning.rates import Rates
from retrieval.asking.estimate import Questions
from retrieval.settings import AskSettings

IN_TURN: Final = ("starting", "reading", "before", "line", "after")
"""The parts of a build that do not overlap."""
# Nobody is asked how fast they answer; most search APIs take less.
LATENCY_S: Final = 1.0
FETCH_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done.

    Attributes:
        posts: that are built.
        workers: machines that look at them.
        compared: posts that evidence is compared with; they are looked at before all others.
        fetches: pages and images that may be fetched.
    """

    posts: int
    workers: int = 1
    compared: int = 0
    fetches: int = 0


def parts_of(
    rates: Rates, ask: AskSettings, questions: Sequence[Questions], work: Work
) -> dict[str, float]:
    """Return the seconds of each part, and of each stage if it were alone."""
    stages = rates.stages
    one = stages["look"] / work.workers + stages["ask"] + stages["embed"] + rates.comparing_s
    pace = ask.polite.seconds_between
    return {
        "starting": rates.starting_s,
        "reading": rates.reading_s * work.posts,
        "before": one * work.compared + stages["guarding"] * work.posts,
        "line": simulate(rates, ask, questions, work).seconds,
        "after": rates.closing_s + (stages["closing"] + stages["features"]) * work.posts,
        "look": stages["look"] * work.posts / work.workers,
        "ask files": stages["ask"] * work.posts,
        "embed": stages["embed"] * work.posts,
        "curate": stages["curate"] * work.posts,
        "write": stages["write"] * work.posts,
        **{
            f"ask {one.provider}": one.requests * max(pace, LATENCY_S)
            for one in questions
            if one.live
        },
    }


def simulate(
    rates: Rates, ask: AskSettings, questions: Sequence[Questions], work: Work
) -> Simulated:
    """Return what the overlapping stages take; see `pipelines.planning.line`."""
    live = {one.provider: one for one in questions if one.live and one.requests}
    lines = [
        DrawnLine(Provider(name, host_of(ask, name), LATENCY_S), ask.polite, index)
        for index, name in enumerate(live)
    ]
    stages, fresh = rates.stages, 1 - work.compared / work.posts
    costs = Costs(
        look_s=stages["look"] * fresh,
        ask_s=stages["ask"],
        embed_s=stages["embed"] * fresh,
        finish_s=stages["curate"] + stages["write"],
        fetch_s=work.fetches * FETCH_S / ask.fetch.together / work.posts,
    )

    def so_far(name: str, asked_posts: int) -> int:
        return round(live[name].requests * asked_posts / work.posts)

    machines = Machines(cores=rates.cores, workers=work.workers)
    return SimulatedLine(costs, machines, lines, so_far).run(work.posts)


def host_of(ask: AskSettings, provider: str) -> str:
    """Return the host that a live provider asks, or its name where the library decides."""
    places = {
        "wikipedia": ask.wikipedia.endpoint,
        "searxng": ask.searxng.address,
        "vision": ask.vision.endpoint,
        "qdrant": ask.qdrant.address,
    }
    return urlsplit(places.get(provider, "")).hostname or provider
