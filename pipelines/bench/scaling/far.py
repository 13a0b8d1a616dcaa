"""A build of millions of posts that asks rate-limited providers, simulated."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from tqdm import tqdm

from pipelines.bench.figures import Figure
from pipelines.planning.line import Costs, Machines, Simulated, SimulatedLine
from pipelines.planning.lines import DrawnLine, Provider
from retrieval.settings import PoliteSettings

_DAY_S: Final = 86_400.0
_CORES: Final = 8


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of provider, as it might be met; an assumption, not a measurement.

    Attributes:
        what: in words.
        seconds_between: two requests.
        latency_s: of an answer.
        failing: share of the requests.
        questions: of a post, on average, after each distinct one was counted once.
    """

    what: str
    seconds_between: float
    latency_s: float
    failing: float
    questions: float


SERVICES: Final = (
    Service("a free web search (2.5 s between requests)", 2.5, 1.0, 0.05, 2.0),
    Service("an own SearXNG (10 requests a second)", 0.1, 0.08, 0.02, 2.0),
    Service("a paid API (30 requests a second)", 1 / 30, 0.03, 0.01, 2.0),
)
_MACHINES: Final = (1, 4, 16, 64)
# Seconds to look at a post: with a photo and full-size models.
_LOOKS: Final = (("on CPUs", 0.2), ("on GPUs", 0.01))


def bench_far(posts: int, finish_s: float, ask_s: float, seed: int) -> list[Figure]:
    """Return the days that ``posts`` posts take, by service and number of machines.

    Args:
        posts: how many.
        finish_s: core seconds of curating and writing a post, measured.
        ask_s: core seconds of reading a post's answers, measured.
        seed: of the failures.
    """
    figures = []
    for where, look_s, machines, service in tqdm(_builds(), "builds simulated", disable=None):
        costs = Costs(look_s=look_s, ask_s=ask_s, embed_s=0.0, finish_s=finish_s)
        done = run(costs, posts, machines, service, seed)
        what = f"{posts:,} posts looked at {where}, files at hand, {machines} machines: days"
        if service is not None:
            what = f"  {service.what}, {machines} machines: days"
        figures.append(Figure(what, done.seconds / _DAY_S))
    return [*figures, *_speed(posts, seed)]


def _builds() -> list[tuple[str, float, int, Service | None]]:
    """Return where is looked, seconds to look at a post, machines, and who is asked."""
    return [
        (where, look_s, machines, service)
        for where, look_s in _LOOKS
        for service in (None, *SERVICES)
        for machines in (_MACHINES if service is None else (_MACHINES[0], _MACHINES[-1]))
    ]


def run(costs: Costs, posts: int, machines: int, service: Service | None, seed: int) -> Simulated:
    """Return what a build takes that asks ``service``, or nobody but files at hand."""
    lines = []
    if service is not None:
        polite = PoliteSettings(seconds_between=service.seconds_between)
        provider = Provider("service", "host", service.latency_s, service.failing)
        lines = [DrawnLine(provider, polite, seed)]
    per_post = 0.0 if service is None else service.questions
    simulated = SimulatedLine(
        costs,
        Machines(cores=_CORES, workers=machines),
        lines,
        lambda _, so_far: round(per_post * so_far),
    )
    return simulated.run(posts)


def _speed(posts: int, seed: int) -> list[Figure]:
    costs = Costs(look_s=0.01, ask_s=0.001, embed_s=0.0, finish_s=0.002)
    started = time.perf_counter()
    done = run(costs, posts, 16, SERVICES[1], seed)
    seconds = time.perf_counter() - started
    return [
        Figure(f"one of these simulations of {posts:,} posts: seconds", seconds),
        Figure("  events in it", done.events),
    ]
