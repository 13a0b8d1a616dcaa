"""Whether the simulation says what small real builds took: of files at hand, and of a slow server.

The server is the replay server of this repository; it is asked at a pace, and may fail. What a
request takes is measured in a build without pace or failures, of other posts; the other durations
by building a sample stage by stage.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from pipelines.bench.figures import Figure
from pipelines.bench.scaling.made_up import settings_of, write_posts
from pipelines.planning.durations import Work, parts_of
from pipelines.planning.line import Costs, Machines, SimulatedLine
from pipelines.planning.lines import DrawnLine, Provider
from pipelines.planning.rates import rates_of
from pipelines.planning.sample_build import SampleBuild, build_sample, part_of
from pipelines.replay.faults import Faults
from pipelines.replay.server import ReplayServer
from pipelines.sources import fetch_client, make_providers
from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.curation.leaks import LeakGuard
from retrieval.datasets import read_dataset
from retrieval.settings import (
    AskSettings,
    FetchSettings,
    PoliteSettings,
    SearxngSettings,
)
from retrieval.sight.observe import Observer

_CLOSE: Final = 0.15
_HITS: Final = 5
# Runs of the simulation with other luck; the middle one is told.
_RUNS: Final = 9


@dataclass(frozen=True, slots=True)
class _Case:
    """A build against the server.

    Attributes:
        what: in words.
        posts: that are built.
        polite: how it is asked.
        blocked: share of the requests that fail.
    """

    what: str
    posts: int
    polite: PoliteSettings
    blocked: float


def bench_agreement(folder: Path, kb: Path, posts: int, seed: int) -> list[Figure]:
    """Return simulated over measured wall time of some builds.

    Args:
        folder: for posts and stores.
        kb: knowledge base for the build of files at hand.
        posts: of the largest build against the server; of files at hand eight times as many.
        seed: of posts, faults and draws.
    """
    figures = _of_files(folder / "files", kb, 8 * posts, seed)
    quick = PoliteSettings(seconds_between=0, first_pause_s=0.2)
    paced = PoliteSettings(seconds_between=0.1, first_pause_s=0.2)
    cases = (
        _Case("paced", posts, paced, 0.0),
        _Case("paced, half as many", posts // 2, paced, 0.0),
        _Case("paced, one request in five blocked", posts, paced, 0.2),
        _Case("no pace, one request in five blocked", posts, quick, 0.2),
    )
    first = _Case("", posts // 2, quick, 0.0)
    calibration = _against_server(folder / "calibration", first, seed + 1)
    for number, case in enumerate(cases):
        report = _against_server(folder / f"server {number}", case, seed)
        simulated = _simulated(case, calibration, first.posts)
        figures += _compared(f"asking a server, {case.what}", simulated, report.wall_seconds)
    return figures


def _of_files(folder: Path, kb: Path, posts: int, seed: int) -> list[Figure]:
    write_posts(folder / "posts", posts, seed)
    settings = settings_of(folder / "posts", kb, _HITS)
    dataset = read_dataset(settings.dataset)
    observer = Observer(settings.observe)
    providers = make_providers(settings.ask, observer)

    def sample(name: str, size: int) -> SampleBuild:
        some = part_of(dataset, size)
        return build_sample(settings, folder / name, some, observer, providers)

    # The posts of the samples are a part of those that are built. One is built before and one
    # after, so that what else the machine does falls on the build and on them.
    few, before = sample("few", posts // 6), sample("before", posts // 2)
    began = time.perf_counter()
    LeakGuard(example.post for example in dataset.examples)
    guarding = (time.perf_counter() - began) / posts
    report = build_store(
        settings,
        folder / "store",
        dataset=dataset,
        observer=observer,
        providers=providers,
    )
    after = sample("after", posts // 2)
    for stage, seconds in after.seconds.items():
        before.seconds[stage] = (before.seconds[stage] + seconds) / 2
    compared = settings.curate.reference_posts
    rates = rates_of(few, before, guarding, compared)
    parts = parts_of(rates, settings.ask, (), Work(posts=posts, compared=compared))
    simulated = parts["before"] + parts["line"] + parts["after"]
    return _compared(f"{posts} posts, files at hand", simulated, report.wall_seconds)


def _against_server(folder: Path, case: _Case, seed: int) -> BuildReport:
    """Build the posts of a case against a server that is started for it."""
    write_posts(folder / "posts", case.posts, seed)
    with ReplayServer(Faults(seed=seed, blocked=case.blocked)) as server:
        host = server.address.rpartition("//")[2]
        ask = AskSettings(
            providers=("searxng",),
            hits_per_query=_HITS,
            searxng=SearxngSettings(address=server.address),
            fetch=FetchSettings(pages=False, seconds_between=0, allowed_hosts=(host,)),
            polite=case.polite,
        )
        settings = settings_of(folder / "posts", None, _HITS).model_copy(update={"ask": ask})
        observer = Observer(settings.observe)
        return build_store(
            settings,
            folder / "store",
            dataset=read_dataset(settings.dataset),
            observer=observer,
            providers=make_providers(ask, observer),
            fetch_client=fetch_client(ask),
        )


def _simulated(case: _Case, calibration: BuildReport, calibrated_posts: int) -> float:
    """Return the seconds of the middle one of several runs with other luck."""
    seconds = calibration.seconds
    latency = seconds["ask"] / calibration.asked
    # What a post takes beside the answers, and what is fetched: the server has a few images, and
    # each is fetched once.
    rest = (seconds.get("curate", 0.0) + seconds.get("write", 0.0)) / calibrated_posts
    costs = Costs(
        look_s=0.0,
        ask_s=0.0,
        embed_s=0.0,
        finish_s=rest,
        fetch_s=seconds.get("fetch", 0.0) / case.posts,
    )
    questions = calibration.asked / calibrated_posts
    machines = Machines(cores=len(os.sched_getaffinity(0)))
    runs = []
    for seed in range(_RUNS):
        provider = Provider("searxng", "host", latency, case.blocked)
        line = DrawnLine(provider, case.polite, seed)
        simulated = SimulatedLine(
            costs, machines, [line], lambda _, posts: round(questions * posts)
        )
        runs.append(simulated.run(case.posts).seconds)
    return median(runs)


def _compared(what: str, simulated: float, measured: float) -> list[Figure]:
    ratio = simulated / measured
    return [
        Figure(f"simulated over measured: {what}", ratio),
        Figure("  its distance from 1", abs(ratio - 1), _CLOSE, "below"),
        Figure("  measured, seconds", measured),
    ]
