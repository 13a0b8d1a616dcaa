"""Provider ``qdrant``: texts and images from a collection of your own Qdrant server.

Texts look among the vectors of texts, pictures among those of images; both are made by the
recipe's encoder, which every point has to name, for vectors of two encoders cannot be compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pydantic import BaseModel, ConfigDict

from cache.errors import InputError, ProviderUnavailable
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
from retrieval.settings import QdrantSettings

# Raise it when equal settings and questions make another request: they are asked anew.
_REQUEST_VERSION: Final = 1
# Raise it when equal answers give other hits: recordings are read again, and nobody is asked.
_READING_VERSION: Final = 1
_PAYLOAD: Final = ("id", "title", "text", "url", "image_url")
_PRIVATE: Final = re.compile(r"^(https://|http://(127\.0\.0\.1|localhost)([:/]|$))")
# In place of a text or a picture: whatever is nearest, however far it is.
_ANYTHING: Final = "(anything)"


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class _Payload(_Foreign):
    id: int | str | None = None
    title: str | None = None
    text: str | None = None
    url: str | None = None
    image_url: str | None = None


class _Point(_Foreign):
    id: int | str
    score: float
    payload: _Payload | None = None


class _Result(_Foreign):
    points: list[_Point]


class _Answer(_Foreign):
    result: _Result
    status: str


class _QdrantApi:
    """An `Api`: https://api.qdrant.tech/api-reference/search/query-points."""

    name: Final = "qdrant"
    reading: Final = _READING_VERSION
    answers_both: Final = False
    wants_pages: Final = False

    def __init__(self, settings: QdrantSettings, key: str, encoder_fingerprint: str) -> None:
        self._settings = settings
        self._key = key
        self._encoder = encoder_fingerprint
        self._address = settings.address.rstrip("/")
        denied = f"Check the key in the environment variable {settings.key_variable}."
        self.refusals: Mapping[int, str] = {
            400: "Qdrant cannot answer such a question. Check that the collection has vectors "
            "of the encoder's dimension called as ask.qdrant.text_vector and image_vector say.",
            401: denied,
            403: denied,
            404: f"There is no collection {settings.collection!r}. Check ask.qdrant.collection.",
        }

    @property
    def decides(self) -> dict[str, object]:
        return {
            "version": _REQUEST_VERSION,
            "address": self._address,
            "encoder": self._encoder,
            **self._settings.model_dump(include={"collection", "text_vector", "image_vector"}),
            "min_score": self._settings.min_score,
        }

    def accepts(self, query: Query) -> bool:
        return bool((query.text or query.image_key) and self._vector_name(query))

    def request(self, query: Query, k: int) -> Request:
        if query.embedding is None:
            raise ProviderUnavailable(
                f"a {query.level} query for {query.modality} carries no embedding, which provider "
                "'qdrant' asks with. Observe with the encoder that made the collection."
            )
        shown = "text" if query.modality == "text" else "image_url"
        body: dict[str, object] = {
            "query": [float(number) for number in query.embedding],
            "using": self._vector_name(query),
            "limit": max(k, 1),
            "with_payload": list(_PAYLOAD),
            "with_vector": False,
            "filter": {
                "must": [{"key": "encoder", "match": {"value": self._encoder}}],
                "must_not": [{"is_empty": {"key": shown}}],
            },
        }
        if self._settings.min_score is not None and not _is_for_anything(query):
            body["score_threshold"] = self._settings.min_score
        return Request(
            f"{self._address}/collections/{self._settings.collection}/points/query",
            method="POST",
            headers={"api-key": self._key} if self._key else {},
            json=body,
            max_bytes=MAX_ANSWER_BYTES,
        )

    def found(self, query: Query, text: str) -> list[Found]:
        answer = read_answer(_Answer, text)
        if answer.status != "ok":
            raise NotAnAnswer("blocked", f"Qdrant says {clean_text(answer.status, 200)!r}.")
        of_point = _passage if query.modality == "text" else _image
        # Qdrant says nothing of the order of equals.
        points = sorted(answer.result.points, key=lambda one: (-one.score, str(one.id)))
        return [one for point in points if (one := of_point(point)) is not None]

    def canary(self, query: Query) -> Query:
        # Without a least score, every vector has neighbours where there are any points.
        if query.level == "sentence":
            return replace(query, text=_ANYTHING)
        return replace(query, image_key=_ANYTHING)

    def _vector_name(self, query: Query) -> str:
        by_text = query.level == "sentence"
        return self._settings.text_vector if by_text else self._settings.image_vector


def qdrant_provider(
    settings: QdrantSettings, key: str, encoder_fingerprint: str, sender: Sender
) -> HttpProvider:
    """Return the provider; ``key`` goes into the header of its requests and nowhere else.

    Args:
        settings: which collection.
        key: may be empty, for a server that wants none.
        encoder_fingerprint: of whoever makes the queries' vectors.
        sender: sends.

    Raises:
        InputError: there is no usable address or encoder, or the key would go in the open.
    """
    address = settings.address
    if not web_url(address):
        raise InputError(
            f"provider 'qdrant' needs the address of a server, not {address!r}. Set "
            "ask.qdrant.address, as http://localhost:6333 (no user name in it)."
        )
    if not encoder_fingerprint:
        raise InputError(
            "provider 'qdrant' finds by vectors, and observe.encoder is 'none'. Name the encoder "
            "that made the collection's vectors."
        )
    if key and not (key.isascii() and key.isprintable()):
        raise InputError(f"the environment variable {settings.key_variable} holds no key.")
    if key and not _PRIVATE.match(address):
        raise InputError(
            f"the key in {settings.key_variable} would go in the open to {address}. Give an https "
            "address, or take the variable away if the server wants no key."
        )
    return HttpProvider(_QdrantApi(settings, key, encoder_fingerprint), sender)


def _is_for_anything(query: Query) -> bool:
    return _ANYTHING in (query.text, query.image_key)


def _passage(point: _Point) -> Found | None:
    payload = point.payload or _Payload()
    title = clean_text(payload.title or "", MAX_TITLE)
    text = clean_text(payload.text or "", MAX_TEXT) or title
    name = clean_text(str(point.id if payload.id is None else payload.id), MAX_TITLE)
    if not text or not name:
        return None
    return Found(document_id=name, text=text, title=title, url=web_url(payload.url or ""))


def _image(point: _Point) -> Found | None:
    payload = point.payload or _Payload()
    image_url = web_url(payload.image_url or "")
    if not image_url:
        return None
    title = clean_text(payload.title or "", MAX_TITLE)
    text = clean_text(payload.text or "", MAX_TEXT) or title
    return Found(
        document_id=image_url,
        text=text,
        title=title,
        url=web_url(payload.url or ""),
        image_url=image_url,
    )
