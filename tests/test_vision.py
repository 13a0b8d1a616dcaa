from __future__ import annotations

import base64
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image
from replay_helpers import StubSender, hits_of, photo_queries
from tiny_vision import photo

from cache.errors import InputError, ProviderUnavailable
from cache.records import Query
from retrieval.http.base import Request
from retrieval.providers.http import HttpProvider
from retrieval.providers.pictures import jpeg_of
from retrieval.providers.vision import vision_provider
from retrieval.settings import VisionSettings
from retrieval.sight.photos import Photo, decode_image

KEY = "made-up-key-1234"
TEXT, IMAGE, REGION_TEXT, REGION_IMAGE = photo_queries(photo(1))
DETECTION: dict[str, object] = {
    "webEntities": [
        {"entityId": "/m/1", "score": 0.9, "description": "Eiffel Tower"},
        {"entityId": "/m/2", "score": 0.8},
        {"entityId": "/m/3", "score": 0.7, "description": "Paris 🗼"},
    ],
    "bestGuessLabels": [{"label": "eiffel tower", "languageCode": "en"}],
    "pagesWithMatchingImages": [
        {
            "url": "https://news.test/tower",
            "pageTitle": "The <b>Tower</b>",
            "fullMatchingImages": [{"url": "https://img.test/same.jpg"}],
        },
        {"url": "https://news.test/untitled"},
        {"url": "ftp://news.test/other", "pageTitle": "Not of the web"},
    ],
    "fullMatchingImages": [{"url": "https://img.test/same.jpg"}],
    "partialMatchingImages": [{"url": "https://img.test/part.jpg"}, {"url": "data:x"}],
    "visuallySimilarImages": [
        {"url": "https://img.test/like.jpg"},
        {"url": "https://img.test/same.jpg"},
    ],
}


def answer(detection: dict[str, object] | None = None) -> dict[str, object]:
    return {"responses": [{"webDetection": detection} if detection is not None else {}]}


def answering(*bodies: object, status: int = 200) -> tuple[HttpProvider, StubSender]:
    sender = StubSender(*bodies, status=status)
    return vision_provider(VisionSettings(), KEY, sender), sender


def sent_picture(request: Request) -> Image.Image:
    assert isinstance(request.json, dict)
    content = request.json["requests"][0]["image"]["content"]
    return decode_image(base64.b64decode(content)).pixels


def test_texts_are_what_the_photo_is_about_and_the_pages_that_show_it() -> None:
    provider, _ = answering(answer(DETECTION))
    about, tower, untitled = hits_of(provider, TEXT)
    assert about.text == "Pages with this image are about eiffel tower, Paris 🗼."
    assert (about.document_id, about.url) == ("about", "")
    assert (tower.text, tower.url) == ("The Tower", "https://news.test/tower")
    assert untitled.text == untitled.url == "https://news.test/untitled"
    assert provider.wants_pages


def test_images_are_the_same_one_then_parts_then_similar_ones() -> None:
    provider, _ = answering(answer(DETECTION))
    hits = hits_of(provider, IMAGE)
    names = [hit.image_url.rpartition("/")[2] for hit in hits]
    assert names == ["same.jpg", "part.jpg", "like.jpg"]
    assert (hits[0].url, hits[0].title) == ("https://news.test/tower", "The Tower")
    assert (hits[2].url, hits[2].title) == ("", "")


def test_a_photo_is_sent_once_for_texts_and_images_and_a_region_apart() -> None:
    provider, sender = answering(answer(DETECTION), answer())
    queries = [TEXT, IMAGE, REGION_TEXT, REGION_IMAGE]
    # One question at a time, as a build asks.
    bodies = [provider.ask([query], 5)[0] for query in queries]
    assert len(sender.requests) == 2
    assert bodies[0] == bodies[1] != bodies[2] == bodies[3]
    assert sent_picture(sender.requests[0]).size == (40, 30)
    assert sent_picture(sender.requests[1]).size == (28, 17)


def test_a_region_is_cut_where_its_box_is() -> None:
    pixels = Image.new("RGB", (60, 40), "black")
    pixels.paste((250, 0, 0), (20, 10, 40, 30))
    (_, _, region, _) = photo_queries(as_photo(pixels), "20,10,40,30")
    crop = decode_image(jpeg_of(region)).pixels
    assert crop.size == (20, 20)
    assert all(low > 240 for low, _ in [crop.getextrema()[0]])  # type: ignore[misc]


