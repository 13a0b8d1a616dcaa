"""Provider ``searxng``: texts and images from a self-hosted SearXNG's JSON API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin

from pydantic import BaseModel, ConfigDict

from cache.errors import InputError
from cache.records import Query
from retrieval.http.base import Request, Sender
from retrieval.providers.api import (
    MAX_ANSWER_BYTES,
    MAX_TEXT,
    MAX_TITLE,
    Found,
    NotAnAnswer,
    read_answer,
)
from retrieval.providers.http import HttpProvider
from retrieval.providers.web_text import clean_text, cut_at_word, web_url
from retrieval.settings import SearxngSettings

# Raise it when equal settings and questions make another request: they are asked anew.
_REQUEST_VERSION: Final = 1
# Raise it when equal answers give other hits: recordings are read again, and nobody is asked.
_READING_VERSION: Final = 1
# The engines behind it cut or refuse much longer ones.
_MAX_SEARCH: Final = 400
# At the start of a word these choose engines, languages and time limits, or (!!) redirect.
_OPERATORS: Final = "!:<?"
_CATEGORIES: Final = {"text": "general", "image": "images"}


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Result(_Foreign):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    img_src: str | None = None
    thumbnail_src: str | None = None


class _Answer(_Foreign):
    results: list[_Result]
    # Pairs of engine and reason; which form they take has changed, so only whether is read.
    unresponsive_engines: list[object] = []


class _SearxngApi:
    """An `Api`: https://docs.searxng.org/dev/search_api.html."""

    name: Final = "searxng"
    reading: Final = _READING_VERSION
    answers_both: Final = False
    wants_pages: Final = True
    refusals: Mapping[int, str] = {
        403: "SearXNG answers so where JSON is off. Add json to search.formats in its "
        "settings.yml, and start it again.",
        404: "There is no SearXNG at this address. Check ask.searxng.address.",
    }

    def __init__(self, settings: SearxngSettings) -> None:
        self._settings = settings
        self._address = settings.address.rstrip("/")

    @property
    def decides(self) -> dict[str, object]:
        return {
            "version": _REQUEST_VERSION,
            "address": self._address,
            "engines": list(self._settings.engines),
            "language": self._settings.language,
        }

    def accepts(self, query: Query) -> bool:
        return query.level == "sentence" and bool(_search(query.text))

    def request(self, query: Query, k: int) -> Request:
        # There is no parameter for the number of results; `HttpProvider.parse` keeps the first.
        params = {
            "q": _search(query.text),
            "format": "json",
            "categories": _CATEGORIES[query.modality],
            "language": self._settings.language,
            "pageno": "1",
        }
        if self._settings.engines:
            params["engines"] = ",".join(self._settings.engines)
        return Request(f"{self._address}/search", params=params, max_bytes=MAX_ANSWER_BYTES)

    def found(self, query: Query, text: str) -> list[Found]:
        answer = read_answer(_Answer, text)
        if not answer.results and answer.unresponsive_engines:
            silent = clean_text(str(answer.unresponsive_engines[:5]), 200)
            raise NotAnAnswer("blocked", f"No engine behind SearXNG answered: {silent}.")
        of_result = _passage if query.modality == "text" else self._image
        return [one for result in answer.results if (one := of_result(result)) is not None]

    def canary(self, query: Query) -> Query:
        return Query("sentence", query.modality, text="Paris")

    def _image(self, result: _Result) -> Found | None:
        url = self._absolute(result.img_src) or self._absolute(result.thumbnail_src)
        if not url:
            return None
        title = clean_text(result.title or "", MAX_TITLE)
        return Found(
            document_id=url,
            text=title,
            title=title,
            url=web_url(result.url or ""),
            image_url=url,
        )

    def _absolute(self, source: str | None) -> str:
        """Return an address of the web, or nothing: some engines give the picture itself."""
        try:
            # Some give addresses without a scheme, or below the instance.
            return web_url(urljoin(f"{self._address}/", source)) if source else ""
        except ValueError:  # a broken IPv6 address
            return ""


def searxng_provider(settings: SearxngSettings, sender: Sender) -> HttpProvider:
    """Return the provider.

    Raises:
        InputError: ``settings`` name no usable address.
    """
    if not web_url(settings.address):
        raise InputError(
            f"provider 'searxng' needs the address of an instance, not {settings.address!r}. "
            "Set ask.searxng.address, as http://localhost:8888 (no user name in it)."
        )
    return HttpProvider(_SearxngApi(settings), sender)


def _search(sentence: str) -> str:
    """Return ``sentence`` without what SearXNG takes for commands, cut at a word."""
    words = (word.lstrip(_OPERATORS) for word in sentence.split())
    return cut_at_word(" ".join(word for word in words if word), _MAX_SEARCH)


def _passage(result: _Result) -> Found | None:
    url = web_url(result.url or "")
    title = clean_text(result.title or "", MAX_TITLE)
    # Some engines give no snippet; the page itself is fetched later.
    text = clean_text(result.content or "", MAX_TEXT) or title
    if not url or not text:
        return None
    return Found(document_id=url, text=text, title=title, url=url)
