"""DuckDuckGo through ``ddgs``, with nothing lost of what the server said.

`ddgs.DDGS` mixes engines and turns every status but 200 into "No results found.". So exactly one
engine of it is taken here, and given an HTTP client that lets each exchange be seen. What ddgs
knows stays in use: its browser-like connection, the form of a question, the token that an image
search needs first, and the places of the hits in a page. A test pins what is relied on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from copy import copy
from pathlib import Path
from threading import Thread
from typing import Any, Final, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

from cache.errors import InputError
from retrieval.http.base import NoAnswer, Refused, Request, Response
from retrieval.settings import WebSettings

Category = Literal["text", "images"]
CATEGORIES: Final[tuple[Category, ...]] = ("text", "images")
TEXT_FIELDS: Final = ("title", "href", "body")
"""What an engine for texts knows to find in a hit."""

INSTALL: Final = "This one was tried: pip install 'ddgs>=9.16,<10' 'primp>=2.0.1,<3'."
_CHUNK_BYTES: Final = 65536
_TO_ASK: Final = ("build_payload", "search_method", "search_url")
_NEEDED: Final[Mapping[Category, tuple[str, ...]]] = {
    "text": (*_TO_ASK, "items_xpath", "elements_xpath"),
    "images": _TO_ASK,
}
T = TypeVar("T")


class EngineClient:
    """Sends a search: a `Client` for the search pages of one engine.

    A `Request` names the search by the address a person would open, ``https://duckduckgo.com/``
    with the parameters ``q`` and ``ia`` (``web`` or ``images``). A search for images takes two
    exchanges, the token first; the response is of the one that went wrong, else of the last.
    Redirects are not followed. Neither cookies nor tokens are part of what is asked or recorded.
    """

    def __init__(
        self,
        settings: WebSettings,
        *,
        timeout_s: float,
        deadline_s: float,
        ca_file: Path | None = None,
    ) -> None:
        """Make the engines; nothing is sent.

        Args:
            settings: which engine, how, through which proxy.
            timeout_s: for every pause between bytes.
            deadline_s: for one search, both exchanges together.
            ca_file: PEM file of authorities to trust; None trusts the usual ones.

        Raises:
            InputError: ddgs is missing or has changed, or proxy or file are unusable.
        """
        if ca_file is not None and not ca_file.is_file():
            raise InputError(f"ask.ca_file={ca_file} is no file. Give a PEM file, or none.")
        self._settings = settings
        self._timeout_s, self._deadline_s = timeout_s, deadline_s
        self._engines = {
            category: _make_engine(category, settings, deadline_s, ca_file)
            for category in CATEGORIES
        }

    def send(self, request: Request) -> Response:
        """Return the response of the search engine, whatever its status.

        Raises:
            Refused: the answer is too long, or ddgs would ask another host.
            NoAnswer: there is no complete answer.
        """
        return _interruptibly(lambda: self._search(request))

    def _search(self, request: Request) -> Response:
        from ddgs.exceptions import DDGSException

        # A copy shares the connections; what is under way is this search's alone.
        engine = copy(self._engines["images" if request.params["ia"] == "images" else "text"])
        ends_at = time.monotonic() + self._deadline_s
        exchanges = _Exchanges(
            engine.http_client.client, self._timeout_s, ends_at, request.max_bytes
        )
        engine.http_client = exchanges
        try:
            payload = engine.build_payload(
                query=request.params["q"],
                region=self._settings.region,
                safesearch=self._settings.safesearch,
                timelimit=None,
                page=1,
            )
            place = "params" if engine.search_method == "GET" else "data"
            exchanges.request(engine.search_method, engine.search_url, **{place: payload})
        except DDGSException as problem:
            # The page with the token did not come, or came without: the response says why.
            if exchanges.last is None:
                raise Refused(f"ddgs gave up before it asked: {problem}. {INSTALL}") from problem
        assert exchanges.last is not None  # `request` returned, or an exception left
        return exchanges.last


class _Page(NamedTuple):
    """What an engine sees of a response."""

    status_code: int
    content: bytes


class _Exchanges:
    """Stands in for `ddgs.http_client.HttpClient` during one search, and sees what it sees.

    Attributes:
        last: the response of the latest exchange.
    """

    def __init__(self, client: Any, timeout_s: float, ends_at: float, max_bytes: int) -> None:
        """Send with ``client``, the `primp.Client` that ddgs set up, until ``ends_at``."""
        self.last: Response | None = None
        self._client = client
        self._timeout_s = timeout_s
        self._ends_at = ends_at
        self._max_bytes = max_bytes

    def request(self, method: str, url: str, **payload: Mapping[str, str]) -> _Page:
        """Return the page at ``url``; raise ddgs' own exception unless its status is 200."""
        from ddgs.exceptions import DDGSException

        host = (urlsplit(url).hostname or "").removeprefix("html.")
        if host != "duckduckgo.com" or not url.startswith("https://"):
            raise Refused(f"ddgs would ask {url}, which is not DuckDuckGo. {INSTALL}")
        self.last = self._exchange(method, url, payload)
        if self.last.status != 200:
            raise DDGSException(f"status {self.last.status}")
        return _Page(self.last.status, self.last.body)

    def _exchange(self, method: str, url: str, payload: Mapping[str, Any]) -> Response:
        import primp

        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise NoAnswer(f"{url} took longer than ask.polite.deadline_s.", reached=True)
        reached = self.last is not None
        try:
            with self._client.request(
                method,
                url,
                **payload,
                timeout=left_s,
                read_timeout=self._timeout_s,
                follow_redirects=False,
                stream=True,
            ) as answer:
                reached = True
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status_code, answer.url, headers, self._read(answer, url))
        except primp.PrimpError as problem:
            # A timeout before the status may be one of connecting; primp does not tell.
            unsure = (primp.ConnectError, primp.DNSError, primp.TimeoutError)
            # The message starts with the whole address, question and token in it.
            reason = str(problem.args[0] if problem.args else "no reason").rpartition(" > ")[2]
            raise NoAnswer(
                f"{url} gave no complete answer: {reason}.",
                reached=reached or not isinstance(problem, unsure),
            ) from problem

    def _read(self, answer: Any, url: str) -> bytes:
        """Return the decoded body; of one that is too long, no more than a chunk too much."""
        body = bytearray()
        for chunk in answer.iter_bytes(_CHUNK_BYTES):
            body += chunk
            if len(body) > self._max_bytes:
                raise Refused(f"{url} sent more than {self._max_bytes:,} bytes.")
        return bytes(body)