@pytest.mark.parametrize(
    "box", ["70,0,90,10", "5,5,5,9", "a,b,c,d", "1,2,3", "nan,0,1,1", "0,0,inf,1"]
)
def test_a_region_that_is_not_there_is_unavailable(box: str) -> None:
    provider, sender = answering()
    problem = provider.ask([photo_queries(photo(1), box)[2]], 5)[0]
    assert isinstance(problem, ProviderUnavailable)
    assert sender.requests == []


def test_equal_photos_are_sent_as_equal_bytes_without_metadata() -> None:
    pixels = photo(3).pixels
    exif = Image.Exif()
    exif[0x010F] = "secret camera"
    buffer = BytesIO()
    pixels.save(buffer, "JPEG", exif=exif)
    query = photo_queries(decode_image(buffer.getvalue()))[0]
    assert b"secret camera" in buffer.getvalue()
    assert b"secret camera" not in jpeg_of(query)
    assert jpeg_of(query) == jpeg_of(query)


def test_a_large_photo_is_sent_scaled_down() -> None:
    query = photo_queries(photo(1, 3000, 1500))[0]
    assert decode_image(jpeg_of(query)).pixels.size == (1024, 512)


def test_a_photo_that_is_not_at_hand_is_unavailable() -> None:
    provider, _ = answering()
    query = replace(TEXT, photo=None)
    assert provider.accepts(query)
    assert isinstance(provider.ask([query], 5)[0], ProviderUnavailable)
    assert not provider.accepts(Query("sentence", "text", text="Paris"))
    assert not provider.accepts(Query("image", "text", image_name="1.jpg"))


def test_a_photo_that_nobody_knows_is_an_empty_answer() -> None:
    provider, _ = answering(answer())
    assert hits_of(provider, TEXT) == []
    assert hits_of(provider, IMAGE) == []


@pytest.mark.parametrize(("code", "verdict"), [(14, "blocked"), (8, "blocked"), (3, "refused")])
def test_an_error_of_one_image_is_no_empty_answer(code: int, verdict: str) -> None:
    provider, _ = answering({"responses": [{"error": {"code": code, "message": "Try later"}}]})
    with pytest.raises(ProviderUnavailable, match=f"{verdict}.*{code}: Try later"):
        hits_of(provider, TEXT)


@pytest.mark.parametrize(
    "body", [{}, {"responses": []}, answer({"webEntities": {}}), answer({"webEntities": ["x"]})]
)
def test_what_is_no_answer_is_not_empty(body: object) -> None:
    provider, _ = answering(body)
    with pytest.raises(ProviderUnavailable, match="blocked"):
        hits_of(provider, TEXT)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_key_that_is_not_taken_says_where_it_comes_from(status: int) -> None:
    provider, _ = answering({"error": {"message": KEY}}, status=status)
    with pytest.raises(ProviderUnavailable, match=r"refused.*RAMIE_VISION_KEY") as caught:
        hits_of(provider, TEXT)
    assert KEY not in str(caught.value)


def test_the_key_goes_into_the_header_alone() -> None:
    provider, sender = answering(answer(DETECTION))
    (body,) = provider.ask([TEXT], 5)
    (request,) = sender.requests
    assert request.headers["X-Goog-Api-Key"] == KEY
    assert KEY not in repr(request)
    assert KEY not in repr(body)
    assert KEY not in request.url
    other = vision_provider(VisionSettings(), "another-key", StubSender())
    assert other.fingerprint == provider.fingerprint


@pytest.mark.parametrize("key", ["", "two\nlines", "schlüssel"])
def test_without_a_key_nobody_is_asked_and_the_variable_is_named(key: str) -> None:
    with pytest.raises(InputError, match="RAMIE_VISION_KEY") as caught:
        vision_provider(VisionSettings(), key, StubSender())
    assert not key or key not in str(caught.value)


def as_photo(pixels: Image.Image) -> Photo:
    buffer = BytesIO()
    pixels.save(buffer, "PNG")
    return decode_image(buffer.getvalue())
