from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay_helpers import StubSender, hits_of, sentence_queries

from cache.errors import InputError, ProviderUnavailable
from cache.records import Query
from retrieval.providers.http import HttpProvider
from retrieval.providers.wikipedia import search_words, wikipedia_provider
from retrieval.settings import WikipediaSettings

SETTINGS = WikipediaSettings(contact="me@example.org")
TEXT, IMAGE = sentence_queries("Rain stops the final in Oslo")
OSLO: dict[str, object] = {
    "pageid": 2,
    "title": "Oslo",
    "index": 1,
    "extract": "Oslo is the capital of <b>Norway</b>.\n\n\nIt lies at a fjord. 🗼",
    "fullurl": "https://en.wikipedia.test/wiki/Oslo",
    "thumbnail": {"source": "https://upload.test/oslo.jpg", "width": 640, "height": 480},
}
RAIN: dict[str, object] = {
    "pageid": 1,
    "title": "Rain",
    "index": 2,
    "extract": "Rain is water.",
    "fullurl": "https://en.wikipedia.test/wiki/Rain",
}


def answering(*bodies: object, status: int = 200) -> tuple[HttpProvider, StubSender]:
    sender = StubSender(*bodies, status=status)
    return wikipedia_provider(SETTINGS, sender), sender


def pages(*found: dict[str, object]) -> dict[str, object]:
    return {"batchcomplete": True, "query": {"pages": list(found)}}


def test_texts_are_introductions_in_the_order_of_the_search() -> None:
    provider, _ = answering(pages(RAIN, OSLO))
    oslo, rain = hits_of(provider, TEXT)
    assert (oslo.title, oslo.text) == (
        "Oslo",
        "Oslo is the capital of Norway. It lies at a fjord. 🗼",
    )
    assert oslo.document_id == oslo.url == "https://en.wikipedia.test/wiki/Oslo"
    assert (rain.title, rain.rank, rain.provider_score) == ("Rain", 1, 0.5)
    assert not provider.wants_pages


def test_images_are_page_images_with_the_page_s_title() -> None:
    provider, _ = answering(pages(RAIN, OSLO))
    (oslo,) = hits_of(provider, IMAGE)
    assert oslo.image_url == "https://upload.test/oslo.jpg"
    assert (oslo.text, oslo.url) == ("Oslo", "https://en.wikipedia.test/wiki/Oslo")


def test_one_request_serves_texts_and_images_of_a_sentence() -> None:
    provider, sender = answering(pages(OSLO), pages(OSLO))
    provider.ask([TEXT, IMAGE], 5)
    assert len(sender.requests) == 1
    provider.ask([TEXT], 6)
    assert len(sender.requests) == 2


def test_the_request_says_what_the_etiquette_asks_for() -> None:
    provider, sender = answering(pages())
    provider.ask([TEXT], 50)
    params = sender.requests[0].params
    assert params["maxlag"] == "5"
    assert params["gsrlimit"] == "20"
    assert params["formatversion"] == "2"
    assert params["gsrsearch"] == "Rain OR stops OR the OR final OR in OR Oslo"


@pytest.mark.parametrize("body", [{"batchcomplete": True}, pages()])
def test_nothing_found_is_an_answer(body: object) -> None:
    provider, _ = answering(body)
    assert hits_of(provider, TEXT) == []


@pytest.mark.parametrize("code", ["maxlag", "ratelimited", "readonly", "cirrussearch-too-busy"])
def test_a_wiki_that_lags_or_limits_is_a_block(code: str) -> None:
    provider, _ = answering({"error": {"code": code, "info": "Waiting for db1: 6 s lagged."}})
    with pytest.raises(ProviderUnavailable, match=f"blocked.*{code}"):
        hits_of(provider, TEXT)


def test_an_error_that_stays_is_refused_with_what_the_wiki_says() -> None:
    provider, _ = answering({"error": {"code": "badvalue", "info": "Unrecognized <b>value</b>"}})
    with pytest.raises(
        ProviderUnavailable, match=r"refused.*badvalue: Unrecognized value.*endpoint"
    ):
        hits_of(provider, TEXT)


@pytest.mark.parametrize(
    "body",
    [
        {"hello": "world"},
        {"batchcomplete": True, "query": {"pages": {"2": OSLO}}},
        pages({**OSLO, "title": 5}),
        pages({**OSLO, "index": "first"}),
        [],
    ],
)
def test_what_is_no_answer_is_not_empty(body: object) -> None:
    provider, _ = answering(body)
    with pytest.raises(ProviderUnavailable, match="blocked"):
        hits_of(provider, TEXT)


@pytest.mark.parametrize("change", [{"extract": " "}, {"fullurl": "javascript:alert(1)"}])
def test_a_page_without_text_or_address_is_left_out(change: dict[str, object]) -> None:
    provider, _ = answering(pages({**OSLO, **change}, RAIN))
    assert [(hit.title, hit.rank) for hit in hits_of(provider, TEXT)] == [("Rain", 0)]


def test_an_image_that_is_no_address_of_the_web_is_left_out() -> None:
    provider, _ = answering(pages({**OSLO, "thumbnail": {"source": "file:///etc/passwd"}}))
    assert hits_of(provider, IMAGE) == []


def test_a_search_is_the_distinct_words_without_operators() -> None:
    assert search_words('RT "Oslo" -rain intitle:x (a OR b) oslo* ~NOT') == (
        "RT OR Oslo OR rain OR intitle OR x OR a OR or OR b OR not"
    )
    assert search_words("Spider-Man's 東京タワー 🗼") == "Spider-Man's OR 東京タワー"


@given(st.text(max_size=2000))
def test_a_search_is_never_too_long_and_cut_between_words(sentence: str) -> None:
    search = search_words(sentence)
    assert len(search) <= 300
    assert not search.endswith(" OR")
    assert not set('":()*~!') & set(search)


def test_a_sentence_without_words_and_a_photo_are_not_accepted() -> None:
    provider, _ = answering()
    assert not provider.accepts(Query("sentence", "text", text="🗼 !!"))
    assert not provider.accepts(Query("image", "text", image_key="0" * 64))


@pytest.mark.parametrize("contact", ["", "  "])
def test_without_a_contact_nobody_is_asked(contact: str) -> None:
    with pytest.raises(InputError, match=r"ask\.wikipedia\.contact"):
        wikipedia_provider(WikipediaSettings(contact=contact), StubSender())


def test_a_contact_is_no_part_of_the_fingerprint_and_the_wiki_is() -> None:
    def fingerprint(**changes: object) -> str:
        settings = WikipediaSettings.model_validate({"contact": "me@example.org", **changes})
        return wikipedia_provider(settings, StubSender()).fingerprint

    assert fingerprint(contact="you@example.org") == fingerprint()
    assert fingerprint(endpoint="https://de.wikipedia.org/w/api.php") != fingerprint()
    assert fingerprint(thumbnail_px=320) != fingerprint()


def test_an_endpoint_that_is_no_address_is_refused() -> None:
    settings = WikipediaSettings(contact="me@example.org", endpoint="file:///etc/passwd")
    with pytest.raises(InputError, match=r"ask\.wikipedia\.endpoint"):
        wikipedia_provider(settings, StubSender())
