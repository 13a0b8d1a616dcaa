"""Promises of the simulation: it keeps the time that the real code keeps, for the same luck."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence

import pytest
from live_helpers import LivePlayer, question
from polite_helpers import FakeClock, ScriptedClient, answer

from cache.errors import ProviderUnavailable
from cache.records import Query
from pipelines.planning.events import Loop, Machine, Process, Signal, Worker
from pipelines.planning.line import Costs, Machines, SimulatedLine
from pipelines.planning.lines import DrawnLine, Provider
from retrieval.asking.live import Budget, LiveLine
from retrieval.http.base import Request, Response, judge_status
from retrieval.http.polite import PoliteSender
from retrieval.settings import PoliteSettings

POLITE = PoliteSettings(seconds_between=0.5, first_pause_s=2, attempts=4, rest_s=50)


def test_jobs_share_cores_and_none_gets_more_than_it_can_use() -> None:
    loop, ends = Loop(), {}
    machine = Machine(loop, 2)

    def job(name: str, after: float, seconds: float, cores: float) -> Process:
        yield loop.sleep(after)
        yield machine.work(seconds, cores)
        ends[name] = loop.now

    loop.start(job("wide", 0.0, 3.0, 2))
    loop.start(job("narrow", 1.0, 1.0, 1))
    loop.run()

    # From 1 s on three cores are wanted and two are there, so both go at two thirds: "narrow"
    # takes 1.5 s, in which "wide" does 1 s of the 2 s that it has left.
    assert ends == {"narrow": pytest.approx(2.5), "wide": pytest.approx(3.5)}
    assert machine.busy_core_s == pytest.approx(3 * 2 + 1)


def test_work_ends_also_when_the_clock_has_run_for_years() -> None:
    """Then the next number of seconds after now is further away than what rounding left over."""
    loop = Loop()
    machine = Machine(loop, 3)
    ended = []

    def work(number: int) -> Process:
        yield loop.sleep(6e7 + number / 7)
        for _ in range(200):
            yield machine.work(0.1 / 3, 0.7)
        ended.append(number)

    for number in range(7):
        loop.start(work(number))
    # A job that never ends would plan its end again and again, at the same time.
    while loop._planned and loop.num_events < 20_000:
        loop.now, _, action = heapq.heappop(loop._planned)
        loop.num_events += 1
        action()
    assert sorted(ended) == list(range(7))


def test_a_worker_does_one_job_after_the_other_and_each_when_it_can() -> None:
    loop, ends = Loop(), []
    worker, late = Worker(loop), Signal()

    def job(awaited: Signal | None, seconds: float) -> Process:
        if awaited is not None:
            yield awaited
        yield loop.sleep(seconds)
        ends.append(loop.now)

    worker.submit(job(late, 1.0))
    worker.submit(job(None, 1.0))
    loop.at(5.0, late.fire)
    loop.run()

    assert ends == [6.0, 7.0]


class Sent(LivePlayer):
    """A live provider that is asked through a real polite sender, of a server with bad days."""

    def __init__(self, failing: float, seed: int, takes_s: float, retry_after: str) -> None:
        super().__init__()
        self.clock = FakeClock()
        rng = random.Random(seed)
        bad = answer(503, retry_after=retry_after) if retry_after else answer(503)

        def luck() -> Response:
            return bad if rng.random() < failing else answer()

        self.client = ScriptedClient(self.clock, [luck], takes_s=takes_s)
        self._sender = PoliteSender(self.client, POLITE, "web", clock=self.clock, seed=seed)

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Send a request for each."""
        answers: list[bytes | ProviderUnavailable] = []
        for _ in queries:
            try:
                self._sender.send(Request("https://host.example/"), judge_status)
                answers.append(b'["found"]')
            except ProviderUnavailable as problem:
                answers.append(problem)
        return answers


def really(questions: int, provider: Sent) -> tuple[float, int, int]:
    """Return seconds, requests and unanswered questions of the real code."""
    clock, unanswered = provider.clock, 0
    line = LiveLine(provider, 3, POLITE, Budget(None, None, clock), clock, patient=True)
    for number in range(questions):
        try:
            line.answer(question(f"q{number}"))
        except ProviderUnavailable:
            unanswered += 1
    return clock.now(), len(provider.client.starts), unanswered


