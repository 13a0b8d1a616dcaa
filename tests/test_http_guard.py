from __future__ import annotations

import gzip
import logging
import socket
import ssl
import threading
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from ctrl_c import seconds_after_ctrl_c
from hostile_server import (
    Answer,
    HostileServer,
    drips,
    floods,
    gzip_bomb,
    gzipped,
    redirects,
    says,
    serving,
)

from cache.errors import InputError
from retrieval.http.base import NoAnswer, Refused, Request, Response
from retrieval.http.client import GuardedClient
from retrieval.http.connection import Network
from retrieval.http.guard import check_url, host_and_port, is_public
from retrieval.settings import PoliteSettings

PATIENT = PoliteSettings(timeout_s=60, deadline_s=120)
QUICK = PoliteSettings(timeout_s=0.3, deadline_s=0.6)
# What is not left at once lasts a minute here. A busy machine stands still for seconds.
AT_ONCE_S = 15.0
STRICT = GuardedClient(PATIENT)
PUBLIC = "93.184.215.14"


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with serving() as one:
        yield one


@pytest.fixture
def protected() -> Iterator[HostileServer]:
    """A service that nobody outside may reach."""
    with serving() as one:
        one.on("/", says(b"secret"))
        yield one


class FakeNetwork:
    """Answers names from a table, one answer after the other, and keeps a list of all dialled."""

    def __init__(self, names: dict[str, list[list[str]]], way: dict[str, str]) -> None:
        self.names, self.way = names, way
        self.dialled: list[str] = []
        self.num_lookups = 0
        self.network = Network(self.resolve, self.connect)

    def resolve(self, host: str, port: int) -> list[Any]:
        self.num_lookups += 1
        answers = self.names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in addresses
        ]

    def connect(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        self.dialled.append(address[0])
        if address[0] not in self.way:
            raise ConnectionRefusedError(111, "Connection refused")
        sock.connect((self.way[address[0]], address[1]))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.170.2", "168.63.129.16",
        "192.0.0.192", "192.88.99.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
        "fec0::1", "ff02::1", "5f00::1", "2001:db8::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "", "localhost", "127.0.0.1:80",
    ],
)  # fmt: skip
def test_an_address_that_means_something_here_alone_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"],
)
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f000001", "0x7f.1",
        "017700000001", "0177.0.0.1", "127.1", "127.000.000.001", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "[::1]", "0.0.0.0", "0", "[::]", "[::127.0.0.1]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_spelling_of_this_machine_gets_to_a_service_on_it(
    host: str, scheme: str, protected: HostileServer
) -> None:
    with pytest.raises(Refused, match="no public address"):
        STRICT.send(Request(protected.url("/", host, scheme)))

    assert (protected.num_connections, protected.num_received) == (0, 0)


@pytest.mark.parametrize("host", ["localhost.", "%31%32%37.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1"])
def test_what_only_some_parsers_take_for_this_machine_does_not_get_there_either(
    host: str, protected: HostileServer
) -> None:
    # Names that no resolver knows: some take their time to say so.
    client = GuardedClient(PoliteSettings(timeout_s=5, deadline_s=20))
    with pytest.raises((Refused, NoAnswer)):
        client.send(Request(protected.url("/", host)))
    assert (protected.num_connections, protected.num_received) == (0, 0)


def test_the_spellings_do_lead_to_this_machine_where_it_is_allowed(
    protected: HostileServer,
) -> None:
    for host in ["localhost", "2130706433", "0x7f.1", "0177.0.0.1"]:
        client = GuardedClient(PATIENT, allowed_hosts=(f"{host}:{protected.port}",))
        assert client.send(Request(protected.url("/", host))).body == b"secret"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "[fd00:ec2::254]", "10.0.0.1", "2852039166"]
)
def test_no_packet_leaves_for_a_metadata_service(address: str) -> None:
    fake = FakeNetwork({}, {})
    network = Network(connect=fake.connect)

    with pytest.raises(Refused, match="no public address"):
        GuardedClient(PATIENT, network=network).send(Request(f"http://{address}/latest/meta-data"))

    assert fake.dialled == []


