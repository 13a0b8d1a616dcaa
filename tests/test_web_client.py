"""How provider ``web`` asks: blocks, redirects, sizes, times, Ctrl-C, and what ddgs must keep."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from connect_proxy import Asked, ConnectProxy, Reply, Script
from played_duckduckgo import (
    CHALLENGE,
    IMAGES,
    NO_TEXTS,
    TEXTS,
    THREE_IMAGES,
    THREE_TEXTS,
    TOKEN_PAGE,
    ask,
    client,
    duckduckgo,
    hits_of,
    image_answer,
    provider,
)

from cache.errors import InputError, ProviderUnavailable
from cache.records import Query
from retrieval.http.base import NoAnswer, Refused
from retrieval.http.polite import PoliteSender
from retrieval.providers.ddgs_engine import Category, EngineClient, engine_class
from retrieval.providers.http import HttpProvider
from retrieval.providers.web import WebApi
from retrieval.settings import PoliteSettings, WebSettings


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[ConnectProxy]:
    with ConnectProxy(tmp_path, duckduckgo()) as opened:
        yield opened


# What is not left at once lasts a minute here, or longer. A busy machine stands still for seconds.
AT_ONCE_S = 15.0

Place = tuple[Query, Callable[[Reply], Script]]

# Where a search can go wrong: the question of it, and a DuckDuckGo that answers there as given.
WHERE: dict[str, Place] = {
    "texts": (TEXTS, lambda reply: duckduckgo(texts=reply)),
    "token": (IMAGES, lambda reply: duckduckgo(token=reply)),
    "images": (IMAGES, lambda reply: duckduckgo(images=reply)),
}


@pytest.fixture(params=WHERE)
def place(request: pytest.FixtureRequest) -> Place:
    return WHERE[str(request.param)]


@pytest.mark.parametrize("status", [202, 403, 429, 500, 503])
def test_a_block_is_never_an_empty_answer(proxy: ConnectProxy, place: Place, status: int) -> None:
    query, script = place
    # Even where the page would pass for one with hits, or for an empty one.
    for body in (THREE_TEXTS, NO_TEXTS, THREE_IMAGES, TOKEN_PAGE, b""):
        proxy.script = script(Reply(status, body))

        found = ask(provider(proxy), query)

        assert isinstance(found, ProviderUnavailable)
        assert f"status {status}" in str(found)


@pytest.mark.parametrize(
    "body",
    [
        CHALLENGE,
        b"",
        b"   ",
        b"<html><body><h1>Welcome to the hotel's wireless network</h1></body></html>",
        b"\xff\xfe\x00garbage",
        b"\x1f\x8b\x08\x00",
        b'<?xml version="1.0" encoding="utf-8"?><html><body>x</body></html>',
        b"<div class='result__body'><a href='javascript:x'>y</a></div>"[:40],
        b"[]",
        b"{}",
        b'{"results": null}',
        b'{"results": [1]}',
        b"<" * 10_000,
        b"[" * 100_000,
    ],
)
def test_what_is_no_page_of_hits_is_a_block_though_its_status_is_200(
    proxy: ConnectProxy, place: Place, body: bytes
) -> None:
    query, script = place
    proxy.script = script(Reply(200, body))

    assert isinstance(ask(provider(proxy), query), ProviderUnavailable)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(proxy: ConnectProxy, place: Place, status: int) -> None:
    query, script = place
    for target in ("https://elsewhere.example/", "https://duckduckgo.com/", "http://127.0.0.1/"):
        proxy.script = script(Reply(status, b"", {"Location": target}))

        assert isinstance(ask(provider(proxy), query), ProviderUnavailable)
    assert {asked.host for asked in proxy.asked} <= {"duckduckgo.com", "html.duckduckgo.com"}
    assert set(proxy.connected) <= {"duckduckgo.com:443", "html.duckduckgo.com:443"}
    assert len(proxy.asked) == 3 * (2 if place == WHERE["images"] else 1)


def endless() -> Iterator[bytes]:
    while True:
        yield b"<p>" * 20_000


def bomb() -> bytes:
    return gzip.compress(b"<p>" * 10_000_000)


@pytest.mark.parametrize(
    "huge",
    [
        lambda: Reply(body=endless()),
        lambda: Reply(body=bomb(), headers={"Content-Encoding": "gzip"}),
    ],
    ids=["endless", "bomb"],
)
def test_a_huge_answer_is_refused_before_it_is_read(
    proxy: ConnectProxy, place: Place, huge: Callable[[], Reply]
) -> None:
    query, script = place
    proxy.script = script(huge())
    request = WebApi(WebSettings()).request(query, 5)

    with pytest.raises(Refused, match="sent more than 4,194,304 bytes"):
        client(proxy).send(request)


def drip(proxy: ConnectProxy) -> Iterator[bytes]:
    while not proxy.closing.wait(0.1):
        yield b"x"


def test_a_server_that_hangs_is_left_in_time(proxy: ConnectProxy, place: Place) -> None:
    query, script = place
    proxy.script = hang(proxy, script)
    start = time.monotonic()
    with pytest.raises(NoAnswer, match="timed out"):
        client(proxy, timeout_s=0.3).send(WebApi(WebSettings()).request(query, 5))
    assert time.monotonic() - start < AT_ONCE_S


def test_a_server_that_drips_is_left_in_time_and_was_reached(
    proxy: ConnectProxy, place: Place
) -> None:
    query, script = place
    # The second time for a machine that stood still before the first byte came.
    for deadline_s in (1.0, 20.0):
        proxy.script = script(Reply(body=drip(proxy)))
        start = time.monotonic()
        with pytest.raises(NoAnswer, match=r"timed out|took longer") as failure:
            client(proxy, deadline_s=deadline_s).send(WebApi(WebSettings()).request(query, 5))
        assert time.monotonic() - start < deadline_s + AT_ONCE_S
        if failure.value.reached:
            break
    assert failure.value.reached


def test_an_answer_that_breaks_off_is_no_answer(proxy: ConnectProxy, place: Place) -> None:
    query, script = place
    proxy.script = script(Reply(body=THREE_TEXTS, headers={"Content-Length": "99999"}))

    with pytest.raises(NoAnswer) as failure:
        client(proxy).send(WebApi(WebSettings()).request(query, 5))
    assert failure.value.reached


def hang(proxy: ConnectProxy, place: Callable[[Reply], Script]) -> Script:
    """Return a DuckDuckGo that says nothing at ``place``."""

    def script(asked: Asked) -> Reply:
        reply = place(Reply(599))(asked)
        if reply.status == 599:
            proxy.closing.wait()
        return reply

    return script


def test_a_message_has_neither_question_nor_token(proxy: ConnectProxy) -> None:
    for script in (
        hang(proxy, WHERE["images"][1]),
        duckduckgo(images=Reply(body=b"x", headers={"Content-Length": "9"})),
    ):
        proxy.script = script

        message = str(ask(provider(proxy, timeout_s=0.3), IMAGES))

        assert "no answer" in message or "no complete answer" in message
        assert "Paris" not in message
        assert "4-1234567890" not in message


def test_token_and_images_share_one_deadline(proxy: ConnectProxy) -> None:
    answers = duckduckgo()

    def script(asked: Asked) -> Reply:
        if asked.path == "/":
            proxy.closing.wait(0.5)
        return answers(asked)

    class Noting:
        """A `primp.Client` that notes how long each exchange may take."""

        def __init__(self, client: Any) -> None:
            self._client = client

        def request(self, *given: Any, **named: Any) -> Any:
            may_take_s.append(named["timeout"])
            return self._client.request(*given, **named)

    may_take_s: list[float] = []
    proxy.script = script
    asking = client(proxy, deadline_s=60)
    through = asking._engines["images"].http_client
    through.client = Noting(through.client)
    asking.send(WebApi(WebSettings()).request(IMAGES, 5))
    for_token, for_images = may_take_s
    assert for_token <= 60
    assert for_images <= for_token - 0.5


def test_nobody_listening_is_unavailable(proxy: ConnectProxy) -> None:
    web = HttpProvider(
        WebApi(WebSettings()),
        PoliteSender(
            EngineClient(
                WebSettings(proxy="http://user:secret-word@127.0.0.1:9"),
                timeout_s=2,
                deadline_s=2,
                ca_file=proxy.ca_file,
            ),
            PoliteSettings(seconds_between=0, attempts=1),
            "web",
        ),
    )
    found = ask(web, TEXTS)
    assert isinstance(found, ProviderUnavailable)
    assert "secret-word" not in str(found)


def test_another_authority_is_not_trusted(proxy: ConnectProxy, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with ConnectProxy(other, duckduckgo()) as stranger:
        strangers = EngineClient(
            WebSettings(proxy=stranger.address), timeout_s=2, deadline_s=2, ca_file=proxy.ca_file
        )
        with pytest.raises(NoAnswer):
            strangers.send(WebApi(WebSettings()).request(TEXTS, 5))
        assert not stranger.asked


def test_searches_at_the_same_time_do_not_mix(proxy: ConnectProxy) -> None:
    def echo(asked: Asked) -> Reply:
        question = asked.fields["q"]
        if asked.path == "/":
            return Reply(body=f'vqd="{question}"'.encode())
        assert asked.fields["vqd"] == question
        return Reply(body=image_answer([(question, f"https://a.example/{question}", "")]))

    proxy.script = echo
    web = provider(proxy)
    queries = [Query("sentence", "image", text=f"q{n}") for n in range(12)]
    sender = client(proxy)
    with ThreadPoolExecutor(4) as pool:
        requests = [WebApi(WebSettings()).request(query, 5) for query in queries]
        bodies = [response.body.decode() for response in pool.map(sender.send, requests)]

    for query, body in zip(queries, bodies, strict=True):
        assert [one.text for one in WebApi(WebSettings()).found(query, body)] == [query.text]
    assert [hit.text for hit in hits_of(web, queries[0])] == ["q0"]


INTERRUPTED = """
import sys
from pathlib import Path
from retrieval.providers.ddgs_engine import EngineClient
from retrieval.providers.web import WebApi
from retrieval.settings import WebSettings
from cache.records import Query

