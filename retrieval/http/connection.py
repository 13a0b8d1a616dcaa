"""Connections that check whom they reached before they say a word, and read with a measure.

urllib3 makes a connection and reads the head of a response by methods that are overridden here:
``_new_conn`` is private, so the tests hold it to what is needed, whatever version is installed.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection

from retrieval.http.base import NoAnswer, Refused
from retrieval.http.guard import Gate, shown

# Status line and headers, with those of "100 Continue" before them.
MAX_HEAD_BYTES: Final = 64 * 2**10

_Address = tuple[Any, ...]
_Found = tuple[int, int, int, str, _Address]


def _resolve(host: str, port: int) -> Sequence[_Found]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@dataclass(frozen=True, slots=True)
class Network:
    """The two ways out; a test puts its own in their place.

    Attributes:
        resolve: returns what `socket.getaddrinfo` does.
        connect: connects a socket, with its timeout, to an address of ``resolve``.
    """

    resolve: Callable[[str, int], Sequence[_Found]] = _resolve
    connect: Callable[[socket.socket, _Address], None] = socket.socket.connect


@dataclass(slots=True)
class Exchange:
    """One request and its response, over all redirects: what it may reach, take and last.

    Attributes:
        gate: whom it may talk to.
        network: how to get there.
        timeout_s: for connecting, and for every pause.
        ends_at: `time.monotonic` at which it is given up.
        max_wire_bytes: of a response as it comes, before anything is decoded.
        reached: whether any connection was made.
    """

    gate: Gate
    network: Network
    timeout_s: float
    ends_at: float
    max_wire_bytes: int
    reached: bool = False

    def patience(self) -> float:
        """Return how many seconds the next step may take.

        Raises:
            NoAnswer: there is no time left.
        """
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise NoAnswer("it took too long as a whole", reached=self.reached)
        return min(self.timeout_s, left)

    def dial(self, host: str, port: int) -> socket.socket:
        """Return a socket that is connected to ``host`` at an address that is allowed.

        The name is resolved once, every address is judged, and then one of those addresses, not
        the name, is connected to; so there is no second look-up that could answer otherwise.

        Raises:
            Refused: an address of the host is not allowed.
            NoAnswer: the host is not known, or does not accept the connection.
        """
        host = host.strip("[]")
        addresses = self._look_up(host, port)
        for *_, address in addresses:
            self.gate.check(host, port, str(address[0]))
        problem = "it has no address"
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(self.patience())
                self.network.connect(sock, address)
                self.gate.check(host, port, str(sock.getpeername()[0]))
                # The handshake of TLS, if there is one, comes next.
                sock.settimeout(self.patience())
            except OSError as error:
                sock.close()
                problem = error.strerror or "it did not accept the connection in time"
            except BaseException:
                sock.close()
                raise
            else:
                self.reached = True
                return sock
        raise NoAnswer(problem, reached=self.reached)

    def _look_up(self, host: str, port: int) -> Sequence[_Found]:
        # The resolver cannot be told to stop, so it is asked by a thread that can be left behind.
        answers: queue.SimpleQueue[Sequence[_Found] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self.network.resolve(host, port))
            except Exception as error:  # handed over to the thread that waits
                answers.put(error)

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=self.patience())
        except queue.Empty:
            raise NoAnswer("its name was not resolved in time", reached=self.reached) from None
        if isinstance(answer, UnicodeError | ValueError):
            raise Refused(f"{shown(host)} is no name of a host. Correct the address.")
        if isinstance(answer, Exception):
            raise NoAnswer("its name cannot be resolved", reached=self.reached)
        return answer


class _Metered(io.RawIOBase):
    """The bytes of a response, counted and timed."""

    def __init__(self, wire: io.RawIOBase, sock: socket.socket, exchange: Exchange) -> None:
        self.limit = MAX_HEAD_BYTES
        self._wire = wire
        self._sock = sock
        self._exchange = exchange
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self._num_bytes > self.limit:
            raise Refused(f"it sends more than {self.limit:,} bytes. Leave it out.")
        # One pause may last so long, but all of them together no longer than the exchange.
        self._sock.settimeout(self._exchange.patience())
        num = self._wire.readinto(buffer)
        self._num_bytes += num or 0
        return num

    def close(self) -> None:
        self._wire.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response whose head and body are bounded, whatever reads them."""

    def __init__(self, sock: socket.socket, *args: Any, exchange: Exchange, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._max_wire_bytes = exchange.max_wire_bytes
        self._meter = _Metered(self.fp.detach(), sock, exchange)
        self.fp = io.BufferedReader(self._meter)

    def begin(self) -> None:
        try:
            super().begin()
        except http.client.BadStatusLine:
            raise
        except http.client.HTTPException as error:
            kind = type(error).__name__
            raise Refused(
                f"its headers are too many, too long or none ({kind}). Leave it out."
            ) from None
        self._meter.limit += self._max_wire_bytes


class GuardedHTTPConnection(HTTPConnection):
    """A connection of one exchange."""

    def __init__(self, *args: Any, exchange: Exchange, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._exchange = exchange
        # A function in place of the class that it makes: all that is done with it is to call it.
        self.response_class = partial(_Response, exchange=exchange)  # type: ignore[assignment]

    def _new_conn(self) -> socket.socket:
        return self._exchange.dial(self._dns_host, self.port)


class GuardedHTTPSConnection(GuardedHTTPConnection, HTTPSConnection):
    """A connection of one exchange, by TLS."""
