"""Promises of retrieval.http.polite: hosts are asked slowly, and left alone when they say so."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from polite_helpers import START, FakeClock, ScriptedClient, answer

from cache.errors import ProviderUnavailable
from retrieval.http.base import NoAnswer, Refused, Request, Response, judge_status
from retrieval.http.pace import HostPace
from retrieval.http.polite import PoliteSender, retry_after
from retrieval.settings import PoliteSettings

REQUEST = Request("https://user:pw@host.example/find?q=x", headers={"X-Key": "se/cret"})


def sender(
    *script: Response | Exception, takes_s: float = 0.0, seed: int = 0, **settings: float
) -> tuple[PoliteSender, ScriptedClient, FakeClock]:
    """Return a sender over a scripted client, with the clock of both."""
    clock = FakeClock()
    client = ScriptedClient(clock, script, takes_s=takes_s)
    polite = PoliteSettings.model_validate(settings)
    return PoliteSender(client, polite, "web", clock=clock, seed=seed), client, clock


def test_requests_to_one_host_start_no_closer_than_the_pace() -> None:
    polite, client, _ = sender(answer(), takes_s=1.0, seconds_between=2.5)
    for _ in range(4):
        polite.send(REQUEST, judge_status)
    assert client.starts == [0.0, 2.5, 5.0, 7.5]


def test_a_slow_host_is_not_made_slower_still() -> None:
    polite, client, clock = sender(answer(), takes_s=4.0, seconds_between=2.5)
    for _ in range(3):
        polite.send(REQUEST, judge_status)
    assert client.starts == [0.0, 4.0, 8.0]
    assert clock.waits == []


def test_hosts_do_not_wait_for_each_other() -> None:
    polite, client, _ = sender(answer(), seconds_between=100)
    for name in "abc":
        polite.send(Request(f"https://{name}.example/"), judge_status)
    assert client.starts == [0.0, 0.0, 0.0]


def test_no_more_requests_are_under_way_at_one_host_than_allowed() -> None:
    pace = HostPace(0.0, 2, FakeClock())
    under_way, most, lock, two = 0, 0, threading.Lock(), threading.Event()

    def ask() -> None:
        nonlocal under_way, most
        with pace.turn("https://HOST.example/x"):
            with lock:
                under_way += 1
                most = max(most, under_way)
                if under_way == 2:
                    two.set()
            two.wait(60)
            time.sleep(0.01)  # for a third one, were it let in
            with lock:
                under_way -= 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


@pytest.mark.parametrize("status", [202, 403, 408, 425, 429, 500, 503])
def test_a_block_is_tried_again_until_it_answers(status: int) -> None:
    polite, client, _ = sender(answer(status), answer(status), answer(200, b"hits"))
    assert polite.send(REQUEST, judge_status).body == b"hits"
    assert len(client.starts) == 3


def test_no_answer_is_tried_again_and_ends_as_unavailable() -> None:
    polite, client, _ = sender(NoAnswer("timed out", reached=True), attempts=3)
    with pytest.raises(ProviderUnavailable, match=r"'web'.*timed out \(3 tries\).*later"):
        polite.send(REQUEST, judge_status)
    assert len(client.starts) == 3


def test_senders_that_ask_one_host_share_its_pace_and_hosts_do_not() -> None:
    clock = FakeClock()
    pace = HostPace(2.5, 1, clock)
    client = ScriptedClient(clock, [answer()])
    senders = [
        PoliteSender(client, PoliteSettings(), name, clock=clock, pace=pace) for name in "ab"
    ]
    for one in senders:
        one.send(REQUEST, judge_status)
    assert client.starts == [0.0, 2.5]
    senders[0].send(Request("https://other.example/"), judge_status)
    assert client.starts == [0.0, 2.5, 2.5]


def test_pauses_grow_are_random_and_are_repeatable_by_seed() -> None:
    def pauses(seed: int) -> list[float]:
        polite, _, clock = sender(
            answer(503), seed=seed, attempts=11, first_pause_s=2, seconds_between=0
        )
        with pytest.raises(ProviderUnavailable):
            polite.send(REQUEST, judge_status)
        return clock.waits

    many = [pauses(seed) for seed in range(200)]
    assert pauses(3) == pauses(3) != pauses(4)
    for place in range(10):
        column = [one[place] for one in many]
        bound = min(2 * 2**place, 300)
        assert 0 <= min(column) < 0.1 * bound
        assert 0.9 * bound < max(column) <= bound


def test_retry_after_holds_every_request_to_the_host_back() -> None:
    polite, client, _ = sender(
        answer(429, retry_after="40"), answer(), seconds_between=0, first_pause_s=0
    )
    polite.send(REQUEST, judge_status)
    assert client.starts == [0.0, 40.0]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        (format_datetime(datetime.fromtimestamp(START + 60, UTC), usegmt=True), 60.0),
        (format_datetime(datetime.fromtimestamp(START - 60, UTC), usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("9" * 5000, float("inf")),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(answer(429, retry_after=value), START) == seconds


@pytest.mark.parametrize("wait", ["301", "9" * 500, "Fri, 01 Jan 2038 00:00:00 GMT"])
def test_a_wait_that_is_too_long_is_a_block_now(wait: str) -> None:
    polite, client, clock = sender(answer(503, retry_after=wait), longest_wait_s=300)
    with pytest.raises(ProviderUnavailable, match=r"status 503.*left alone.*longest_wait_s=300"):
        polite.send(REQUEST, judge_status)
    assert (len(client.starts), clock.waits) == (1, [])


def test_the_longest_wait_itself_is_waited_for() -> None:
    polite, client, _ = sender(
        answer(503, retry_after="300"), answer(), longest_wait_s=300, first_pause_s=0
    )
    polite.send(REQUEST, judge_status)
    assert client.starts == [0.0, 300.0]


@pytest.mark.parametrize("last", [answer(404), Refused("type image/x-evil is not taken")])
def test_what_asking_again_would_not_change_is_asked_once(last: Response | Refused) -> None:
    polite, client, _ = sender(last)
    with pytest.raises(ProviderUnavailable, match=r"status 404|x-evil"):
        polite.send(REQUEST, judge_status)
    assert len(client.starts) == 1


@pytest.mark.parametrize(
    "last",
    [
        NoAnswer("broke off", reached=True),
        Refused("too large"),
        answer(404),
        answer(429, retry_after="9999"),
    ],
)
def test_no_message_tells_a_key_or_a_credential(
    last: Response | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    polite, _, _ = sender(last, attempts=2, first_pause_s=1000)
    with pytest.raises(ProviderUnavailable) as caught:
        polite.send(REQUEST, judge_status)
    assert "'web'" in str(caught.value)
    assert "https://host.example/find" in str(caught.value)
    for secret in ("se/cret", "pw", "q=x"):
        assert secret not in str(caught.value)
        assert secret not in caplog.text
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["http://[", "http://host.example:99999999/", "", "\x00"])
def test_an_address_that_is_none_is_left_to_the_client_to_refuse(url: str) -> None:
    polite, client, _ = sender(Refused("no address"))
    with pytest.raises(ProviderUnavailable, match="no address"):
        polite.send(Request(url), judge_status)
    assert len(client.starts) == 1
