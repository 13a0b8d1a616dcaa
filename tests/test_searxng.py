from __future__ import annotations

from collections.abc import Sequence

import pytest
from replay_helpers import StubSender, hits_of, sentence_queries

from cache.errors import InputError, ProviderUnavailable
from cache.records import Query
from retrieval.providers.http import HttpProvider
from retrieval.providers.searxng import searxng_provider
from retrieval.settings import SearxngSettings

SETTINGS = SearxngSettings(address="http://localhost:8888/", engines=("bing", "wikipedia"))
TEXT, IMAGE = sentence_queries("Rain stops the final in Oslo")
PAGE: dict[str, object] = {
    "url": "https://news.test/oslo",
    "title": "Rain in <b>Oslo</b>",
    "content": "The final was stopped. 🗼",
    "engine": "bing",
    "score": 3.0,
}
PICTURE: dict[str, object] = {
    **PAGE,
    "img_src": "https://img.test/rain.jpg",
    "thumbnail_src": "https://img.test/small.jpg",
    "template": "images.html",
}


def answering(*bodies: object, status: int = 200) -> tuple[HttpProvider, StubSender]:
    sender = StubSender(*bodies, status=status)
    return searxng_provider(SETTINGS, sender), sender


def results(*found: dict[str, object], unresponsive: Sequence[object] = ()) -> dict[str, object]:
    return {"query": "x", "results": list(found), "unresponsive_engines": list(unresponsive)}


def test_texts_are_snippets_whose_pages_are_wanted() -> None:
    provider, sender = answering(results(PAGE))
    (hit,) = hits_of(provider, TEXT)
    assert (hit.title, hit.text) == ("Rain in Oslo", "The final was stopped. 🗼")
    assert hit.document_id == hit.url == "https://news.test/oslo"
    assert provider.wants_pages
    assert sender.requests[0].url == "http://localhost:8888/search"
    assert sender.requests[0].params == {
        "q": "Rain stops the final in Oslo",
        "format": "json",
        "categories": "general",
        "language": "en",
        "pageno": "1",
        "engines": "bing,wikipedia",
    }


def test_images_are_asked_for_apart() -> None:
    provider, sender = answering(results(PAGE), results(PICTURE))
    provider.ask([TEXT, IMAGE], 5)
    assert [request.params["categories"] for request in sender.requests] == ["general", "images"]


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        ({}, "https://img.test/rain.jpg"),
        ({"img_src": "data:image/png;base64,AA"}, "https://img.test/small.jpg"),
        ({"img_src": "//img.test/rain.jpg"}, "http://img.test/rain.jpg"),
        ({"img_src": "/image_proxy?url=x"}, "http://localhost:8888/image_proxy?url=x"),
        ({"img_src": None}, "https://img.test/small.jpg"),
        ({"img_src": "http://[::1/x"}, "https://img.test/small.jpg"),
    ],
)
def test_an_image_is_the_first_source_that_is_an_address(
    sources: dict[str, object], kept: str
) -> None:
    provider, _ = answering(results({**PICTURE, **sources}))
    (hit,) = hits_of(provider, IMAGE)
    assert hit.image_url == hit.document_id == kept
    assert (hit.text, hit.url) == ("Rain in Oslo", "https://news.test/oslo")


def test_the_first_k_different_addresses_count() -> None:
    more = [{**PAGE, "url": f"https://news.test/{number}"} for number in (1, 1, 2, 3)]
    provider, _ = answering(results(*more))
    hits = hits_of(provider, TEXT, k=2)
    assert [hit.url for hit in hits] == ["https://news.test/1", "https://news.test/2"]


def test_a_page_without_snippet_is_known_by_its_title() -> None:
    provider, _ = answering(results({**PAGE, "content": None}, {**PAGE, "url": None}))
    assert [hit.text for hit in hits_of(provider, TEXT)] == ["Rain in Oslo"]


def test_engines_that_do_not_answer_are_a_block_and_not_an_empty_answer() -> None:
    provider, _ = answering(results(unresponsive=[["bing", "CAPTCHA"]]))
    with pytest.raises(ProviderUnavailable, match=r"blocked.*CAPTCHA"):
        hits_of(provider, TEXT)


def test_some_engines_are_enough() -> None:
    provider, _ = answering(results(PAGE, unresponsive=[["bing", "timeout"]]))
    assert len(hits_of(provider, TEXT)) == 1


def test_nothing_found_is_an_answer() -> None:
    provider, _ = answering(results())
    assert hits_of(provider, TEXT) == []


def test_json_that_is_switched_off_says_how_to_switch_it_on() -> None:
    provider, _ = answering(b"<html>Forbidden</html>", status=403)
    with pytest.raises(ProviderUnavailable, match=r"refused.*search\.formats"):
        hits_of(provider, TEXT)


@pytest.mark.parametrize("body", [{}, {"results": {}}, results({**PAGE, "title": ["x"]}), []])
def test_what_is_no_answer_is_not_empty(body: object) -> None:
    provider, _ = answering(body)
    with pytest.raises(ProviderUnavailable, match="blocked"):
        hits_of(provider, TEXT)


def test_a_sentence_gives_no_commands() -> None:
    provider, sender = answering(results())
    provider.ask([Query("sentence", "text", text="!!g :de wow! <3 ?x a:b " + "long " * 200)], 5)
    asked = sender.requests[0].params["q"]
    assert asked.startswith("g de wow! 3 x a:b long long")
    assert len(asked) <= 400
    assert not provider.accepts(Query("sentence", "text", text="!! :"))


@pytest.mark.parametrize("address", ["", "localhost:8888", "http://me:word@localhost/"])
def test_without_an_address_nobody_is_asked(address: str) -> None:
    with pytest.raises(InputError, match=r"ask\.searxng\.address"):
        searxng_provider(SearxngSettings(address=address), StubSender())


def test_settings_that_decide_answers_are_in_the_fingerprint() -> None:
    def fingerprint(**changes: object) -> str:
        settings = SearxngSettings.model_validate({"address": "http://localhost:8888", **changes})
        return searxng_provider(settings, StubSender()).fingerprint

    assert fingerprint(address="http://localhost:8888/") == fingerprint()
    for change in ({"address": "http://x.test"}, {"engines": ("bing",)}, {"language": "de"}):
        assert fingerprint(**change) != fingerprint()