def drawn(questions: int, provider: Provider, seed: int) -> tuple[float, int, int]:
    """Return the same of the simulation, asked in two goes."""
    line = DrawnLine(provider, POLITE, seed)
    end = line.answer(questions // 3, 0.0)
    end = line.answer(questions - questions // 3, end)
    return end, line.requests, line.unanswered


@pytest.mark.parametrize("takes_s", [0.1, 0.9])
def test_without_failures_it_is_the_real_time_to_the_last_answer(takes_s: float) -> None:
    real = really(50, Sent(0.0, 0, takes_s, ""))

    ours = drawn(50, Provider("web", "h", takes_s), 0)
    assert ours[0] == pytest.approx(real[0])
    assert ours[1:] == (50, 0)


@pytest.mark.parametrize(("failing", "hold"), [(0.2, ""), (0.2, "3"), (0.5, "")])
def test_with_failures_it_is_the_real_time_on_average(failing: float, hold: str) -> None:
    questions, seeds = 100, range(20)
    real = [really(questions, Sent(failing, seed, 0.1, hold)) for seed in seeds]
    provider = Provider("web", "h", 0.1, failing, float(hold or 0))
    ours = [drawn(questions, provider, seed) for seed in seeds]

    for kind in (0, 1):
        wanted, got = (sum(one[kind] for one in runs) for runs in (real, ours))
        assert got == pytest.approx(wanted, rel=0.08)
    # Four tries: one in 625 questions, or one in 16, is given up.
    assert sum(one[2] for one in ours) == pytest.approx(
        sum(one[2] for one in real), rel=0.3, abs=5
    )


def test_who_always_fails_is_left_alone_as_often_and_as_long_as_really() -> None:
    real = really(30, Sent(1.0, 0, 0.1, ""))
    ours = drawn(30, Provider("web", "h", 0.1, 1.0), 0)

    # Five failures, a rest, the failing trial; the second rest is not waited for.
    assert (ours[1], ours[2]) == (real[1], real[2]) == (4 * 6, 30)
    assert ours[0] == pytest.approx(real[0], rel=0.3)


def seconds(posts: int, workers: int = 1, **costs: float) -> float:
    """Return the seconds of a build on two cores in which all else costs nothing."""
    whole = Costs(**{"look_s": 0.0, "ask_s": 0.0, "embed_s": 0.0, "finish_s": 0.0} | costs)
    machines = Machines(cores=2, workers=workers)
    return SimulatedLine(whole, machines, [], lambda name, asked: 0).run(posts).seconds


def test_stages_overlap_as_far_as_cores_allow() -> None:
    posts = 64 * 50
    # Looking wants both cores, finishing one: nothing is won by doing both at a time but the
    # core that looking leaves at the very end.
    both = seconds(posts, look_s=0.010, finish_s=0.006)
    assert both == pytest.approx(posts * (0.010 + 0.006 / 2), rel=0.02)
    # Waiting takes no core.
    assert seconds(posts, look_s=0.010, fetch_s=0.009) == pytest.approx(posts * 0.010, rel=0.03)
    assert seconds(posts, look_s=0.010, fetch_s=0.020) == pytest.approx(posts * 0.020, rel=0.03)


def test_what_holds_pythons_lock_does_not_overlap() -> None:
    posts = 64 * 50
    together = seconds(posts, ask_s=0.003, finish_s=0.002)
    assert together == pytest.approx(posts * 0.005, rel=0.02)


def test_workers_share_the_looking_and_nothing_else() -> None:
    posts = 64 * 60
    assert seconds(posts, 3, look_s=0.030) == pytest.approx(posts * 0.010, rel=0.05)
    # The first batch is looked at before anything can be written.
    assert seconds(posts, 30, look_s=0.030, finish_s=0.004) == pytest.approx(
        posts * 0.004 + 64 * 0.030, rel=0.02
    )


def test_machines_do_not_make_a_provider_answer_faster() -> None:
    posts = 64 * 20

    def run(workers: int) -> float:
        line = DrawnLine(Provider("web", "h", 0.1), POLITE, 0)
        costs = Costs(look_s=0.05, ask_s=0.0, embed_s=0.0, finish_s=0.0)
        machines = Machines(cores=2, workers=workers)
        return SimulatedLine(costs, machines, [line], lambda name, asked: asked).run(posts).seconds

    alone = run(1)
    assert alone == pytest.approx(posts * POLITE.seconds_between, rel=0.02)
    assert run(16) == pytest.approx(alone, rel=0.02)


def test_providers_at_one_host_share_its_pace() -> None:
    def run(*hosts: str) -> float:
        lines = [
            DrawnLine(Provider(str(number), host, 0.1), POLITE, number)
            for number, host in enumerate(hosts)
        ]
        costs = Costs(look_s=0.0, ask_s=0.0, embed_s=0.0, finish_s=0.0)
        machines = Machines(cores=2)
        return SimulatedLine(costs, machines, lines, lambda name, asked: asked).run(640).seconds

    assert run("a", "b") == pytest.approx(run("a"), rel=0.01)
    assert run("a", "a") == pytest.approx(2 * run("a"), rel=0.02)
