"""How the world outside is treated, and how much is taken from it."""

from __future__ import annotations

from pydantic import Field

from retrieval.settings.base import Settings


class PoliteSettings(Settings):
    """How the world outside is treated: machine facts, in no fingerprint.

    Attributes:
        seconds_between: between the starts of two requests to one host.
        together: requests under way at one host at a time, where several providers ask it: each
            of them asks one thing at a time.
        timeout_s: for connecting, and for every pause between bytes.
        deadline_s: for one whole request.
        attempts: tries of one request before it counts as not answered.
        first_pause_s: before the second try at most so long, doubled with each further one.
        longest_wait_s: a server that asks for a longer pause (``Retry-After``) is a block.
        failures_to_break: failures in a row after which a provider is left alone ...
        rest_s: ... for so long, before one request tries it again.
        max_queries: at most so many questions are asked in one run, canaries included; two that
            one request answers are two. None sets no limit.
        max_minutes: no question is asked later than this after the start; None sets no limit.
    """

    seconds_between: float = Field(default=2.5, ge=0)
    together: int = Field(default=1, ge=1)
    timeout_s: float = Field(default=10, gt=0)
    deadline_s: float = Field(default=30, gt=0)
    attempts: int = Field(default=4, ge=1)
    first_pause_s: float = Field(default=2, ge=0)
    longest_wait_s: float = Field(default=300, ge=0)
    failures_to_break: int = Field(default=5, ge=1)
    rest_s: float = Field(default=300, ge=0)
    max_queries: int | None = Field(default=None, ge=0)
    max_minutes: float | None = Field(default=None, ge=0)


class FetchSettings(Settings):
    """What is fetched of the pages and images that a live provider names, and how much of it.

    Attributes:
        pages: fetch the pages behind snippets and keep their text; False keeps the snippets.
        max_page_bytes: of the decoded page; more is refused.
        max_page_chars: of the text that is kept of a page.
        max_image_bytes: of the image as it comes; more is refused.
        max_image_side: larger images are kept scaled down to this many pixels.
        robots: obey robots.txt.
        allowed_hosts: ``host`` or ``host:port`` with a private address that may be fetched all
            the same (an intranet, a test server); a machine fact.
        together: fetches under way at a time, over all hosts; a machine fact.
        seconds_between: between the starts of two fetches from one host, which are never under
            way together; a longer ``Crawl-delay`` counts. A machine fact.
    """

    pages: bool = True
    max_page_bytes: int = Field(default=2 * 2**20, ge=1)
    max_page_chars: int = Field(default=2000, ge=100)
    max_image_bytes: int = Field(default=10 * 2**20, ge=1)
    max_image_side: int = Field(default=768, ge=32)
    robots: bool = True
    allowed_hosts: tuple[str, ...] = ()
    together: int = Field(default=8, ge=1)
    seconds_between: float = Field(default=0.5, ge=0)
