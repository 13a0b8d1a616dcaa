"""The client that fetches what strangers name: guarded, bounded, and alone with its request.

It uses the parts of requests that make a request and read a response, and no `requests.Session`:
so neither proxies and passwords of the environment, nor cookies, nor redirects that nobody has
looked at play a part.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import urldefrag, urljoin

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from cache.errors import InputError
from retrieval.http.adapter import Adapter
from retrieval.http.base import Refused, Request, Response
from retrieval.http.connection import (
    MAX_HEAD_BYTES,
    Exchange,
    Network,
)
from retrieval.http.guard import Gate, check_url, host_and_port, shown
from retrieval.http.problems import explained
from retrieval.settings import PoliteSettings

MAX_REDIRECTS: Final = 3
# Only what is decoded here may come; a further encoding would depend on what is installed.
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES: Final = 64 * 2**10
# Of the body that explains an error.
_MAX_ERROR_BYTES: Final = 64 * 2**10
_TOO_LARGE: Final = "it is larger than {:,} bytes. Leave it out, or raise the limit."
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")


def user_agent(contact: str) -> str:
    """Return how requests introduce themselves: the program, and whom to write to."""
    return f"ramie/{version('ramie')}" + (f" ({contact})" if contact else "")


class GuardedClient:
    """Sends one request; see `retrieval.http.base.Client`. Threads may share it."""

    def __init__(
        self,
        polite: PoliteSettings,
        *,
        contact: str = "",
        allowed_hosts: tuple[str, ...] = (),
        ca_file: Path | None = None,
        network: Network | None = None,
    ) -> None:
        """Trust no address but public ones and ``allowed_hosts``.

        Args:
            polite: timeout and deadline.
            contact: mail address or page, for the User-Agent.
            allowed_hosts: as `Gate` takes them.
            ca_file: certificates to trust instead of the usual ones.
            network: resolver and dialler; None means the machine's.

        Raises:
            InputError: ``ca_file`` or ``contact`` cannot be used.
        """
        if not contact.isascii() or not contact.isprintable():
            raise InputError(f"the contact {shown(contact)} is not plain ASCII. Correct it.")
        self._timeout_s, self._deadline_s = polite.timeout_s, polite.deadline_s
        self._user_agent = user_agent(contact)
        self._gate = Gate(allowed_hosts)
        self._network = network or Network()
        try:
            self._tls = ssl.create_default_context(cafile=ca_file or DEFAULT_CA_BUNDLE_PATH)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"ask.ca_file={ca_file} holds no certificates ({error}). Give a PEM file."
            ) from error

    def send(self, request: Request) -> Response:
        """Return the response, after at most three redirects of a ``GET``.

        Of a response other than 2xx the body is cut where it is long.

        Raises:
            Refused: by address, scheme, type, size or form.
            NoAnswer: not resolved, not reached, broken off, or too slow.
        """
        exchange = Exchange(
            self._gate,
            self._network,
            self._timeout_s,
            time.monotonic() + self._deadline_s,
            2 * request.max_bytes + MAX_HEAD_BYTES,
        )
        for _ in range(MAX_REDIRECTS + 1):
            check_url(request.url)
            with explained(request.url, exchange):
                answer = self._exchange(request, exchange)
            if isinstance(answer, Response):
                return answer
            request = answer
        raise Refused(f"{shown(request.url)} is one redirect too many. Leave it out.")

    def _exchange(self, request: Request, exchange: Exchange) -> Response | Request:
        """Return the response, or the request that it redirects to."""
        prepared = self._prepare(request)
        url = urldefrag(str(prepared.url)).url
        with closing(Adapter(exchange, self._tls)) as adapter:
            raw = adapter.send(prepared, stream=True, timeout=self._timeout_s)
            with closing(raw):
                if raw.status_code in _REDIRECTS and "Location" in raw.headers:
                    return _redirected(request, url, raw.headers["Location"])
                good = 200 <= raw.status_code < 300
                if good:
                    _check_form(request, raw.headers)
                body = b"".join(_bounded(raw, request.max_bytes, good=good))
                headers = {name.lower(): _plain(value) for name, value in raw.headers.items()}
                return Response(raw.status_code, url, headers, body)

    def _prepare(self, request: Request) -> requests.PreparedRequest:
        headers = {
            "Accept": "*/*",
            **request.headers,
            "Accept-Encoding": "gzip, deflate",
            "Connection": "close",
            "User-Agent": self._user_agent,
        }
        try:
            prepared = requests.Request(
                request.method,
                request.url,
                headers=headers,
                params=dict(request.params),
                json=request.json,
            ).prepare()
        except (requests.RequestException, ValueError) as error:
            raise Refused(
                f"no request can be made of it ({type(error).__name__}). Correct it."
            ) from None
        # Two parsers that disagree on a URL must not let it past.
        check_url(str(prepared.url))
        if parse_url(str(prepared.url)).auth is not None:
            raise Refused("it holds a user name. Remove it.")
        return prepared


def _redirected(request: Request, url: str, location: str) -> Request:
    """Return the request for where a response points to.

    Raises:
        Refused: what was sent is not meant for anybody else.
    """
    if request.method != "GET":
        raise Refused("it redirects a request that is for its host alone. Correct the address.")
    if _CONTROLS.search(location):
        raise Refused("it redirects to an address with control characters. Leave it out.")
    # Header bytes come as latin-1; addresses in them are UTF-8 where they are not ASCII.
    with suppress(UnicodeError):
        location = location.encode("latin-1").decode("utf-8")
    try:
        target = urljoin(url, location)
        same = host_and_port(target) == host_and_port(url)
    except ValueError:
        raise Refused("it redirects to what is no address. Leave it out.") from None
    return replace(request, url=target, params={}, headers=request.headers if same else {})


def _check_form(request: Request, headers: Mapping[str, str]) -> None:
    """Refuse a body by what the head says of it: its type, encoding and length."""
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    wanted = request.content_types
    if wanted and not any(
        kind == one or (one[-1] == "/" and kind.startswith(one)) for one in wanted
    ):
        raise Refused(f"it is of type {shown(kind)}, not {' or '.join(wanted)}. Leave it out.")
    encodings = {one.strip().lower() for one in headers.get("Content-Encoding", "").split(",")}
    if not encodings <= _ENCODINGS:
        raise Refused(f"its encoding {shown(str(sorted(encodings)))} was not asked for. Leave it.")
    length = headers.get("Content-Length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > request.max_bytes):
        raise Refused(_TOO_LARGE.format(request.max_bytes))


def _bounded(raw: requests.Response, max_bytes: int, *, good: bool) -> Iterator[bytes]:
    """Yield the decoded body; what is too much of it is never decoded."""
    left = max_bytes if good else min(max_bytes, _MAX_ERROR_BYTES)
    try:
        for chunk in raw.raw.stream(_CHUNK_BYTES, decode_content=True):
            if len(chunk) > left and good:
                raise Refused(_TOO_LARGE.format(max_bytes))
            yield chunk[:left]
            left -= len(chunk)
            if left < 0:
                return
    except HTTPError:
        # Of an error the status counts; it may break off while it explains itself.
        if good:
            raise


def _plain(value: str) -> str:
    return _CONTROLS.sub(" ", value)
