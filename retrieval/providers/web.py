"""Provider ``web``: DuckDuckGo's texts and images, through one engine of ``ddgs``.

What is recorded is the page as it came, so that a better way to read it asks nothing again; and
ddgs' version is no part of a key for the same reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from lxml import etree, html  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict

from cache.records import Query
from retrieval.datasets.lines import shown
from retrieval.http.base import Request, Sender
from retrieval.providers.api import (
    MAX_ANSWER_BYTES,
    MAX_TEXT,
    MAX_TITLE,
    Found,
    NotAnAnswer,
    read_answer,
)
from retrieval.providers.ddgs_engine import TEXT_FIELDS, engine_class
from retrieval.providers.http import HttpProvider
from retrieval.providers.web_text import clean_text, cut_at_word, web_url
from retrieval.settings import WebSettings

# Raise it when equal answers give other hits: recordings are read again, and nobody is asked.
_READING_VERSION: Final = 1

# DuckDuckGo takes ``!word`` and ``word!`` for a jump to another site, and a backslash for one to
# the first hit: a redirect in place of an answer.
_COMMANDS: Final = re.compile(r"[!\\]+")
# It fails on more than 500 characters (SerpApi's public-roadmap, issue 3278), and SearXNG's notes
# on the engine say that very long questions are taken for a robot's.
_MAX_QUERY: Final = 400
_BOUND_TO_HIT: Final = "Eiffel Tower Paris"
_CHALLENGE: Final = "//form[@id='challenge-form'] | //*[contains(@class, 'anomaly-modal')]"
_SAYS_EMPTY: Final = "//*[contains(concat(' ', normalize-space(@class), ' '), ' no-results ')]"


class _Image(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    image: str | None = None
    title: str | None = None
    url: str | None = None


class _Images(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    results: list[_Image]


class WebApi:
    """How to ask DuckDuckGo for texts and images by text, and how to read its pages.

    The sender must send with a `retrieval.providers.ddgs_engine.EngineClient`.
    """

    name: Final = "web"
    reading: Final = _READING_VERSION
    answers_both: Final = False
    wants_pages: Final = True

    def __init__(self, settings: WebSettings) -> None:
        """Take over where ddgs finds the hits in a page.

        Raises:
            InputError: ddgs is missing, or too new or old.
        """
        engine: Any = engine_class("text", settings.backend)
        self._hits_path: str = engine.items_xpath
        self._paths = {name: engine.elements_xpath[name] for name in TEXT_FIELDS}
        self._settings = settings

    @property
    def decides(self) -> dict[str, object]:
        """Settings that decide answers: all but the proxy."""
        return self._settings.model_dump(exclude={"proxy"})

    @property
    def refusals(self) -> Mapping[int, str]:
        """Ways out by HTTP status: none but the general ones."""
        return {}

    def accepts(self, query: Query) -> bool:
        """Return whether ``query`` is one by text, with words in it."""
        return query.level == "sentence" and bool(_words(query.text))

    def request(self, query: Query, k: int) -> Request:
        """Return the request for the first page, which has about 10 texts or 100 images."""
        kind = "images" if query.modality == "image" else "web"
        return Request(
            "https://duckduckgo.com/",
            params={"q": _words(query.text), "ia": kind},
            max_bytes=MAX_ANSWER_BYTES,
        )

    def found(self, query: Query, text: str) -> list[Found]:
        """Return the hits of a page in its order, without advertisements.

        Raises:
            NotAnAnswer: it is a challenge for robots, or no page of hits; an empty page is only
                believed where it says itself that it is.
        """
        return list(_images(text) if query.modality == "image" else self._texts(text))

    def canary(self, query: Query) -> Query:
        """Return the question for a famous place, for what ``query`` looks for."""
        return replace(query, text=_BOUND_TO_HIT, embedding=None)

    def _texts(self, page: str) -> Iterator[Found]:
        try:
            tree = html.fromstring(page)
        except (etree.LxmlError, ValueError) as error:  # empty; or it declares another encoding
            raise NotAnAnswer("blocked", f"{shown(page)} is no page: {error}.") from error
        if tree.xpath(_CHALLENGE):
            raise NotAnAnswer("blocked", "DuckDuckGo wants to know whether this is a robot.")
        links = [link for hit in tree.xpath(self._hits_path) if (link := self._link(hit))["href"]]
        if not links and not tree.xpath(_SAYS_EMPTY):
            raise NotAnAnswer("blocked", f"{shown(page)} is no page of hits.")
        for link in links:
            url = web_url(_target(link["href"]))
            title = clean_text(link["title"], MAX_TITLE)
            text = clean_text(link["body"], MAX_TEXT) or title
            if url and text:
                yield Found(document_id=url, text=text, title=title, url=url)

    def _link(self, hit: Any) -> dict[str, str]:
        # Not by the engine's `extract_results`, which changes addresses (my%20page: my+page).
        return {name: "".join(hit.xpath(path)).strip() for name, path in self._paths.items()}


def web_provider(settings: WebSettings, sender: Sender) -> HttpProvider:
    """Return the provider; ``sender`` has to send with an `EngineClient` of the same settings.

    Raises:
        InputError: ddgs is missing, or too new or old.
    """
    return HttpProvider(WebApi(settings), sender)


def _images(text: str) -> Iterator[Found]:
    for image in read_answer(_Images, text).results:
        image_url = web_url(image.image or "")
        if image_url:
            title = clean_text(image.title or "", MAX_TITLE)
            yield Found(
                document_id=image_url,
                text=title,
                title=title,
                url=web_url(image.url or ""),
                image_url=image_url,
            )


def _target(href: str) -> str:
    """Return where a link leads: some pages route links over DuckDuckGo; nothing for its own."""
    try:
        parts = urlsplit(href)
        host = parts.hostname or ""
    except ValueError:  # a broken address
        return ""
    if host != "duckduckgo.com":
        return href
    # ``/y.js`` is an advertisement, and names no target.
    return parse_qs(parts.query).get("uddg", [""])[0] if parts.path == "/l/" else ""


def _words(text: str) -> str:
    """Return ``text`` as words to look for: without commands, and not too long."""
    words = " ".join(_COMMANDS.sub(" ", text).split())
    return cut_at_word(words, _MAX_QUERY) if any(map(str.isalnum, words)) else ""
