from __future__ import annotations

import pytest
from replay_helpers import QUICK, StubSender, ask_settings, hits_of, provider_of, vector_queries

from cache.errors import InputError, ProviderUnavailable
from cache.records import Query
from pipelines.replay.server import ReplayServer
from pipelines.replay.vectors import ENCODER
from retrieval.providers.http import HttpProvider
from retrieval.providers.qdrant import qdrant_provider
from retrieval.settings import QdrantSettings

HERE = QdrantSettings(address="http://localhost:6333")
ASKED, PICTURES = vector_queries()[:2]


def answering(
    *points: dict[str, object], settings: QdrantSettings = HERE, status: object = "ok"
) -> tuple[HttpProvider, StubSender]:
    sender = StubSender({"result": {"points": list(points)}, "status": status, "time": 0.1})
    return qdrant_provider(settings, "", ENCODER, sender), sender


def point(number: int, score: float, **payload: object) -> dict[str, object]:
    return {"id": number, "version": 3, "score": score, "payload": payload}


def body_of(sender: StubSender) -> dict[str, object]:
    body = sender.requests[0].json
    assert isinstance(body, dict)
    return body


def test_a_question_is_a_vector_for_points_of_the_same_encoder_with_what_is_wanted() -> None:
    provider, sender = answering(point(1, 0.5, text="a"))
    hits_of(provider, ASKED, k=7)
    request = sender.requests[0]
    assert request.url == "http://localhost:6333/collections/documents/points/query"
    assert (request.method, dict(request.headers)) == ("POST", {})
    body = body_of(sender)
    assert ASKED.embedding is not None
    assert body["query"] == [float(number) for number in ASKED.embedding]
    assert (body["using"], body["limit"]) == ("text", 7)
    assert body["filter"] == {
        "must": [{"key": "encoder", "match": {"value": ENCODER}}],
        "must_not": [{"is_empty": {"key": "text"}}],
    }
    assert "score_threshold" not in body


def test_equals_come_by_their_ids_and_what_says_nothing_is_left_out() -> None:
    points = [
        point(7, 0.5, text="seven", id="z"),
        point(3, 0.5, text="three <b>bold</b>", url="javascript:alert(1)"),
        {"id": "a-b", "version": 0, "score": 0.9, "payload": None},
        point(5, 0.7, title="only a title"),
        point(6, 0.6, text=""),
    ]
    found = hits_of(answering(*points)[0], ASKED)
    assert [(hit.document_id, hit.text, hit.url) for hit in found] == [
        ("5", "only a title", ""),
        ("3", "three bold", ""),
        ("z", "seven", ""),
    ]


def test_an_image_is_known_by_its_address() -> None:
    provider, sender = answering(
        point(1, 0.9, image_url="https://x.test/a.png", title="A", text="of A"),
        point(2, 0.8, image_url="file:///etc/passwd", title="B"),
    )
    found = hits_of(provider, PICTURES)
    assert [(hit.document_id, hit.image_url, hit.text) for hit in found] == [
        ("https://x.test/a.png", "https://x.test/a.png", "of A")
    ]
    assert body_of(sender)["filter"] == {
        "must": [{"key": "encoder", "match": {"value": ENCODER}}],
        "must_not": [{"is_empty": {"key": "image_url"}}],
    }


def test_a_least_score_is_asked_for_but_not_of_the_canary() -> None:
    settings = HERE.model_copy(update={"min_score": 0.3})
    provider, sender = answering(point(1, 0.5, text="a"), settings=settings)
    hits_of(provider, ASKED)
    assert body_of(sender)["score_threshold"] == 0.3
    provider, sender = answering(point(1, 0.1, text="a"), settings=settings)
    hits_of(provider, provider.canary(ASKED))
    assert "score_threshold" not in body_of(sender)


def test_what_qdrant_cannot_say_is_no_empty_answer() -> None:
    with pytest.raises(ProviderUnavailable, match="blocked"):
        hits_of(answering(status={"error": "Timeout"})[0], ASKED)
    with pytest.raises(ProviderUnavailable, match="blocked"):
        hits_of(answering(status="acknowledged")[0], ASKED)


def test_a_question_without_a_vector_is_unavailable() -> None:
    answer = answering()[0].ask([Query("sentence", "text", text="Paris")], 5)[0]
    assert isinstance(answer, ProviderUnavailable)
    assert "no embedding" in str(answer)


def test_sides_without_vectors_are_not_asked() -> None:
    blind = answering(settings=HERE.model_copy(update={"image_vector": ""}))[0]
    assert blind.accepts(ASKED)
    assert not blind.accepts(Query("image", "text", image_key="0" * 64))


def test_points_of_another_encoder_are_never_found() -> None:
    with ReplayServer() as server:
        ask = ask_settings("qdrant", server).model_copy(update={"polite": QUICK})
        assert hits_of(provider_of(ask), ASKED)
        assert hits_of(provider_of(ask, encoder="f" * 64), ASKED) == []


def test_what_decides_answers_is_in_the_fingerprint_and_the_key_is_not() -> None:
    def fingerprint(key: str = "", encoder: str = ENCODER, **changes: object) -> str:
        settings = HERE.model_copy(update=changes)
        return qdrant_provider(settings, key, encoder, StubSender()).fingerprint

    same = fingerprint()
    assert fingerprint(key="secret", key_variable="RAMIE_OTHER_KEY") == same
    others = [
        fingerprint(encoder="f" * 64),
        fingerprint(collection="other"),
        fingerprint(min_score=0.5),
        fingerprint(text_vector="t"),
        fingerprint(address="http://localhost:7333"),
    ]
    assert len({same, *others}) == 6


@pytest.mark.parametrize(
    ("address", "key", "encoder", "told"),
    [
        ("", "", ENCODER, r"ask\.qdrant\.address"),
        ("ftp://x.test", "", ENCODER, r"ask\.qdrant\.address"),
        ("https://me:pw@x.test", "", ENCODER, r"ask\.qdrant\.address"),
        ("http://localhost:6333", "", "", "finds by vectors"),
        ("http://qdrant.test:6333", "secret", ENCODER, "in the open"),
        ("http://localhost.evil.test", "secret", ENCODER, "in the open"),
        ("https://x.test", "sec\nret", ENCODER, "holds no key"),
    ],
)
def test_what_cannot_be_asked_is_said_before_a_build(
    address: str, key: str, encoder: str, told: str
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        qdrant_provider(QdrantSettings(address=address), key, encoder, StubSender())
    assert "secret" not in str(caught.value)
