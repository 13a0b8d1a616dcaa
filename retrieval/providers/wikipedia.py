"""Provider ``wikipedia``: passages and page images from a MediaWiki action API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

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
from retrieval.providers.web_text import clean_text, web_url
from retrieval.settings import WikipediaSettings

# Raise it when equal settings and questions make another request: they are asked anew.
_REQUEST_VERSION: Final = 1
# Raise it when equal answers give other hits: recordings are read again, and nobody is asked.
_READING_VERSION: Final = 1
# CirrusSearch refuses longer searches.
_MAX_SEARCH: Final = 300
# TextExtracts gives no more introductions in one answer.
_MAX_PAGES: Final = 20
_MAX_LAG_S: Final = 5
_WORD: Final = re.compile(r"\w+(?:['\u2019.-]\w+)*")
_OPERATORS: Final = frozenset({"AND", "OR", "NOT"})
# Errors that pass; the codes of the API and of its search.
_PASSING: Final = ("maxlag", "ratelimited", "readonly", "internal_api_error", "cirrussearch-")


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Thumbnail(_Foreign):
    source: str


class _Page(_Foreign):
    title: str
    index: int = _MAX_PAGES  # place in the search's answer, from 1
    extract: str = ""
    fullurl: str
    thumbnail: _Thumbnail | None = None


class _Pages(_Foreign):
    pages: list[_Page] = []


class _Error(_Foreign):
    code: str
    info: str = ""


class _Answer(_Foreign):
    query: _Pages | None = None
    error: _Error | None = None
    # Says that the answer is whole; nothing found is an object with this alone.
    batchcomplete: bool | None = None
    onward: dict[str, object] | None = Field(default=None, alias="continue")


class _WikipediaApi:
    """An `Api`: https://www.mediawiki.org/wiki/API:Search, generator=search."""

    name: Final = "wikipedia"
    reading: Final = _READING_VERSION
    answers_both: Final = True
    wants_pages: Final = False
    refusals: Mapping[int, str] = {}

    def __init__(self, settings: WikipediaSettings) -> None:
        self._settings = settings

    @property
    def decides(self) -> dict[str, object]:
        return {
            "version": _REQUEST_VERSION,
            "endpoint": self._settings.endpoint,
            "thumbnail_px": self._settings.thumbnail_px,
        }

    def accepts(self, query: Query) -> bool:
        return query.level == "sentence" and bool(search_words(query.text))

    def request(self, query: Query, k: int) -> Request:
        params = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "maxlag": str(_MAX_LAG_S),
            "generator": "search",
            "gsrsearch": search_words(query.text),
            "gsrlimit": str(min(max(k, 1), _MAX_PAGES)),
            "gsrnamespace": "0",
            # Texts and images in one answer, so that one request serves both questions of a post.
            "prop": "extracts|pageimages|info",
            "exintro": "1",
            "explaintext": "1",
            "exlimit": "max",
            "piprop": "thumbnail",
            "pithumbsize": str(self._settings.thumbnail_px),
            "pilimit": "max",
            "inprop": "url",
        }
        return Request(self._settings.endpoint, params=params, max_bytes=MAX_ANSWER_BYTES)

    def found(self, query: Query, text: str) -> list[Found]:
        answer = read_answer(_Answer, text)
        if answer.error is not None:
            raise _complaint(answer.error)
        if answer.query is None:
            if answer.batchcomplete is None and answer.onward is None:
                raise NotAnAnswer("blocked", "The JSON is no answer of a MediaWiki API.")
            return []
        pages = sorted(answer.query.pages, key=lambda page: page.index)
        of_page = _passage if query.modality == "text" else _image
        return [one for page in pages if (one := of_page(page)) is not None]

    def canary(self, query: Query) -> Query:
        return Query("sentence", query.modality, text="Paris")


def wikipedia_provider(settings: WikipediaSettings, sender: Sender) -> HttpProvider:
    """Return the provider; see `search_words` for what becomes of a sentence.

    ``sender`` has to ask one request after the other, with the contact in its User-Agent.

    Raises:
        InputError: ``settings`` name no contact, or no usable endpoint.
    """
    if not settings.contact.strip():
        raise InputError(
            "provider 'wikipedia' needs a contact: its API demands one in the User-Agent. "
            "Set ask.wikipedia.contact to your mail address or home page."
        )
    if not web_url(settings.endpoint):
        raise InputError(
            f"ask.wikipedia.endpoint={settings.endpoint!r} is no address of the web. "
            "Set it to the wiki's api.php, as https://en.wikipedia.org/w/api.php."
        )
    return HttpProvider(_WikipediaApi(settings), sender)


def search_words(sentence: str) -> str:
    """Return the search for ``sentence``: its distinct words, joined by OR.

    CirrusSearch looks for pages with every word, of which a sentence has none; joined by OR, the
    pages that share the rarest words come first. Characters that it takes for operators are
    gone. It refuses searches of more than 300 characters, so that later words are left out.
    """
    words: dict[str, str] = {}
    for word in _WORD.findall(sentence):
        if len(word) <= _MAX_SEARCH:
            words.setdefault(word.casefold(), word.lower() if word in _OPERATORS else word)
    search = ""
    for word in words.values():
        longer = f"{search} OR {word}" if search else word
        if len(longer) > _MAX_SEARCH:
            break
        search = longer
    return search


def _passage(page: _Page) -> Found | None:
    text, url = clean_text(page.extract, MAX_TEXT), web_url(page.fullurl)
    if not text or not url:
        return None
    return Found(document_id=url, text=text, title=clean_text(page.title, MAX_TITLE), url=url)


def _image(page: _Page) -> Found | None:
    url = web_url(page.thumbnail.source) if page.thumbnail is not None else ""
    if not url:
        return None
    title = clean_text(page.title, MAX_TITLE)
    return Found(
        document_id=url, text=title, title=title, url=web_url(page.fullurl), image_url=url
    )


def _complaint(error: _Error) -> NotAnAnswer:
    told = f"MediaWiki says {clean_text(error.code, 80)}: {clean_text(error.info, 200)}"
    if error.code.startswith(_PASSING):
        return NotAnAnswer("blocked", told)
    return NotAnAnswer("refused", f"{told}. Check ask.wikipedia.endpoint.")