address, ca_file = sys.argv[1:]
client = EngineClient(
    WebSettings(proxy=address), timeout_s=60, deadline_s=60, ca_file=Path(ca_file)
)
request = WebApi(WebSettings()).request(Query("sentence", "text", text="x"), 5)
try:
    client.send(request)
except KeyboardInterrupt:
    sys.exit(7)
"""


def test_ctrl_c_gets_through_while_the_server_hangs(proxy: ConnectProxy) -> None:
    proxy.script = hang(proxy, WHERE["texts"][1])
    command = [sys.executable, "-c", INTERRUPTED, proxy.address, str(proxy.ca_file)]
    with subprocess.Popen(command) as child:
        try:
            deadline = time.monotonic() + 120
            while not proxy.asked:
                assert time.monotonic() < deadline
                assert child.poll() is None
                time.sleep(0.02)
            start = time.monotonic()
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 7
            assert time.monotonic() - start < AT_ONCE_S
        finally:
            child.kill()


def test_what_is_relied_on_of_ddgs_is_still_there(proxy: ConnectProxy) -> None:
    """Fails when ddgs changes inside: mend ddgs_engine.py, then the range in setup.cfg."""
    asks: dict[Category, tuple[str, str]] = {
        "text": ("POST", "https://html.duckduckgo.com/html/"),
        "images": ("GET", "https://duckduckgo.com/i.js"),
    }
    for category, (method, url) in asks.items():
        engine = engine_class(category, "duckduckgo")
        told = f"ddgs {version('ddgs')} asks DuckDuckGo for {category} another way"
        assert engine.__module__.startswith("ddgs.engines.duckduckgo"), told
        assert (engine.search_method, engine.search_url) == (method, url), told
    text = engine_class("text", "duckduckgo")
    assert set(text.elements_xpath) == {"title", "href", "body"}, "another kind of hit"
    # A request through the engine alone, as ddgs makes it, is the one that this package makes.
    from ddgs.engines.duckduckgo_images import DuckduckgoImages

    DuckduckgoImages(proxy=proxy.address, verify=str(proxy.ca_file)).search("Paris at night")
    hits_of(provider(proxy), IMAGES)
    theirs, ours = proxy.asked[:2], proxy.asked[2:]
    assert [(a.method, a.host, a.path, a.fields) for a in theirs] == [
        (a.method, a.host, a.path, a.fields) for a in ours
    ], "ddgs asks for images another way than build_payload and one request"


def test_a_ddgs_that_is_missing_or_changed_is_named_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match=r"engine 'nowhere' .* lacks .*pip install 'ddgs>="):
        engine_class("text", "nowhere")
    monkeypatch.setitem(sys.modules, "ddgs.engines", None)
    with pytest.raises(InputError, match=r"needs ddgs.*pip install 'ddgs>="):
        WebApi(WebSettings())
    with pytest.raises(InputError, match=r"needs ddgs.*pip install 'ddgs>="):
        EngineClient(WebSettings(), timeout_s=1, deadline_s=1)


def test_a_proxy_or_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ask\.web\.proxy") as failure:
        EngineClient(WebSettings(proxy="no://user:word@x"), timeout_s=1, deadline_s=1)
    assert "word" not in str(failure.value)
    with pytest.raises(InputError, match=r"ask\.ca_file=.*nowhere"):
        EngineClient(WebSettings(), timeout_s=1, deadline_s=1, ca_file=tmp_path / "nowhere")
    empty = tmp_path / "empty.pem"
    empty.write_text("not a certificate")
    with pytest.raises(InputError, match=r"ask\.ca_file"):
        EngineClient(WebSettings(), timeout_s=1, deadline_s=1, ca_file=empty)
