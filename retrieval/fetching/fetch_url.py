"""One page or image from the web: asked for politely, read with suspicion, told in a record."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from cache.errors import ProviderUnavailable
from cache.keys import content_key
from cache.records import Media
from retrieval.fetching.kept_image import kept_copy
from retrieval.fetching.pages import PAGE_TYPES, PageProblem, read_page
from retrieval.http.base import Client, NoAnswer, Refused, Request, Response, Verdict
from retrieval.http.clock import Clock
from retrieval.http.pace import HostPace
from retrieval.http.polite import PoliteSender
from retrieval.http.robots import Robots
from retrieval.settings import FetchSettings, PoliteSettings
from retrieval.sight.photos import PhotoProblem

FETCH: Final = "fetch"
# Stores of files often do not know what they hold; the first bytes tell.
_IMAGE_TYPES: Final = ("image/", "application/octet-stream", "binary/octet-stream")
_LATER: Final = frozenset({408, 425, 429})
# A host that wants longer pauses (Retry-After, Crawl-delay) is done without: it is one of many.
_LONGEST_WAIT_S: Final = 30.0


class Target(NamedTuple):
    """What is fetched: a URL, and what is looked for there."""

    url: str
    kind: Literal["image", "page"]


class Fetched(BaseModel):
    """What came of it, as it is recorded.

    Attributes:
        problem: why there is nothing to use; empty where there is.
        status: HTTP status; 0 without a response.
        final_url: after redirects.
        content_type: as the server named it.
        sha256: of the bytes as they came.
        media_key: of the copy that is kept of an image.
        title: of a page.
        text: of a page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    problem: str = ""
    status: int = 0
    final_url: str = ""
    content_type: str = ""
    sha256: str = ""
    media_key: str = ""
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one fetch in this run.

    Attributes:
        fetched: for the record.
        media: the copy that is kept of an image.
        passing: whether the problem may be gone another time.
        unknown: whether nothing was learnt of the target, so that it must not be recorded.
        reached: whether any server was reached, so that the network works.
        began: on the clock.
        ended: on the clock.
    """

    fetched: Fetched
    media: Media | None = None
    passing: bool = False
    unknown: bool = False
    reached: bool = True
    began: float = 0.0
    ended: float = 0.0


class UrlFetcher:
    """Fetches URLs of many hosts; threads share it, but for one host there is one at a time."""

    def __init__(
        self, client: Client, settings: FetchSettings, polite: PoliteSettings, clock: Clock
    ) -> None:
        """Fetch with ``client``, which guards addresses, sizes and times."""
        self._client = client
        self._settings = settings
        wait_s = min(polite.longest_wait_s, _LONGEST_WAIT_S)
        self._polite = polite.model_copy(update={"longest_wait_s": wait_s})
        self._clock = clock
        self._pace = HostPace(settings.seconds_between, 1, clock)
        self._robots = Robots(client) if settings.robots else None
        # One at a time: an image may take 50 million pixels, and lxml's work is not for threads.
        self._reading = threading.Lock()

    def fetch(self, target: Target) -> Outcome:
        """Return what is at ``target``, or why it cannot be used."""
        began = self._clock.now()
        return replace(self._fetch(target), began=began, ended=self._clock.now())

    def _fetch(self, target: Target) -> Outcome:
        images = target.kind == "image"
        request = Request(
            target.url,
            max_bytes=self._settings.max_image_bytes if images else self._settings.max_page_bytes,
            content_types=_IMAGE_TYPES if images else PAGE_TYPES,
        )
        tries = _Tries(self._client, self._robots, self._pace, self._polite.longest_wait_s)
        sender = PoliteSender(tries, self._polite, FETCH, clock=self._clock, pace=self._pace)
        try:
            response = sender.send(request, _judge)
        except ProviderUnavailable:
            passing = tries.refusal is None
            return Outcome(Fetched(problem=tries.problem), passing=passing, reached=tries.reached)
        if not 200 <= response.status < 300:
            problem = f"status {response.status}"
            return Outcome(_told(response, Fetched(problem=problem, status=response.status)))
        try:
            with self._reading:
                return self._read_image(response) if images else _read_page(response)
        except MemoryError:
            return Outcome(Fetched(problem="no memory"), unknown=True)

    def _read_image(self, response: Response) -> Outcome:
        digest = content_key(response.body)
        try:
            media = kept_copy(response.body, self._settings.max_image_side)
        except PhotoProblem as problem:
            told = _told(response, Fetched(problem=problem.reason, sha256=digest))
            return Outcome(told, unknown=problem.passing)
        return Outcome(_told(response, Fetched(sha256=digest, media_key=media.key)), media)


def _read_page(response: Response) -> Outcome:
    digest = content_key(response.body)
    try:
        page = read_page(response.body, response.headers.get("content-type", ""))
    except PageProblem as problem:
        return Outcome(_told(response, Fetched(problem=str(problem), sha256=digest)))
    nothing = "" if page.text else "no text on the page"
    found = Fetched(problem=nothing, sha256=digest, title=page.title, text=page.text)
    return Outcome(_told(response, found))


def _told(response: Response, found: Fetched) -> Fetched:
    """Return ``found`` with what the response says of itself."""
    return found.model_copy(
        update={
            "status": response.status,
            "final_url": response.url,
            "content_type": response.headers.get("content-type", "")[:200],
        }
    )


def _judge(response: Response) -> Verdict:
    """Return whether to come back: a page that is missing is an answer, too."""
    return "blocked" if response.status >= 500 or response.status in _LATER else "answer"


class _Tries:
    """A client that keeps to robots.txt, and remembers how the tries of one request went.

    Attributes:
        refusal: why nothing is to be had, for good.
        problem: what came of the last try, in words.
        reached: whether a server was reached.
    """

    def __init__(
        self, client: Client, robots: Robots | None, pace: HostPace, longest_wait_s: float
    ) -> None:
        self.refusal: Refused | None = None
        self.problem = ""
        self.reached = False
        self._client = client
        self._robots = robots
        self._pace = pace
        self._longest_wait_s = longest_wait_s

    def send(self, request: Request) -> Response:
        """Return the response to a request that robots.txt allows."""
        try:
            self._ask_leave(request.url)
            response = self._client.send(request)
        except Refused as refusal:
            self.refusal, self.problem = refusal, str(refusal)
            raise
        except NoAnswer as error:
            self.problem, self.reached = str(error), self.reached or error.reached
            raise
        self.reached, self.problem = True, f"status {response.status}"
        return response

    def _ask_leave(self, url: str) -> None:
        if self._robots is None:
            return
        pause = self._robots.check(url)
        if pause > self._longest_wait_s:
            raise Refused(f"its host wants {pause:.0f} s between two requests. Leave it out.")
        self._pace.hold(url, pause)
