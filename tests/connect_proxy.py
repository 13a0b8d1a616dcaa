"""A proxy on 127.0.0.1 behind which every https host is a script of the test.

It answers ``CONNECT`` itself, with a certificate for whatever host was asked for, minted from a
throw-away authority. So the real client code runs, TLS included, and nothing leaves the machine.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import trustme


@dataclass(frozen=True)
class Asked:
    """One request as it arrived behind the proxy; ``path`` is without the query string."""

    method: str
    host: str
    path: str
    fields: Mapping[str, str]
    """Of the query string and of a form in the body."""
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What comes back; a ``body`` in pieces goes out chunked, piece by piece."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Script = Callable[[Asked], Reply]


class ConnectProxy:
    """Answers as ``script`` says while it is open, and notes what it was ``asked``.

    A script that waits on ``closing`` is a server that hangs.
    """

    def __init__(self, folder: Path, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connected: list[str] = []
        self.closing = threading.Event()
        self.ca_file = folder / "ca.pem"
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @cached_property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def context(self, host: str) -> ssl.SSLContext:
        with self._lock:
            if host not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.set_alpn_protocols(["http/1.1"])
                self._authority.issue_cert(host).configure_cert(context)
                self._contexts[host] = context
            return self._contexts[host]


class _Server(ThreadingHTTPServer):
    # A handler waits for a client that keeps its connection open; closing must not wait for it.
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: ConnectProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Tunnel)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Tunnel(_Handler):
    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        self.server.proxy.connected.append(self.path)
        self.send_response_only(200)
        self.end_headers()
        self.close_connection = True
        # A client that goes away in the middle is what some tests are about.
        with suppress(OSError):
            context = self.server.proxy.context(host)
            with context.wrap_socket(self.connection, server_side=True) as tls:
                _Inside(tls, self.client_address, self.server)


class _Inside(_Handler):
    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, form: bytes) -> None:
        proxy = self.server.proxy
        target = urlsplit(self.path)
        found = {**parse_qs(target.query), **parse_qs(form.decode())}
        fields = {name: values[-1] for name, values in found.items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.headers["Host"], target.path, fields, headers)
        proxy.asked.append(asked)
        self._send(proxy.script(asked))

    def _send(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            # Fewer bytes than were promised: the connection breaks off.
            if int(reply.headers.get("Content-Length", 0)) > len(reply.body):
                self.close_connection = True
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in reply.body:
            if self.server.proxy.closing.is_set():
                break
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")
