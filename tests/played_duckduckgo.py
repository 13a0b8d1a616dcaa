"""A DuckDuckGo that is played on this machine, and the real client of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from connect_proxy import Asked, ConnectProxy, Reply, Script

from cache.errors import ProviderUnavailable
from cache.records import Hit, Query
from retrieval.http.polite import PoliteSender
from retrieval.providers.ddgs_engine import EngineClient
from retrieval.providers.http import HttpProvider
from retrieval.providers.web import WebApi
from retrieval.settings import PoliteSettings, WebSettings

ASKED_AT = "2026-11-22T16:00:00+00:00"
TEXTS = Query("sentence", "text", text="Paris at night")
IMAGES = Query("sentence", "image", text="Paris at night")

CHALLENGE = b"""<html><head><title>DuckDuckGo</title></head><body>
<form id="challenge-form" action="//duckduckgo.com/anomaly.js?cc=botnet" method="POST">
<div class="anomaly-modal__title">Unfortunately, bots use DuckDuckGo too.</div>
<div class="anomaly-modal__body"><a href="https://duckduckgo.com/">Back</a></div></form></body>"""
NO_TEXTS = b"""<html><body><form id="search_form"><input name="q"></form><div id="links">
<div class="result results_links results_links_deep result--no-result">
<div class="links_main links_deep result__body"><div class="no-results">No results.</div></div>
</div></div></body></html>"""
TOKEN_PAGE = b"<html><script>nrj('/d.js?q=x');vqd=\"4-1234567890\";</script></html>"


def text_page(hits: Sequence[tuple[str, str, str]]) -> bytes:
    """Return a page of hits (title, address, snippet), all of them HTML already."""
    results = "".join(
        '<div class="result results_links results_links_deep web-result ">'
        '<div class="links_main links_deep result__body"><h2 class="result__title">'
        f'<a rel="nofollow" class="result__a" href="{href}">{title}</a></h2>'
        f'<div class="result__extras"><a href="{href}">icon</a></div>'
        f'<a class="result__snippet" href="{href}">{snippet}</a>'
        '<div class="clear"></div></div></div>'
        for title, href, snippet in hits
    )
    page = (
        f'<html><head><title>x</title></head><body><div id="links">{results}</div></body></html>'
    )
    return page.encode()


def image_answer(hits: Sequence[tuple[str, str, str]]) -> bytes:
    """Return an answer with images (title, address of the image, address of the page)."""
    results = [
        {
            "title": title,
            "image": image,
            "url": url,
            "thumbnail": "t",
            "height": 1,
            "source": "Bing",
        }
        for title, image, url in hits
    ]
    return json.dumps({"ads": None, "query": "q", "results": results}).encode()


THREE_TEXTS = text_page(
    [
        (f"Title {n}", f"https://site{n}.example/a?b={n}&amp;c=d", f"Snippet <b>{n}</b> &amp; on")
        for n in range(3)
    ]
)
THREE_IMAGES = image_answer(
    [(f"Photo {n}", f"https://img.example/{n}.jpg", f"https://site.example/{n}") for n in range(3)]
)


def duckduckgo(
    texts: Reply | None = None, token: Reply | None = None, images: Reply | None = None
) -> Script:
    """Return a DuckDuckGo; what is not given answers well."""

    def script(asked: Asked) -> Reply:
        replies = {
            ("POST", "html.duckduckgo.com", "/html/"): texts or Reply(body=THREE_TEXTS),
            ("GET", "duckduckgo.com", "/"): token or Reply(body=TOKEN_PAGE),
            ("GET", "duckduckgo.com", "/i.js"): images or Reply(body=THREE_IMAGES),
        }
        return replies.get((asked.method, asked.host, asked.path), Reply(404))

    return script


def client(proxy: ConnectProxy, timeout_s: float = 60, deadline_s: float = 60) -> EngineClient:
    return EngineClient(
        WebSettings(proxy=proxy.address),
        timeout_s=timeout_s,
        deadline_s=deadline_s,
        ca_file=proxy.ca_file,
    )


def provider(proxy: ConnectProxy, timeout_s: float = 60, deadline_s: float = 60) -> HttpProvider:
    once = PoliteSettings(seconds_between=0, attempts=1)
    sender = PoliteSender(client(proxy, timeout_s, deadline_s), once, "web")
    return HttpProvider(WebApi(WebSettings()), sender)


def ask(asked: HttpProvider, query: Query, k: int = 20) -> list[Hit] | ProviderUnavailable:
    (body,) = asked.ask([query], k)
    return body if isinstance(body, ProviderUnavailable) else asked.parse(query, body, ASKED_AT)


def hits_of(asked: HttpProvider, query: Query, k: int = 20) -> list[Hit]:
    found = ask(asked, query, k)
    assert isinstance(found, list), found
    return found
