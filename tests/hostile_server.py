"""A server on this machine that does what a test tells it to, byte by byte, and keeps count."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from PIL import Image

Answer = Callable[["Talk"], None]


@dataclass
class Talk:
    """One connection with its request; ``send`` counts what the other side took."""

    sock: socket.socket
    path: str
    head: str
    body: bytes
    server: HostileServer

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)
        self.server.num_sent += len(data)

    def reply(self, body: bytes = b"", status: str = "200 OK", **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if "Content_Length" not in headers:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body)

    def wait(self, seconds: float) -> None:
        """Pause, but no longer than the server lives."""
        if self.server.closing.wait(seconds):
            raise OSError("closing")


@dataclass
class HostileServer:
    """Counts connections, requests and bytes; answers each path as told, others with 404."""

    tls: ssl.SSLContext | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    num_connections: int = 0
    num_received: int = 0
    num_sent: int = 0
    num_together: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        # For every connection: little is taken, and counted, that the other side never reads.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 << 10)
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self._start(self._accept)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def on(self, path: str, answer: Answer) -> str:
        self.answers[path] = answer
        return self.url(path)

    def close(self) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self.lock:
                self.num_connections += 1
            self._start(self._talk, sock)

    def _talk(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.settimeout(60)
            if self.tls is not None:
                with self.tls.wrap_socket(sock, server_side=True) as wrapped:
                    self._answer(wrapped)
            else:
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        head, body = self._request(sock)
        if not head:
            return
        path = head.split(" ")[1]
        with self.lock:
            self.paths.append(path)
            self.heads.append(head)
            self.bodies.append(body)
            self.num_together += 1
        try:
            talk = Talk(sock, path, head, body, self)
            self.answers.get(path.partition("?")[0], not_found)(talk)
        finally:
            with self.lock:
                self.num_together -= 1

    def _request(self, sock: socket.socket) -> tuple[str, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            part = sock.recv(65536)
            if not part:
                return "", b""
            self.num_received += len(part)
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        length = 0
        for line in text.split("\r\n"):
            if line.lower().startswith("content-length:"):
                length = int(line.partition(":")[2])
        while len(body) < length:
            body += sock.recv(65536)
        return text, body


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[HostileServer]:
    server = HostileServer(tls)
    try:
        yield server
    finally:
        server.close()


def says(body: bytes, kind: str = "text/html", status: str = "200 OK", **headers: str) -> Answer:
    return lambda talk: talk.reply(body, status, Content_Type=kind, **headers)


def redirects(location: str, status: str = "302 Found") -> Answer:
    return lambda talk: talk.reply(b"", status, Location=location)


def not_found(talk: Talk) -> None:
    talk.reply(b"not here", "404 Not Found", Content_Type="text/plain")


def drips(first: bytes, drop: bytes, pause: float) -> Answer:
    """Send ``drop`` after every ``pause``, for as long as somebody listens."""

    def answer(talk: Talk) -> None:
        talk.send(first)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            talk.wait(pause)
            talk.send(drop)

    return answer


def floods(first: bytes, wave: bytes, most: int = 64 * 2**20) -> Answer:
    """Send ``wave`` after ``wave``, up to ``most`` bytes."""

    def answer(talk: Talk) -> None:
        talk.send(first)
        for _ in range(most // len(wave)):
            talk.send(wave)

    return answer


def gzip_bomb(megabytes: int) -> bytes:
    """Return zeros, compressed a thousandfold."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(2**20)
    return b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush()


def png_bomb(side: int) -> bytes:
    """Return a small PNG whose header promises ``side`` by ``side`` pixels, and keeps it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + -(-side // 8))
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def picture_bytes(kind: str = "JPEG", size: tuple[int, int] = (64, 48), **rest: object) -> bytes:
    """Return a picture of four colours, one in each corner."""
    image = Image.new("RGB", size, "red")
    half = (size[0] // 2, size[1] // 2)
    image.paste("blue", (half[0], 0, size[0], half[1]))
    image.paste("lime", (0, half[1], half[0], size[1]))
    image.paste("white", (half[0], half[1], size[0], size[1]))
    buffer = io.BytesIO()
    image.save(buffer, kind, **rest)
    return buffer.getvalue()


def gzipped(body: bytes, kind: str = "text/html") -> Answer:
    return says(gzip.compress(body), kind, Content_Encoding="gzip")
