"""A web server as the other side: read only, and no more is read than was asked for.

Not through fsspec, whose HTTP file system reads whatever a server sends, however much it is.
"""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cache import InputError
from pipelines.sharing.remote import Missing, TransferFailed, explained

_TIMEOUT_S: Final = 30.0
_PIECE_BYTES: Final = 256 << 10
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_GONE: Final = (404, 410)


class WebRemote:
    """The files of a store below a web address.

    Raises:
        InputError: the address cannot be one that files are below of.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname or parts.query or parts.fragment:
            raise InputError(f"{url} is no folder on a web server. Give https://HOST/FOLDER.")
        self._url = url.rstrip("/")
        self._opener = build_opener(_OnlyOutward())

    @property
    def url(self) -> str:
        """The address."""
        return self._url

    def get(self, name: str, most: int) -> bytes | None:
        """Return a small file whole; None where there is none."""
        try:
            return b"".join(self.read(name, 0, most + 1))
        except Missing:
            return None

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from ``start`` to ``end``."""
        with explained(f"reading {self._url}/{name}"), self._opened(name, start) as answer:
            skip = start - _first_byte(answer, start)
            while start < end:
                piece = answer.read(min(_PIECE_BYTES, skip or end - start))
                if not piece:
                    return
                if skip:
                    skip -= len(piece)
                    continue
                start += len(piece)
                yield piece

    def sizes(self) -> None:
        """Return None: a web server lists nothing."""

    def close(self) -> None:
        """Do nothing: each file has a connection of its own."""

    @contextmanager
    def _opened(self, name: str, start: int) -> Iterator[http.client.HTTPResponse]:
        headers = {"User-Agent": "ramie", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = Request(f"{self._url}/{name}", headers=headers)
        try:
            answer = self._opener.open(request, timeout=_TIMEOUT_S)
        except HTTPError as error:
            error.close()
            if error.code in _GONE:
                raise FileNotFoundError from error
            if error.code in (401, 403):
                raise PermissionError(f"status {error.code}") from error
            raise
        with answer:
            yield answer


def _first_byte(answer: http.client.HTTPResponse, asked: int) -> int:
    """Return where the answer begins: servers may give the whole file, but nothing in between."""
    if answer.status == 200:
        return 0
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status != 206 or match is None or int(match[1]) != asked:
        raise TransferFailed(f"{answer.url[:300]!r} did not answer with the bytes asked for.")
    return asked


class _OnlyOutward(HTTPRedirectHandler):
    """Follows a redirect to the same host, or to one on the open internet.

    The user's own address is trusted, wherever it is. What a server redirects to is not: it may
    name a service that only this machine can reach.
    """

    def redirect_request(
        self,
        request: Request,
        answer: IO[bytes],
        code: int,
        message: str,
        headers: http.client.HTTPMessage,
        target: str,
    ) -> Request | None:
        old, new = urlsplit(request.full_url), urlsplit(urljoin(request.full_url, target))
        if new.scheme not in ("https", old.scheme):
            raise InputError(
                f"{request.full_url} redirects to {target[:300]!r}. Give https there."
            )
        if new.netloc != old.netloc:
            _check_public(new.hostname or "", new.port or 443)
        return super().redirect_request(request, answer, code, message, headers, target)


def _check_public(host: str, port: int) -> None:
    from retrieval.http.guard import is_public

    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(str(address[0])):
            raise InputError(
                f"the server redirects to {host}, which is at {address[0]}: no public address. If "
                "that is meant, give the address that it redirects to."
            )