def test_a_redirect_to_this_machine_is_not_followed(
    server: HostileServer, protected: HostileServer
) -> None:
    client = GuardedClient(PATIENT, allowed_hosts=(server.host,))
    for target in [
        protected.url(),
        protected.url("/", "localhost"),
        protected.url("/", "2130706433"),
        f"//127.0.0.1:{protected.port}/",
        f"http://[::ffff:127.0.0.1]:{protected.port}/",
        f"\\\\127.0.0.1:{protected.port}\\",
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:alert(1)",
        "gopher://127.0.0.1/",
        f"http://user:word@127.0.0.1:{server.port}/",
    ]:
        url = server.on("/away", redirects(target))
        with pytest.raises(Refused):
            client.send(Request(url))

    assert (protected.num_connections, protected.num_received) == (0, 0)
    assert set(server.paths) == {"/away"}


def test_a_name_that_points_here_the_second_time_is_refused_then(
    protected: HostileServer,
) -> None:
    fake = FakeNetwork({"rebind.test": [[PUBLIC], ["127.0.0.1"]]}, {})
    client = GuardedClient(PATIENT, network=fake.network)
    url = protected.url("/", "rebind.test")

    with pytest.raises(NoAnswer):
        client.send(Request(url))
    with pytest.raises(Refused, match=r"rebind\.test.*127\.0\.0\.1"):
        client.send(Request(url))

    # One look-up for each connection: none is left that could answer otherwise.
    assert (fake.num_lookups, fake.dialled) == (2, [PUBLIC])
    assert protected.num_connections == 0


def test_a_name_with_one_private_address_is_refused_as_a_whole(protected: HostileServer) -> None:
    fake = FakeNetwork({"mixed.test": [[PUBLIC, "127.0.0.1"]]}, {})
    with pytest.raises(Refused):
        GuardedClient(PATIENT, network=fake.network).send(
            Request(protected.url("/", "mixed.test"))
        )
    assert fake.dialled == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_not_a_byte_is_sent_to_a_peer_that_is_another_than_was_dialled(
    scheme: str, protected: HostileServer
) -> None:
    fake = FakeNetwork({"moved.test": [[PUBLIC]]}, {PUBLIC: "127.0.0.1"})
    with pytest.raises(Refused, match="no public address"):
        GuardedClient(PATIENT, network=fake.network).send(
            Request(protected.url("/", "moved.test", scheme))
        )
    assert fake.dialled == [PUBLIC]
    assert protected.num_received == 0


def test_a_host_is_allowed_with_its_port_alone(
    server: HostileServer, protected: HostileServer
) -> None:
    server.on("/", says(b"fine"))
    client = GuardedClient(PATIENT, allowed_hosts=(host_and_port(server.url("/search")),))

    assert client.send(Request(server.url())).body == b"fine"
    with pytest.raises(Refused, match="allowed_hosts"):
        client.send(Request(protected.url()))
    assert protected.num_connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "data:image/png;base64,AAAA", "javascript:alert(1)",
        "ftp://example.com/x", "gopher://example.com/", "//example.com/x", "example.com", "",
        "http://", "http:///x", "http://user@example.com/", "http://user:word@example.com/",
        "http://example.com:99999/", "http://example.com:0/", "http://[::1/", "http://a\r\nb/",
        "http://a/\tb", "http://a/b\x00", "http://good.com\\@bad.com/",
        "http://" + "a" * 3000, "http://exa mple.com/",
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_not_asked(url: str) -> None:
    fake = FakeNetwork({}, {})
    with pytest.raises(Refused):
        GuardedClient(PATIENT, network=fake.network).send(Request(url))
    assert fake.num_lookups == 0


def test_a_name_that_no_host_can_have_is_not_asked() -> None:
    with pytest.raises(Refused, match="no name of a host"):
        STRICT.send(Request("http://" + "a" * 80 + ".com/"))


def test_a_message_names_no_password_of_an_address() -> None:
    with pytest.raises(Refused) as caught:
        check_url("http://user:word@example.com/")
    assert "word" not in str(caught.value)


def send(server: HostileServer, answer: Answer, **rest: Any) -> Response:
    polite = rest.pop("polite", PATIENT)
    client = GuardedClient(polite, allowed_hosts=(server.host,), contact="mail@example.org")
    return client.send(Request(server.on("/x", answer), **rest))


def test_a_response_is_read_whole_and_decoded(server: HostileServer) -> None:
    body = bytes(range(256)) * 40

    response = send(server, gzipped(body), max_bytes=len(body), params={"q": "é &"})

    assert (response.status, response.body) == (200, body)
    assert response.url == server.url("/x?q=%C3%A9+%26")
    assert response.headers["content-encoding"] == "gzip"
    assert "user-agent: ramie/" in server.heads[0].lower()
    assert "(mail@example.org)" in server.heads[0]
    assert "cookie" not in server.heads[0].lower()