def engine_class(category: Category, backend: str) -> Any:
    """Return ddgs' class of the engine, and refuse one that is not as this package needs it.

    Raises:
        InputError: ddgs is missing, or too new or old.
    """
    try:
        from ddgs.engines import ENGINES
    except ImportError as error:
        raise InputError(f"provider 'web' needs ddgs, and {error}. {INSTALL}") from error
    engine = ENGINES.get(category, {}).get(backend)
    missing = [name for name in _NEEDED[category] if not hasattr(engine, name)]
    missing += [
        f"elements_xpath[{name!r}]"
        for name in TEXT_FIELDS
        if category == "text" and name not in getattr(engine, "elements_xpath", {})
    ]
    if missing:
        raise InputError(
            f"engine {backend!r} for {category} of this ddgs lacks {', '.join(missing)}. {INSTALL}"
        )
    return engine


def _make_engine(
    category: Category, settings: WebSettings, deadline_s: float, ca_file: Path | None
) -> Any:
    kind = engine_class(category, settings.backend)
    import primp

    try:
        engine = kind(
            proxy=settings.proxy,
            timeout=math.ceil(deadline_s),
            verify=True if ca_file is None else str(ca_file),
        )
        client = engine.http_client.client
    except primp.PrimpError as error:
        # The proxy's address may hold a password, so neither it nor the reason is repeated.
        raise InputError(
            "ask.web.proxy or ask.ca_file cannot be used. Write the proxy as "
            "http://HOST:PORT, and give a PEM file."
        ) from error
    except (AttributeError, TypeError) as error:
        raise InputError(
            f"this ddgs is made another way than expected: {error}. {INSTALL}"
        ) from error
    if not isinstance(client, primp.Client):
        raise InputError(f"this ddgs sends with {type(client).__name__}. {INSTALL}")
    return engine


def _interruptibly(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, but let Ctrl-C through at once.

    primp waits outside Python, where no signal is looked at, until its deadline. So it waits in
    a thread of its own, which nobody waits for when this one is interrupted.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as problem:  # also a panic of Rust; it is the caller's to handle
            future.set_exception(problem)

    Thread(target=run, name="ddgs", daemon=True).start()
    return future.result()
