"""A proxy on this machine that counts what travels, and can slow it down and spoil it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

# Gets what travels and whether it goes to the server; returns what is to arrive.
Tamper = Callable[[bytes, bool], bytes]
_PIECE_BYTES: Final = 64 << 10
_SHORTEST_SLEEP_S: Final = 1e-3


class CountingProxy:
    """Passes connections on to a port of this machine.

    Attributes:
        port: where it listens.
        to_server: bytes so far, heads of requests included.
        to_client: bytes so far.
        tamper: called with everything that passes; None passes it on as it is.
        bytes_per_second: that pass, over all connections. Without a limit, what a process leaves
            unread when it is killed is whatever the kernel had room for.
    """

    def __init__(self, target_port: int, bytes_per_second: float = float("inf")) -> None:
        self.to_server = 0
        self.to_client = 0
        self.tamper: Tamper | None = None
        self.bytes_per_second = bytes_per_second
        self._free_at = 0.0
        self._room = float("inf")
        self._holding, self._let_go = threading.Event(), threading.Event()
        self._target = ("127.0.0.1", target_port)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Address of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def holding_back(self, num_bytes: int) -> Iterator[threading.Event]:
        """Let so many bytes more pass, over all connections, and then none until the end.

        Whoever needs more can be killed without hurry. What is held back is lost in the end, with
        its connections.

        Yields:
            Set once something is held back.
        """
        with self._lock:
            self._holding, self._let_go = threading.Event(), threading.Event()
            self._room = num_bytes
        try:
            yield self._holding
        finally:
            with self._lock:
                self._room = float("inf")
            self._let_go.set()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> CountingProxy:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                for source, sink in ((client, server), (server, client)):
                    up = source is client
                    threading.Thread(
                        target=self._pump, args=(source, sink, up), daemon=True
                    ).start()

    def _wait_for_turn(self, num_bytes: int) -> None:
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + num_bytes / self.bytes_per_second
        if self._free_at - now > _SHORTEST_SLEEP_S:
            time.sleep(self._free_at - now)

    def _passes(self, num_bytes: int) -> bool:
        """Return whether so many bytes may pass; False comes once nobody holds them back."""
        with self._lock:
            if self._room > 0:
                self._room -= num_bytes
                return True
            holding, let_go = self._holding, self._let_go
        holding.set()
        let_go.wait()
        return False

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while (data := source.recv(_PIECE_BYTES)) and self._passes(len(data)):
                with self._lock:
                    self._wait_for_turn(len(data))
                    self.to_server += len(data) * up
                    self.to_client += len(data) * (not up)
                    if self.tamper is not None:
                        data = self.tamper(data, up)
                sink.sendall(data)
        # Both: a client that was killed reads nothing more, and neither should its server.
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