def test_a_post_carries_its_json(server: HostileServer) -> None:
    send(server, says(b"{}"), method="POST", json={"q": ["é"]})
    assert server.heads[0].startswith("POST /x ")
    assert server.bodies == [b'{"q": ["\\u00e9"]}']


def test_the_environment_names_no_proxy(
    server: HostileServer, protected: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy"]:
        monkeypatch.setenv(name, protected.url())
    assert send(server, says(b"x")).body == b"x"
    assert protected.num_connections == 0


@pytest.mark.parametrize("status", ["404 Not Found", "429 Too Many", "500 Oops", "202 Accepted"])
def test_a_status_is_handed_on_whatever_it_is(status: str, server: HostileServer) -> None:
    response = send(server, says(b"why", status=status, Retry_After="7"))
    assert (response.status, response.body) == (int(status[:3]), b"why")
    assert response.headers["retry-after"] == "7"


def test_an_error_of_another_type_or_of_any_size_stays_an_error(server: HostileServer) -> None:
    body = b"x" * 2**20
    response = send(
        server, says(body, status="500 Oops"), content_types=("image/",), max_bytes=1000
    )
    assert (response.status, response.body) == (500, body[:1000])

    damaged = says(b"not gzip", status="503 Oops", Content_Encoding="gzip")
    assert send(server, damaged).status == 503


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("text/html", True), ("Text/HTML; charset=utf-8", True), ("image/png", True),
        ("image", False), ("text/htmlx", False), ("application/json", False), ("", False),
    ],
)  # fmt: skip
def test_only_types_on_the_list_are_read(kind: str, taken: bool, server: HostileServer) -> None:
    wanted = ("text/html", "image/")
    if taken:
        assert send(server, says(b"x", kind), content_types=wanted).body == b"x"
        return
    unread = floods(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode(), bytes(2**16))
    with pytest.raises(Refused, match="type"):
        send(server, unread, content_types=wanted)
    assert server.num_sent < 16 * 2**20  # what the machine's own buffers took


def test_a_bomb_stops_at_the_limit(server: HostileServer) -> None:
    bomb = gzip_bomb(40)
    limit = 2**20
    for answer in [
        says(bomb, Content_Encoding="gzip"),
        says(gzip.compress(bomb), Content_Encoding="gzip, gzip"),
        lambda talk: talk.send(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%b\r\n0\r\n\r\n" % (len(bomb), bomb)
        ),
    ]:
        with pytest.raises(Refused, match="larger than 1,048,576 bytes"):
            send(server, answer, max_bytes=limit)


