"""How the replay server listens and speaks: connections, TLS, answers, faults."""

from __future__ import annotations

import hashlib
import socket
import ssl
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from pipelines.replay import corpus
from pipelines.replay.faults import GARBAGE
from pipelines.replay.script import Logged, Script
from pipelines.replay.vectors import qdrant

VISION_KEY: Final = "replay-key-not-secret"
"""The key that is taken as valid, by Vision and by Qdrant."""

# A trap: each of the APIs would mean by it that nothing was found, were it not for the status.
_EMPTY: Final = (
    b'{"batchcomplete": true, "results": [], "responses": [{}],'
    b' "result": {"points": []}, "status": "ok"}'
)
_QDRANT: Final = "/collections/documents/points/query"
_JSON: Final = "application/json; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"
_IDLE_S: Final = 30.0
_CHUNK: Final = b" " * 2**16


class Listener(ThreadingHTTPServer):
    """A thread per connection; all connections end with the server."""

    # `server_close` joins them, once their connections are shut down.
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, place: tuple[str, int], script: Script, tls: ssl.SSLContext | None) -> None:
        self.script = script
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(place, _Handler)

    @property
    def num_open(self) -> int:
        """How many connections there are: taken, and not ended yet."""
        with self._open_lock:
            return len(self._open)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note a connection before it has a thread, so that `server_close` knows every one."""
        try:
            if self._tls is not None:
                # No handshake yet: nobody else waits for a slow one.
                request = self._tls.wrap_socket(
                    request, server_side=True, do_handshake_on_connect=False
                )
        except (OSError, ValueError):  # whoever connected went away
            self.shutdown_request(request)
            return
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Speak TLS in the connection's own thread."""
        try:
            if isinstance(request, ssl.SSLSocket):
                request.settimeout(_IDLE_S)
                request.do_handshake()
        except (OSError, ValueError):  # whoever connected does not speak TLS, or went away
            self.shutdown_request(request)
            return
        super().process_request_thread(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that ends."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """End all connections, so that their threads end."""
        with self._open_lock:
            for connection in self._open:
                with suppress(OSError):
                    # Not the method of TLS sockets, which takes the state from under the reader.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave: half of the tests are about them."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    server: Listener
    _body: bytes = b""

    def do_GET(self) -> None:
        """Answer an API, a page or an image."""
        self._body = b""
        self._respond()

    def do_POST(self) -> None:
        """Answer Google Vision or Qdrant."""
        self._body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._respond()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: requests are remembered instead."""

    def _respond(self) -> None:
        script = self.server.script
        question = self._question()
        if not question:
            self._serve_file()
            return
        faults = script.faults
        kind, choice = faults.draw(question, script.next_place(question))
        if kind == "blocked":
            status = faults.statuses[choice % len(faults.statuses)]
            # Another part of the number, so that statuses and pauses are paired freely.
            pause = faults.retry_after[(choice >> 16) % len(faults.retry_after)]
            headers = {"Retry-After": pause} if pause else {}
            self._send(status, _EMPTY, _JSON, headers, answered=False)
        elif kind == "garbage":
            body = GARBAGE[faults.garbage_kinds[choice % len(faults.garbage_kinds)]]
            self._send(200, body, _JSON, answered=False)
        elif kind == "redirected":
            self._send(302, b"", _HTML, {"Location": faults.redirect_to}, answered=False)
        else:
            status, body = self._answer()
            ahead = faults.huge_bytes if kind == "huge" else 0
            after_s = faults.slow_s if kind == "slow" else 0.0
            self._send(status, body, _JSON, answered=status == 200, ahead=ahead, after_s=after_s)

    def _question(self) -> str:
        """Return what an API is asked, or nothing where none is."""
        path, params = self._path, self._params
        if path == "/w/api.php":
            return f"wikipedia:{params.get('gsrsearch', '')}"
        if path == "/search":
            return f"searxng:{params.get('categories', '')}:{params.get('q', '')}"
        if path == "/v1/images:annotate":
            return f"vision:{hashlib.sha256(self._body).hexdigest()}"
        if path == _QDRANT:
            return f"qdrant:{hashlib.sha256(self._body).hexdigest()}"
        return ""

    def _answer(self) -> tuple[int, bytes]:
        address = self.server.script.address
        if self._path == "/w/api.php":
            return 200, corpus.mediawiki(self._params, address)
        if self._path == "/search":
            if self._params.get("format") != "json":
                return 403, b"{}"
            return 200, corpus.searxng(self._params, address)
        if self._path == _QDRANT:
            if self.headers.get("api-key") != VISION_KEY:
                return 401, b"Invalid API key or JWT"
            return qdrant(self._body, address)
        if self.headers.get("X-Goog-Api-Key") != VISION_KEY:
            return 400, b'{"error": {"code": 400, "message": "API key not valid."}}'
        return 200, corpus.vision(self._body, address)

    def _serve_file(self) -> None:
        page = corpus.page_of(self._path, self.server.script.address)
        image = corpus.image_of(self._path)
        if page is not None:
            self._send(200, page, _HTML)
        elif image is not None:
            self._send(200, image, "image/png")
        else:
            self._send(404, b"<html>not here</html>", _HTML, answered=False)

    def _send(
        self,
        status: int,
        body: bytes,
        content_type: str,
        headers: dict[str, str] | None = None,
        *,
        answered: bool = True,
        ahead: int = 0,
        after_s: float = 0.0,
    ) -> None:
        """Remember a response and send it, after some seconds and ``ahead`` bytes of space."""
        parts = urlsplit(self.path)
        agent = self.headers.get("User-Agent", "")
        self.server.script.remember(
            Logged(
                self.command, parts.path, parts.query, self._question(), status, answered, agent
            )
        )
        self.server.script.sleep(after_s)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(ahead + len(body)))
        self.end_headers()
        for start in range(0, ahead, len(_CHUNK)):
            self.wfile.write(_CHUNK[: ahead - start])
        self.wfile.write(body)

    @property
    def _path(self) -> str:
        return urlsplit(self.path).path

    @property
    def _params(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query))
