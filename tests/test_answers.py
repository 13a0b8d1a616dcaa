"""Promises of asking: who is live is asked once, slowly, and not believed blindly."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from live_helpers import BLOCK, CANARY, EMPTY, GARBAGE, LivePlayer, question
from polite_helpers import FakeClock

from cache.errors import InputError, ProviderUnavailable
from cache.recording.recordings import Recordings
from retrieval.asking.answers import Asker, MemoryBook
from retrieval.asking.asked_at import age_days, time_of_asking
from retrieval.asking.manner import AskingOptions, Manner
from retrieval.asking.side_by_side import run_side_by_side
from retrieval.settings import PoliteSettings


def asker(
    *players: LivePlayer,
    book: MemoryBook | None = None,
    clock: FakeClock | None = None,
    options: AskingOptions | None = None,
    patient: bool = False,
    **polite: float,
) -> Asker:
    """Return an asker of ``players`` on a clock that does not wait."""
    manner = Manner(
        options or AskingOptions(),
        PoliteSettings.model_validate(polite),
        patient,
        clock or FakeClock(),
    )
    return Asker(players, book if book is not None else MemoryBook(), 3, manner)


def ask(one: Asker, *texts: str) -> dict[str, str]:
    """Ask, and return for each text its first hit, ``nothing``, or why there is no answer."""
    one.ask([question(text) for text in texts])
    found: dict[str, str] = {}
    for text in texts:
        try:
            hits = one.hits(question(text))
            found[text] = hits[0].text if hits else "nothing"
        except ProviderUnavailable as problem:
            found[text] = str(problem)
    return found


def test_an_answer_is_recorded_before_the_next_question_is_asked() -> None:
    book, sizes = MemoryBook(), []
    player = LivePlayer(before=lambda text: sizes.append(len(book._recordings)))
    ask(asker(player, book=book), "a", "b", "c")
    assert sizes == [0, 1, 2]


def test_nothing_answered_is_asked_again_in_this_run_or_the_next() -> None:
    book, player = MemoryBook(), LivePlayer(script={"b": [BLOCK, b'["late"]']})
    first = asker(player, book=book)
    assert ask(first, "a", "b", "a", "c")["b"] == "status 429"
    assert first.counts == {
        "asked": 2,
        "recorded": 0,
        "unavailable": 1,
        "blocked": 1,
        "outdated": 0,
    }
    assert ask(first, "a", "b", "c")["b"] == "late"
    ask(asker(player, book=book), "a", "b", "c")
    assert player.times == {"a": 1, "b": 2, "c": 1}


def test_silence_is_believed_only_after_the_canary_was_heard() -> None:
    book, player = MemoryBook(), LivePlayer(script={"rare": [EMPTY]})
    assert ask(asker(player, book=book), "rare") == {"rare": "nothing"}
    assert player.asked == ["rare", CANARY]
    # The canary's answer is no post's.
    assert len(book._recordings) == 1


def test_silence_without_a_canary_is_a_block_and_is_not_recorded() -> None:
    book, player = MemoryBook(), LivePlayer(script={"rare": [EMPTY], CANARY: [EMPTY, BLOCK]})
    one = asker(player, book=book)
    assert "a block in disguise" in ask(one, "rare")["rare"]
    assert ask(one, "rare")["rare"] == "status 429"
    assert (one.counts["blocked"], len(book._recordings)) == (2, 0)


def test_one_canary_vouches_for_a_few_minutes_and_a_few_answers() -> None:
    clock = FakeClock()
    player = LivePlayer(script={f"r{n}": [EMPTY] for n in range(20)})
    one = asker(player, clock=clock)
    ask(one, *(f"r{n}" for n in range(5)))
    assert player.times[CANARY] == 1
    ask(one, "r5")
    assert player.times[CANARY] == 2
    clock.wait(301)
    ask(one, "r6")
    assert player.times[CANARY] == 3


def test_an_answer_that_cannot_be_read_is_not_recorded() -> None:
    book, player = MemoryBook(), LivePlayer(script={"a": [GARBAGE, b'["good"]']})
    one = asker(player, book=book)
    assert "cannot be read (no JSON)" in ask(one, "a")["a"]
    assert one.counts["blocked"] == 1
    assert ask(one, "a") == {"a": "good"}


def test_an_answer_that_trips_the_reader_up_stops_no_other() -> None:
    player = LivePlayer(script={"a": [b"[[]]", b"7"]})
    assert "cannot be read (TypeError)" in ask(asker(LivePlayer(script={"a": [b"7"]})), "a")["a"]
    assert "web" in ask(asker(player), "b")["b"]


def test_after_failures_in_a_row_a_provider_is_left_alone() -> None:
    clock = FakeClock()
    player = LivePlayer(script={"down": [BLOCK], "other": [GARBAGE], "silent": [EMPTY]})
    player.script[CANARY] = [EMPTY]
    one = asker(player, clock=clock, failures_to_break=3, rest_s=60)
    # A block, garbage and a silent canary all count.
    found = ask(one, "down", "other", "silent", "a", "b")
    assert found["a"] == found["b"]
    assert "keeps failing and is left alone for 60 s" in found["a"]
    assert "a block in disguise" in found["a"]  # its last failure
    assert player.times["a"] == 0

    clock.wait(60)
    assert "status 429" in ask(one, "down")["down"]  # one trial, which fails
    assert "left alone" in ask(one, "a")["a"]
    clock.wait(60)
    assert "web" in ask(one, "a")["a"]
    assert ask(one, "down")["down"] == "status 429"  # closed again: one failure breaks nothing
    assert "web" in ask(one, "b")["b"]


def test_failures_that_are_not_in_a_row_break_nothing() -> None:
    player = LivePlayer(script={f"down{n}": [BLOCK] for n in range(9)})
    one = asker(player, failures_to_break=2)
    for number in range(9):
        ask(one, f"down{number}", f"up{number}")
    assert len(player.asked) == 18


def test_a_build_waits_for_one_rest_and_then_goes_on_or_gives_up() -> None:
    clock, texts = FakeClock(), [f"q{n}" for n in range(10)]
    player = LivePlayer(script={"q0": [BLOCK], "q1": [BLOCK]})
    one = asker(player, clock=clock, patient=True, failures_to_break=2, rest_s=60)
    assert list(ask(one, *texts).values()).count("status 429") == 2
    assert clock.waits == [60.0]

    clock = FakeClock()
    player = LivePlayer(script={text: [BLOCK] for text in texts})
    one = asker(player, clock=clock, patient=True, failures_to_break=2, rest_s=60)
    ask(one, *texts)
    assert (player.asked, clock.waits) == (["q0", "q1", "q2"], [60.0])


def test_a_build_does_not_wait_for_a_rest_that_outlasts_its_minutes() -> None:
    clock = FakeClock()
    player = LivePlayer(script={"a": [BLOCK]})
    one = asker(player, clock=clock, patient=True, failures_to_break=1, rest_s=120, max_minutes=2)
    assert "left alone" in ask(one, "a", "b")["b"]
    assert clock.waits == []


def test_no_more_questions_are_asked_than_the_budget_allows() -> None:
    player, other = LivePlayer(script={"b": [EMPTY]}), LivePlayer("wiki")
    one = asker(player, max_queries=4)
    found = ask(one, "a", "b", "c", "d", "e")
    # Canaries count too.
    assert player.asked == ["a", "b", CANARY, "c"]
    assert "max_queries=4" in found["d"]
    assert (one.counts["unavailable"], one.counts["blocked"]) == (2, 0)
    ask(asker(player, other, max_queries=3, book=MemoryBook()), "x", "y")
    assert sum(map(len, (player.asked, other.asked))) == 4 + 3


def test_a_spent_budget_breaks_no_circuit() -> None:
    player = LivePlayer()
    found = ask(asker(player, max_queries=0, failures_to_break=1), "a", "b")
    assert all(reason.startswith("not asked: ask.polite") for reason in found.values())


def test_nothing_is_asked_after_the_minutes_are_over() -> None:
    clock = FakeClock()
    player = LivePlayer(before=lambda text: clock.wait(20))
    found = ask(asker(player, clock=clock, max_minutes=1), "a", "b", "c", "d")
    assert player.asked == ["a", "b", "c"]
    assert "max_minutes=1 are over" in found["d"]


def test_offline_asks_nobody_live_and_says_how_many_are_missing() -> None:
    book, player = MemoryBook(), LivePlayer()
    ask(asker(player, book=book), "a", "b")
    one = asker(player, book=book, options=AskingOptions(offline=True))
    found = ask(one, "a", "b", "c", "d")
    ask(one, "d")
    assert "web" in found["a"]
    assert "without --offline" in found["c"]
    assert len(player.asked) == 2
    assert {name: len(keys) for name, keys in one.missing.items()} == {"web": 2}


def test_old_answers_are_asked_for_again_and_the_new_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fresh(options: AskingOptions) -> Asker:
        return Asker([player], Recordings(tmp_path), 3, Manner(options, clock=FakeClock()))

    player = LivePlayer(script={"a": [b'["old"]', b'["new"]']})
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert ask(fresh(AskingOptions()), "a") == {"a": "old"}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_000_000_000 + 8 * 86400))
    assert ask(fresh(AskingOptions()), "a") == {"a": "old"}
    assert ask(fresh(AskingOptions(refresh_days=9)), "a") == {"a": "old"}
    offline = fresh(AskingOptions(refresh_days=7, offline=True))
    assert ask(offline, "a") == {"a": "old"}
    assert (offline.counts["recorded"], offline.missing) == (1, {})
    assert ask(fresh(AskingOptions(refresh_days=7)), "a") == {"a": "new"}
    assert ask(fresh(AskingOptions(refresh_days=7)), "a") == {"a": "new"}
    assert player.asked == ["a", "a"]


def test_what_one_run_answered_it_does_not_ask_again_however_fresh_answers_are_to_be() -> None:
    book, player = MemoryBook(), LivePlayer()
    ask(asker(player, book=book), "a")
    one = asker(player, book=book, options=AskingOptions(refresh_days=0))
    for _ in range(2):
        ask(one, "a", "b")
    assert player.asked == ["a", "a", "b"]
    assert (one.counts["asked"], one.counts["recorded"]) == (2, 0)


def test_an_old_answer_stays_where_no_new_one_is_to_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book, player = MemoryBook(), LivePlayer(script={"a": [b'["old"]', BLOCK]})
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    ask(asker(player, book=book), "a")
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    one = asker(player, book=book, options=AskingOptions(refresh_days=7))
    assert ask(one, "a") == {"a": "old"}
    assert one.counts["outdated"] == 1


def test_the_date_of_asking_is_that_of_the_environment_where_it_names_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert time_of_asking() == "1970-01-02T00:00:00+00:00"
    assert age_days("1970-01-01T00:00:00+00:00") == 1.0
    assert age_days("yesterday") == age_days("") == age_days("1970-01-01") == float("inf")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH='soon'"):
        time_of_asking()


def test_live_providers_are_asked_side_by_side() -> None:
    met = threading.Barrier(2, timeout=60)
    players = [LivePlayer(name, before=lambda text: met.wait() and None) for name in ("a", "b")]
    one = asker(*players)
    ask(one, *(f"q{n}" for n in range(20)))
    assert one.counts["asked"] == 40


def test_a_slow_provider_does_not_hold_up_a_quick_one() -> None:
    quick_is_done = threading.Event()
    quick = LivePlayer("quick", before=lambda text: quick_is_done.set() if text == "z" else None)
    came: list[bool] = []
    slow = LivePlayer("slow", before=lambda text: came.append(quick_is_done.wait(60)))
    ask(asker(slow, quick), "a", "z")
    assert came == [True, True]


def test_what_one_line_raises_stops_the_others_and_is_raised() -> None:
    failing = threading.Event()

    def fail(text: str) -> None:
        failing.set()
        raise InputError("the key is missing")

    def go_on(text: str) -> None:
        failing.wait(60)
        time.sleep(0.02)

    gone_on = LivePlayer("b", before=go_on)
    with pytest.raises(InputError, match="the key is missing"):
        ask(asker(LivePlayer("a", before=fail), gone_on), *(f"q{n}" for n in range(1000)))
    assert len(gone_on.asked) < 1000


_CTRL_C = """
import sys, threading, time
sys.path.insert(0, "tests")
from live_helpers import LivePlayer
from test_answers import ask, asker
def hang(text):
    sys.stdout.write("asked\\n")  # at once, for the other thread writes too
    sys.stdout.flush()
    time.sleep(60)
ask(asker(*(LivePlayer(name, before=hang) for name in sys.argv[1:])), "a", "b")
"""


@pytest.mark.parametrize("names", [["one"], ["one", "two"]])
def test_ctrl_c_returns_at_once_while_servers_do_not_answer(names: list[str]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CTRL_C, *names],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    with child:
        assert child.stdout is not None
        for _ in names:
            assert child.stdout.readline() == "asked\n"
        start = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=120)
        assert time.monotonic() - start < 20  # of the 60 s that they would hang
    assert "KeyboardInterrupt" in said
    assert child.returncode != 0


def test_jobs_side_by_side_all_run_and_none_is_no_work() -> None:
    done: list[int] = []
    run_side_by_side([], threading.Event())
    run_side_by_side([lambda n=n: done.append(n) for n in range(5)], threading.Event())  # type: ignore[misc]
    assert sorted(done) == list(range(5))