def test_memory_stays_small_while_a_bomb_is_refused(server: HostileServer) -> None:
    bomb = gzip_bomb(60)
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            send(server, says(bomb, Content_Encoding="gzip"), max_bytes=2**20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, br", "x"])
def test_an_encoding_that_was_not_asked_for_is_refused(
    encoding: str, server: HostileServer
) -> None:
    with pytest.raises(Refused, match="encoding"):
        send(server, says(b"abc", Content_Encoding=encoding))


def test_a_body_that_says_that_it_is_too_long_is_not_read(server: HostileServer) -> None:
    for length in ["2000000", "9" * 5000]:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
        with pytest.raises(Refused, match="larger"):
            send(server, floods(head, bytes(2**16)), max_bytes=1_000_000)
    assert server.num_sent < 32 * 2**20


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        floods(HEAD, b"X-Flood: " + b"y" * 1000 + b"\r\n"),
        floods(HEAD, b"a:\r\n"),
        floods(HEAD + b"X-Long: ", b"y" * 2**16),
        floods(b"", b"y" * 2**16),
        floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        floods(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"y" * 2**16),
        floods(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"y" * 2**16),
        floods(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n"),
        floods(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"y" * 2**16),
        floods(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
        floods(HEAD + b"\r\n", b"y" * 2**16),
        floods(HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip_bomb(0)),
    ],
    ids=[
        "long headers", "many headers", "one header", "status line", "continue", "chunk size",
        "chunk extension", "small chunks", "negative chunk", "trailers", "endless body",
        "empty gzip members",
    ],
)  # fmt: skip
def test_a_flood_ends_soon_and_takes_little(answer: Answer, server: HostileServer) -> None:
    start = time.monotonic()
    with pytest.raises((Refused, NoAnswer)):
        send(server, answer, max_bytes=100_000)
    assert time.monotonic() - start < AT_ONCE_S
    assert server.num_sent < 16 * 2**20  # what the machine's own buffers took


@pytest.mark.parametrize(
    "answer",
    [
        drips(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", 0.05),
        drips(b"HTTP/1.1 200 OK\r\nX-Long: ", b"y", 0.05),
        drips(b"", b"H", 0.05),
        drips(HEAD + b"Content-Length: 100000\r\n\r\n", b"y", 0.05),
        drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n", 0.05),
        drips(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip_bomb(0)[:10], b"\x00", 0.05),
        drips(b"", b"", 30),
        drips(HEAD + b"Content-Length: 5\r\n\r\n", b"", 30),
    ],
    ids=["headers", "header", "status", "body", "chunks", "gzip", "silence", "silent body"],
)  # fmt: skip
def test_a_server_that_drips_is_left_at_the_deadline(
    answer: Answer, server: HostileServer
) -> None:
    start = time.monotonic()
    with pytest.raises((NoAnswer, Refused)) as caught:
        send(server, answer, polite=PoliteSettings(timeout_s=1, deadline_s=2))
    assert time.monotonic() - start < AT_ONCE_S
    # A machine that stood still may have left before anything was asked.
    if isinstance(caught.value, NoAnswer) and server.paths:
        assert caught.value.reached


def test_redirects_share_one_deadline(server: HostileServer) -> None:
    def late(talk: Any) -> None:
        talk.wait(0.25)
        talk.reply(b"", "302 Found", Location="/x")

    # With a deadline for each of them, it would end with: one redirect too many.
    with pytest.raises(NoAnswer, match=r"as a whole|too long|in time"):
        send(server, late, polite=PoliteSettings(timeout_s=20, deadline_s=0.6))


def test_a_tls_handshake_has_no_more_time_than_the_rest() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with listener:
        client = GuardedClient(QUICK, allowed_hosts=("127.0.0.1",))
        start = time.monotonic()
        with pytest.raises(NoAnswer):
            client.send(Request(f"https://127.0.0.1:{port}/"))
        assert time.monotonic() - start < AT_ONCE_S


def test_a_name_that_is_never_resolved_is_left_at_the_timeout() -> None:
    stop = threading.Event()

    def forever(host: str, port: int) -> list[Any]:
        stop.wait(60)
        return []

    start = time.monotonic()
    try:
        with pytest.raises(NoAnswer, match="not resolved in time"):
            GuardedClient(QUICK, network=Network(resolve=forever)).send(
                Request("http://slow.test/")
            )
        assert time.monotonic() - start < AT_ONCE_S
    finally:
        stop.set()


def test_three_redirects_are_followed_and_no_fourth(server: HostileServer) -> None:
    for index in range(4):
        server.on(f"/{index}", redirects(f"/{index + 1}?a=é"))
    server.on("/4", says(b"end"))
    client = GuardedClient(PATIENT, allowed_hosts=(server.host,))

    assert client.send(Request(server.url("/1"))).url == server.url("/4?a=%C3%A9")
    with pytest.raises(Refused, match="redirect"):
        client.send(Request(server.url("/0")))
    server.on("/loop", redirects("/loop"))
    with pytest.raises(Refused, match="redirect"):
        client.send(Request(server.url("/loop")))
    assert server.paths.count("/loop") == 4


def test_headers_stay_with_the_host_they_were_meant_for(server: HostileServer) -> None:
    with serving() as other:
        other.on("/", says(b"x"))
        client = GuardedClient(PATIENT, allowed_hosts=(server.host, other.host))
        url = server.on("/x", redirects(other.url()))
        client.send(Request(url, headers={"X-Token": "t0ken"}))
        assert "t0ken" in server.heads[0]
        assert "t0ken" not in other.heads[0]


def test_a_line_break_in_a_header_goes_neither_in_nor_out(server: HostileServer) -> None:
    with pytest.raises(Refused):
        send(server, says(b"x"), headers={"X-A": "b\r\nX-Evil: c"})
    assert server.paths == []

    response = send(
        server,
        lambda talk: talk.send(HEAD + b"X-Folded: a\r\n b\x0bc\r\nContent-Length: 0\r\n\r\n"),
    )
    assert not any(char < " " for value in response.headers.values() for char in value)


SECRET = "s3cr3t&k=y"


def test_a_key_in_a_header_is_sent_and_shown_nowhere(
    server: HostileServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = {"X-Key": SECRET}

    response = send(server, says(b"x"), headers=key, params={"q": "a"})
    assert server.paths == ["/x?q=a"]
    assert f"X-Key: {SECRET}" in server.heads[0]
    told = [repr(response), response.url, repr(Request("http://a/", headers=key))]

    problems: list[Answer] = [
        redirects("http://169.254.169.254/"),
        floods(HEAD, b"a:\r\n"),
        drips(b"", b"", 30),
        lambda talk: talk.send(b"garbage\r\n\r\n"),
        lambda talk: talk.sock.close(),
        lambda talk: talk.send(HEAD + b"no colon\r\nContent-Length: 9\r\n\r\nx"),
        says(b"x", "a/b"),
    ]
    for answer in problems:
        with pytest.raises((Refused, NoAnswer)) as caught:
            send(server, answer, polite=QUICK, headers=key, content_types=("text/html",))
        told += traceback.format_exception(caught.value)
        told += walk(caught.value)
    server.close()
    with pytest.raises(NoAnswer) as caught:
        send(server, says(b"x"), headers=key)
    told += traceback.format_exception(caught.value)

    for text in [*told, caplog.text]:
        assert "s3cr3t" not in text


def walk(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{error!r} {error}"
        error = error.__cause__


@pytest.mark.parametrize(
    "answer",
    [
        lambda talk: talk.sock.close(),
        lambda talk: talk.send(HEAD + b"Content-Length: 100\r\n\r\nhalf"),
        lambda talk: talk.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhal"),
        lambda talk: talk.send(b"garbage\r\n\r\n"),
    ],
    ids=["nothing", "half", "half a chunk", "garbage"],
)
def test_a_broken_answer_is_none_and_says_that_somebody_was_there(
    answer: Answer, server: HostileServer
) -> None:
    with pytest.raises(NoAnswer) as caught:
        send(server, answer)
    assert caught.value.reached


def test_a_closed_port_was_not_reached() -> None:
    with serving() as server:
        url = server.url()
    with pytest.raises(NoAnswer) as caught:
        GuardedClient(PATIENT, allowed_hosts=("127.0.0.1",)).send(Request(url))
    assert not caught.value.reached


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return a file with the certificate of the authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[HostileServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(context) as server:
        server.on("/", says(b"secret"))
        server.on("/drip", drips(HEAD + b"Content-Length: 999\r\n\r\n", b"y", 0.05))
        yield server


def test_a_known_certificate_is_talked_to_and_timed(
    tls_server: HostileServer, certificate: Path
) -> None:
    patient, hasty = (
        GuardedClient(polite, allowed_hosts=("localhost",), ca_file=certificate)
        for polite in (PATIENT, PoliteSettings(timeout_s=1, deadline_s=1))
    )
    assert patient.send(Request(tls_server.url("/", "localhost", "https"))).body == b"secret"
    start = time.monotonic()
    with pytest.raises(NoAnswer):
        hasty.send(Request(tls_server.url("/drip", "localhost", "https")))
    assert time.monotonic() - start < AT_ONCE_S


def test_an_unknown_certificate_is_no_sign_of_a_working_network(
    tls_server: HostileServer, certificate: Path
) -> None:
    allowed = ("localhost", "127.0.0.1")
    for client, host in [
        (GuardedClient(PATIENT, allowed_hosts=allowed), "localhost"),
        (GuardedClient(PATIENT, allowed_hosts=allowed, ca_file=certificate), "127.0.0.1"),
    ]:
        with pytest.raises(NoAnswer, match="certificate is not trusted") as caught:
            client.send(Request(tls_server.url("/", host, "https")))
        assert not caught.value.reached
    assert tls_server.paths == []


def test_bad_certificates_or_contacts_are_told_at_once(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="ca_file"):
        GuardedClient(PATIENT, ca_file=tmp_path / "none.pem")
    with pytest.raises(InputError, match="contact"):
        GuardedClient(PATIENT, contact="a\r\nX: b")


def test_ctrl_c_returns_at_once(server: HostileServer) -> None:
    silent = drips(HEAD + b"\r\n", b"", 30)
    assert seconds_after_ctrl_c(lambda: send(server, silent), lambda: server.paths) < AT_ONCE_S
