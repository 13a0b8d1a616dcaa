from __future__ import annotations

import json
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from replay_helpers import QUICK, ask_settings, certified, hits_of, provider_of, sentence_queries

from cache.errors import ProviderUnavailable
from cache.records import Query
from pipelines.replay.corpus import DOCUMENTS, UNKNOWN_WORD, search
from pipelines.replay.faults import Faults
from pipelines.replay.http import Listener
from pipelines.replay.server import ReplayServer
from retrieval.sight.photos import decode_image


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as response:
        body: bytes = response.read()
    return body


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_what_an_answer_names_is_there() -> None:
    with ReplayServer() as server:
        provider = provider_of(ask_settings("searxng", server))
        for query in sentence_queries("Celia of Quito"):
            for hit in hits_of(provider, query):
                assert f"<h1>{hit.title}</h1>" in fetch(hit.url).decode()
                if hit.image_url:
                    assert decode_image(fetch(hit.image_url)).media.format == "PNG"
        assert status_of(f"{server.address}/page/99999") == 404


def test_documents_that_share_more_words_come_first_and_every_question_has_some() -> None:
    assert search("Celia of Quito", 3)[0].title == "Celia of Quito"
    assert search("zzz qqq", 100) == search("zzz qqq", 100)
    assert len(search("zzz qqq", 100)) == 5
    assert search(f"Oslo {UNKNOWN_WORD}", 5) == []
    assert search("Oslo", 3) == search("Oslo", 30)[:3]
    assert len({doc.image for doc in DOCUMENTS}) == len(DOCUMENTS)


def test_the_log_says_what_was_asked_and_whether_it_was_answered() -> None:
    with ReplayServer(Faults(blocked=1, statuses=(503,))) as server:
        ask = ask_settings("wikipedia", server).model_copy(update={"polite": QUICK})
        provider = provider_of(ask)
        query = Query("sentence", "text", text="Oslo harbour")
        with pytest.raises(ProviderUnavailable):
            hits_of(provider, query)
        server.faults = Faults()
        assert hits_of(provider, query)
        lines = [(line.question, line.status, line.answered) for line in server.log]
    question = "wikipedia:Oslo OR harbour"
    assert lines == [(question, 503, False), (question, 503, False), (question, 200, True)]


def test_a_question_that_is_blocked_by_the_rule_is_answered_when_asked_on() -> None:
    with ReplayServer(Faults(1, blocked=0.4, garbage=0.2, statuses=(202, 429, 503))) as server:
        polite = QUICK.model_copy(update={"attempts": 30})
        provider = provider_of(
            ask_settings("searxng", server).model_copy(update={"polite": polite})
        )
        queries = [Query("sentence", "text", text=f"harbour {number}") for number in range(30)]
        answers = provider.ask(queries, 5)
        assert all(isinstance(answer, bytes) for answer in answers)
        log = server.log
    answered = [line.question for line in log if line.answered]
    assert len(answered) == len(set(answered)) == 30
    assert len(log) > 40


@pytest.mark.parametrize("secured", [False, True])
def test_it_closes_at_once_whatever_its_clients_do(secured: bool, tmp_path: Path) -> None:
    tls = certified(tmp_path).context if secured else None
    before = set(threading.enumerate())
    server = ReplayServer(Faults(slow=1, slow_s=60), tls=tls)
    place = ("127.0.0.1", int(server.address.rpartition(":")[2]))
    with socket.create_connection(place), socket.create_connection(place) as waiting:
        waiting.sendall(b"GET /search?q=a&format=json HTTP/1.1\r\nHost: x\r\n\r\n")
        # In the clear it is being answered now; as a handshake it makes no sense.
        end = time.monotonic() + 60
        while not (secured or server.log):
            assert time.monotonic() < end
            time.sleep(0.01)
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 15  # of the 30 s that a connection may be idle
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("secured", [False, True])
def test_it_closes_at_once_though_a_connection_has_no_thread_yet(
    secured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, shut = threading.Event(), threading.Event()
    serve, leave = Listener.process_request_thread, socketserver.TCPServer.server_close

    def serve_late(*given: Any) -> None:
        taken.set()
        assert shut.wait(60)
        serve(*given)

    def leave_and_tell(one: socketserver.TCPServer) -> None:
        leave(one)
        shut.set()

    monkeypatch.setattr(Listener, "process_request_thread", serve_late)
    # After all connections were shut down, before their threads are waited for.
    monkeypatch.setattr(socketserver.TCPServer, "server_close", leave_and_tell)
    server = ReplayServer(tls=certified(tmp_path).context if secured else None)
    with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))):
        assert taken.wait(60)
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 15  # of the 30 s that a connection may be idle


def test_it_runs_as_a_process_of_its_own_and_writes_its_log(tmp_path: Path) -> None:
    log_file = tmp_path / "log.jsonl"
    command = [
        sys.executable,
        "-m",
        "pipelines.replay",
        "--log",
        str(log_file),
        "--blocked",
        "1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        statuses = {status_of(f"{address}/search?q={number}&format=json") for number in range(20)}
        assert statuses > {202, 429}
        assert b"<h1>" in fetch(f"{address}/page/3")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    lines = [json.loads(line) for line in log_file.read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["path"] == "/page/3"
    assert {line["answered"] for line in lines[:-1]} == {False}
