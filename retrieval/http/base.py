"""What goes out, what comes back, and the ways in which it can fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cache.errors import RamieError


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        url: without query string where ``params`` are given.
        method: ``GET`` or ``POST``.
        params: of the query string.
        headers: beside the User-Agent, which the client adds. A key goes here: headers are in no
            log, message or record.
        json: body of a ``POST``.
        max_bytes: of the decoded body; more is refused.
        content_types: media types that are taken, as ``text/html`` or ``image/``; empty takes all.
    """

    url: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: object = field(default=None, repr=False)
    max_bytes: int = 10 * 2**20
    content_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered, whatever its status.

    Attributes:
        status: HTTP status.
        url: after redirects.
        headers: names in lower case.
        body: decoded (no content encoding is left).
    """

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class HttpProblem(RamieError):
    """There is no response. The message names the URL and what to do."""


class Refused(HttpProblem):
    """Not asked, or not taken, because of what it is: address, scheme, type, size, robots.txt.

    Asking again would change nothing.
    """


class NoAnswer(HttpProblem):
    """The server could not be reached, broke off, or took too long; later it may answer.

    Attributes:
        reached: whether a connection was made, so that the network is known to work.
    """

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached


class Client(Protocol):
    """Sends one request, once."""

    def send(self, request: Request) -> Response:
        """Return the response.

        Raises:
            Refused: the request or its answer is against the rules.
            NoAnswer: there is no complete answer.
        """
        ...


Verdict = Literal["answer", "blocked", "refused"]
"""What a response means: take it; ask again later; asking again would change nothing."""

Judge = Callable[[Response], Verdict]


class Sender(Protocol):
    """Sends requests politely: limits, repeats, pauses, a breaker."""

    def send(self, request: Request, judge: Judge) -> Response:
        """Return the first response that ``judge`` takes as an answer.

        Raises:
            ProviderUnavailable: blocked, broken or out of budget, after all that may be tried.
        """
        ...


def judge_status(response: Response) -> Verdict:
    """Return what the status alone says: 200 answers; 202, 403, 408, 425, 429, 5xx block."""
    if response.status == 200:
        return "answer"
    if response.status in {202, 403, 408, 425, 429} or response.status >= 500:
        return "blocked"
    return "refused"
