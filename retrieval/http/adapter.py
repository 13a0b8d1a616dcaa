"""Where requests hands over to connections that are guarded."""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import parse_url

from retrieval.http.connection import Exchange, GuardedHTTPConnection, GuardedHTTPSConnection


class Adapter(HTTPAdapter):
    """Makes one exchange, by connections of its own."""

    def __init__(self, exchange: Exchange, tls: ssl.SSLContext) -> None:
        super().__init__()
        self._exchange = exchange
        self._tls = tls
        self._pool: HTTPConnectionPool | None = None

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        """Return a pool whose connections are guarded."""
        url = parse_url(request.url)
        host, kind = str(url.host), GuardedHTTPConnection
        if url.scheme == "https":
            kind = GuardedHTTPSConnection
            self._pool = HTTPSConnectionPool(host, url.port or 443, ssl_context=self._tls)
        else:
            self._pool = HTTPConnectionPool(host, url.port or 80)
        # A function in place of the class that it makes: all that is done with it is to call it.
        self._pool.ConnectionCls = partial(kind, exchange=self._exchange)  # type: ignore[assignment]
        return self._pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave it to the context, which was made once for all exchanges."""

    def close(self) -> None:
        """Close the connections."""
        super().close()
        if self._pool is not None:
            self._pool.close()
