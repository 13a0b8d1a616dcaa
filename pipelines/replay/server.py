"""A server on this machine that answers as MediaWiki, SearXNG, Google Vision and Qdrant do.

Tests and benchmarks ask it in place of the world: it knows a small made-up web, serves the pages
and images of it, misbehaves as told, and remembers every request. ``python -m pipelines.replay``
runs it as a process of its own, so that builds can be killed around it.
"""

from __future__ import annotations

import argparse
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cache.closing import Closing
from pipelines.replay.faults import Faults
from pipelines.replay.http import Listener
from pipelines.replay.script import Logged, Script


class ReplayServer(Closing):
    """Serves from the start to `close`; a context manager.

    Attributes:
        address: scheme, host and port; for ``ask.searxng.address`` and ``ask.qdrant.address``.
    """

    def __init__(
        self,
        faults: Faults | None = None,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        log_file: Path | None = None,
    ) -> None:
        """Listen on 127.0.0.1.

        Args:
            faults: None misbehaves never.
            port: 0 takes a free one.
            tls: with a certificate for 127.0.0.1; None speaks plain HTTP.
            log_file: one JSON line per request is appended to it.
        """
        self._script = Script(faults or Faults(), log_file)
        self._listener = Listener(("127.0.0.1", port), self._script, tls)
        scheme = "http" if tls is None else "https"
        self.address = f"{scheme}://127.0.0.1:{self._listener.server_port}"
        self._script.address = self.address
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, name="replay"
        )
        self._thread.start()

    @property
    def faults(self) -> Faults:
        """What goes wrong with the APIs; may be set between requests."""
        return self._script.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._script.faults = faults

    @property
    def log(self) -> list[Logged]:
        """The requests so far, in the order in which they came."""
        return self._script.log

    @property
    def wikipedia_endpoint(self) -> str:
        """For ``ask.wikipedia.endpoint``."""
        return f"{self.address}/w/api.php"

    @property
    def vision_endpoint(self) -> str:
        """For ``ask.vision.endpoint``; the key is `pipelines.replay.http.VISION_KEY`."""
        return f"{self.address}/v1/images:annotate"

    @property
    def num_connections(self) -> int:
        """How many connections are open; what came by those that ended is in the log."""
        return self._listener.num_open

    def close(self) -> None:
        """Stop; requests under way are broken off."""
        self._script.close()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a server until the process is ended, after printing its address."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.replay", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", type=Path, help="append one JSON line per request to this file")
    parser.add_argument("--seed", type=int, default=0)
    shares = ("blocked", "garbage", "slow", "redirected", "huge")
    for share in shares:
        parser.add_argument(f"--{share}", type=float, default=0.0, help="share of the requests")
    parser.add_argument("--retry-after", nargs="+", default=[""], help="values of that header")
    parser.add_argument("--slow-s", type=float, default=1.0)
    parser.add_argument("--redirect-to", default="")
    options = vars(parser.parse_args(arguments))
    port, log_file = options.pop("port"), options.pop("log")
    options["retry_after"] = tuple(options["retry_after"])
    with ReplayServer(Faults(**options), port=port, log_file=log_file) as server:
        print(server.address, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
