"""How provider ``web`` reads DuckDuckGo, with the real client against one that is played."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import pytest
from connect_proxy import ConnectProxy, Reply
from played_duckduckgo import (
    ASKED_AT,
    CHALLENGE,
    IMAGES,
    NO_TEXTS,
    TEXTS,
    THREE_IMAGES,
    THREE_TEXTS,
    ask,
    client,
    duckduckgo,
    hits_of,
    image_answer,
    provider,
    text_page,
)

from cache.errors import InputError
from cache.records import Query
from retrieval.http.polite import PoliteSender
from retrieval.providers.base import LiveProvider, is_live, query_key
from retrieval.providers.http import HttpProvider
from retrieval.providers.web import WebApi
from retrieval.settings import PoliteSettings, WebSettings


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[ConnectProxy]:
    with ConnectProxy(tmp_path, duckduckgo()) as opened:
        yield opened


def test_it_is_a_live_provider_whose_texts_are_snippets(proxy: ConnectProxy) -> None:
    web: LiveProvider = provider(proxy)

    assert web.name == "web"
    assert is_live(web)
    assert web.wants_pages


def test_texts_come_in_the_order_of_the_page(proxy: ConnectProxy) -> None:
    hits = hits_of(provider(proxy), TEXTS)

    assert [(hit.title, hit.text, hit.url) for hit in hits] == [
        (f"Title {n}", f"Snippet {n} & on", f"https://site{n}.example/a?b={n}&c=d")
        for n in range(3)
    ]
    assert [hit.rank for hit in hits] == [0, 1, 2]
    assert {(hit.provider, hit.modality, hit.retrieved_at) for hit in hits} == {
        ("web", "text", ASKED_AT)
    }
    (asked,) = proxy.asked
    assert dict(asked.fields) == {"q": "Paris at night", "l": "us-en"}


def test_images_take_a_token_and_then_come_in_order(proxy: ConnectProxy) -> None:
    hits = hits_of(provider(proxy), IMAGES)

    assert [(hit.text, hit.image_url, hit.url) for hit in hits] == [
        (f"Photo {n}", f"https://img.example/{n}.jpg", f"https://site.example/{n}")
        for n in range(3)
    ]
    assert all(hit.modality == "image" and hit.media_key is None for hit in hits)
    token, images = proxy.asked
    assert (token.path, dict(token.fields)) == ("/", {"q": "Paris at night"})
    expected = {"q": "Paris at night", "vqd": "4-1234567890", "l": "us-en", "p": "1"}
    assert expected.items() <= images.fields.items()


@pytest.mark.parametrize("query", [TEXTS, IMAGES], ids=["texts", "images"])
def test_at_most_k_hits_are_read(proxy: ConnectProxy, query: Query) -> None:
    web = provider(proxy)

    everything = [hit.document_id for hit in hits_of(web, query)]
    assert [hit.document_id for hit in hits_of(web, query, 2)] == everything[:2]
    assert hits_of(web, query, 0) == []


def test_an_empty_page_is_an_answer_without_hits(proxy: ConnectProxy) -> None:
    proxy.script = duckduckgo(texts=Reply(body=NO_TEXTS), images=Reply(body=image_answer([])))

    assert hits_of(provider(proxy), TEXTS) == []
    assert hits_of(provider(proxy), IMAGES) == []


def test_a_challenge_is_called_by_its_name(proxy: ConnectProxy) -> None:
    proxy.script = duckduckgo(texts=Reply(200, CHALLENGE))

    assert "robot" in str(ask(provider(proxy), TEXTS))


def test_advertisements_are_no_hits_and_routed_links_lead_where_they_lead(
    proxy: ConnectProxy,
) -> None:
    target = "https://ja.example/%E6%9D%B1%20x?a=b%26c&d"
    routed = f"//duckduckgo.com/l/?uddg={quote(target, safe='')}&amp;rut=0a1b"
    hostile = (
        "javascript:alert(1)",
        "data:text/html,x",
        "http://u:p@a.example/",
        "/html/",
        "http://[",
    )
    page = text_page(
        [
            (
                "Ad",
                "https://duckduckgo.com/y.js?ad_domain=a.example&amp;u3=https://b.example",
                "Buy",
            ),
            ("Routed", routed, "a"),
            ("Direct", escape(target.replace("ja.", "")), "b"),
            *[("Bad", href, "c") for href in hostile],
        ]
    )
    proxy.script = duckduckgo(texts=Reply(body=page))

    hits = hits_of(provider(proxy), TEXTS)

    # Not as ddgs reads them: it would make + of %20, and a parameter of %26.
    assert [hit.url for hit in hits] == [target, target.replace("ja.", "")]
    assert [hit.rank for hit in hits] == [0, 1]


def test_a_page_of_advertisements_alone_found_nothing(proxy: ConnectProxy) -> None:
    ad = ("Ad", "https://duckduckgo.com/y.js?ad_domain=a.example", "Buy")
    proxy.script = duckduckgo(texts=Reply(body=text_page([ad])))

    assert hits_of(provider(proxy), TEXTS) == []


def test_markup_and_scripts_in_titles_are_gone_and_unicode_stays(proxy: ConnectProxy) -> None:
    words = (
        "<b>東京タワー</b> &amp; cafe\u0301 🗼 &lt;script&gt;alert(1)&lt;/script&gt;<!-- c -->\x07"
    )
    url = "https://ja.example/東京"
    proxy.script = duckduckgo(
        texts=Reply(body=text_page([(words, url, words)])),
        images=Reply(body=image_answer([(words, "https://img.example/東.jpg", url)])),
    )
    query = Query("sentence", "text", text="東京 🗼 café")

    (text,) = hits_of(provider(proxy), query)
    (image,) = hits_of(provider(proxy), Query("sentence", "image", text=query.text))

    assert text.text == text.title == image.text == "東京タワー & café 🗼"
    assert (text.url, image.url, image.image_url) == (url, url, "https://img.example/東.jpg")
    assert {asked.fields["q"] for asked in proxy.asked} == {"東京 🗼 café"}


def test_odd_images_are_passed_over(proxy: ConnectProxy) -> None:
    odd = [
        {"title": "none"},
        {"image": "ftp://x/y"},
        {"image": "https://a.example/1", "title": None},
    ]
    body = json.dumps({"results": odd}).encode()
    proxy.script = duckduckgo(images=Reply(body=body))

    assert [hit.image_url for hit in hits_of(provider(proxy), IMAGES)] == ["https://a.example/1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wow! !w Paris g! \\night", "wow w Paris g night"),
        ("x" * 900, "x" * 400),
        ("word " * 100, " ".join(["word"] * 80)),
    ],
)
def test_what_the_engine_takes_for_a_command_is_not_sent(
    proxy: ConnectProxy, text: str, words: str
) -> None:
    hits_of(provider(proxy), Query("sentence", "text", text=text))

    assert [asked.fields["q"] for asked in proxy.asked] == [words]


def test_only_questions_in_words_are_accepted(proxy: ConnectProxy) -> None:
    web = provider(proxy)

    assert web.accepts(TEXTS)
    assert web.accepts(IMAGES)
    for query in (
        Query("image", "text", image_key="0" * 64, image_name="1.jpg"),
        Query("object", "image", image_key="0" * 64),
        Query("sentence", "text", text="!!! 🗼"),
        Query("sentence", "text"),
    ):
        assert not web.accepts(query)
        with pytest.raises(InputError, match="Ask `accepts` first"):
            web.ask([query], 1)
    assert not proxy.asked


def test_the_canary_asks_for_the_same_kind(proxy: ConnectProxy) -> None:
    web = provider(proxy)
    for query in (TEXTS, IMAGES):
        canary = web.canary(query)
        assert (canary.level, canary.modality) == (query.level, query.modality)
        assert canary.text != query.text
        assert web.accepts(canary)


def test_a_recording_is_read_without_asking(proxy: ConnectProxy, tmp_path: Path) -> None:
    (texts, images) = provider(proxy).ask([TEXTS, IMAGES], 2)
    assert isinstance(texts, bytes)
    assert isinstance(images, bytes)
    # The page is in it as it came, so that it can be read another way later.
    assert json.loads(texts)["body"].encode() == THREE_TEXTS
    assert json.loads(images)["body"].encode() == THREE_IMAGES
    num_asked = len(proxy.asked)

    later = provider(proxy)
    assert [hit.rank for hit in later.parse(TEXTS, texts, ASKED_AT)] == [0, 1]
    assert [hit.rank for hit in later.parse(IMAGES, images, ASKED_AT)] == [0, 1]
    assert len(proxy.asked) == num_asked


def test_keys_know_the_engine_and_how_it_is_asked_but_no_machine(proxy: ConnectProxy) -> None:
    def key(settings: WebSettings) -> str:
        sender = PoliteSender(client(proxy), PoliteSettings(), "web")
        return query_key(HttpProvider(WebApi(settings), sender), TEXTS, 5)

    bare = key(WebSettings())
    assert key(WebSettings(proxy="http://127.0.0.1:9")) == bare
    assert len({bare, key(WebSettings(region="de-de")), key(WebSettings(safesearch="off"))}) == 3
    assert "backend" in WebApi(WebSettings()).decides
    assert version("ddgs") not in str(WebApi(WebSettings()).decides)
