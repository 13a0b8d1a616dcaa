"""Providers ``kb`` and ``lancedb``: answers from a knowledge base, in files or in a table."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cache.errors import InputError, ProviderUnavailable, StoreMismatch
from cache.keys import canonical_json, is_content_key
from cache.records import Hit, Media, Query, Vector
from retrieval.kb.search import Found, Search
from retrieval.providers.base import answer_key

NAME: Final = "kb"


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _AnsweredHit(_Answered):
    document: str = Field(min_length=1)
    title: str
    text: str
    url: str
    media: str | None
    score: float
    embedding: str | None  # base64 of little-endian float16


class _Answer(_Answered):
    provider: str
    knowledge: str
    encoder: str
    k: int
    hits: list[_AnsweredHit]


class Knowledge(Protocol):
    """What is needed of a `retrieval.kb.knowledge_base.KnowledgeBase`, wherever it is kept."""

    @property
    def path(self) -> object:
        """Where it is, for messages."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of what decides the answers."""
        ...

    @property
    def encoder_fingerprint(self) -> str:
        """Of the encoder that made the vectors; empty without one."""
        ...

    def search(self, searches: Sequence[Search], k: int) -> list[list[Found]]:
        """Return at most ``k`` documents per search, best first."""
        ...

    def image(self, key: str) -> Media:
        """Return an image of it."""
        ...


class KbProvider:
    """Answers queries by text with words and vectors, queries by image with vectors.

    An answer carries all that a hit needs, vectors too, so that a recording can be read where the
    knowledge base is not.
    """

    def __init__(self, knowledge: Knowledge, encoder_fingerprint: str, name: str = NAME) -> None:
        """Take an opened knowledge base, and whose vectors the queries will carry.

        Raises:
            StoreMismatch: the knowledge base was built with another encoder.
        """
        if knowledge.encoder_fingerprint != encoder_fingerprint:
            raise StoreMismatch(
                f"knowledge base {knowledge.path} was built with the encoder "
                f"{_short(knowledge.encoder_fingerprint)}, but posts are observed with "
                f"{_short(encoder_fingerprint)}: their vectors cannot be compared. Build it "
                "again with this recipe's observe settings, or set observe.encoder, "
                "observe.encoder_weights and observe.dtype as they were for the knowledge base."
            )
        self._knowledge = knowledge
        self.name = name

    @property
    def fingerprint(self) -> str:
        """Of the knowledge base's content."""
        return self._knowledge.fingerprint

    def accepts(self, query: Query) -> bool:
        """Return whether the query has a text, or an image that can be compared."""
        return bool(query.text) or (query.embedding is not None and self._has_vectors)

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Return one answer per query, in order; see `retrieval.providers.base.Provider`.

        Raises:
            StoreDamaged: the knowledge base is; asking again would not help.
        """
        answers: list[bytes | ProviderUnavailable] = [
            ProviderUnavailable(
                f"a {query.level} query for {query.modality} carries no embedding, which "
                f"{self._knowledge.path} needs. Observe with the encoder that built it."
            )
            for query in queries
        ]
        able = [index for index, query in enumerate(queries) if self._can_search(query)]
        searches = [self._search(queries[index]) for index in able]
        for index, found in zip(able, self._knowledge.search(searches, k), strict=True):
            answers[index] = self._body(queries[index], found, k)
        return answers

    def parse(self, query: Query, body: bytes, asked_at: str) -> list[Hit]:
        """Return the hits of a recorded answer; see `parse_answer`."""
        return parse_answer(query, body, asked_at, self.name)

    def media(self, key: str) -> Media:
        """Return an image of the knowledge base.

        Raises:
            ProviderUnavailable: it has none of that key, or its bytes are gone or changed.
        """
        return self._knowledge.image(key)

    @property
    def _has_vectors(self) -> bool:
        return bool(self._knowledge.encoder_fingerprint)

    def _can_search(self, query: Query) -> bool:
        return self.accepts(query) and (query.embedding is not None or not self._has_vectors)

    def _search(self, query: Query) -> Search:
        return Search(query.modality, query.text, query.embedding if self._has_vectors else None)

    def _body(self, query: Query, found: Sequence[Found], k: int) -> bytes:
        answer = _Answer(
            provider=self.name,
            knowledge=self.fingerprint,
            encoder=self._knowledge.encoder_fingerprint,
            k=k,
            hits=[_answered(one, query) for one in found],
        )
        return canonical_json(answer.model_dump()).encode("utf-8")


def parse_answer(query: Query, body: bytes, asked_at: str, name: str = NAME) -> list[Hit]:
    """Return the hits of a recorded answer, best first; needs no knowledge base.

    Raises:
        InputError: ``body`` is not an answer of this provider, or of another encoder's vectors.
    """
    try:
        answer = _Answer.model_validate_json(body)
        if answer.provider != name:
            raise ValueError(f"it is of provider {answer.provider!r}")
        vectors = [_decoded(hit.embedding) for hit in answer.hits]
        if len(answer.hits) > answer.k:
            raise ValueError(f"{len(answer.hits)} hits where {answer.k} were asked for")
        for hit in answer.hits:
            if hit.media is not None and not is_content_key(hit.media):
                raise ValueError(f"{hit.media!r} is not the key of an image")
        relevances = [_cosine(query.embedding, vector) for vector in vectors]
    except ValueError as error:  # of pydantic, base64 and our own
        raise InputError(
            f"a recorded answer of provider {name!r} is damaged: {error}. Delete the recordings "
            "that hold it and build again: what is missing is asked anew."
        ) from error
    key = answer_key(name, answer.knowledge, query, answer.k)
    return [
        Hit(
            level=query.level,
            modality=query.modality,
            region_index=query.region_index,
            provider=name,
            document_id=hit.document,
            rank=rank,
            provider_score=hit.score,
            text=hit.text,
            media_key=hit.media,
            title=hit.title,
            url=hit.url,
            retrieved_at=asked_at,
            query_key=key,
            relevance=relevance,
            embedding=vector,
        )
        for rank, (hit, vector, relevance) in enumerate(
            zip(answer.hits, vectors, relevances, strict=True)
        )
    ]


def _answered(found: Found, query: Query) -> _AnsweredHit:
    document = found.document
    return _AnsweredHit(
        document=document.id,
        title=document.title,
        text=document.passage,
        url=document.url,
        media=document.image_key if query.modality == "image" else None,
        score=found.score,
        embedding=None if found.vector is None else _encoded(found.vector),
    )


def _encoded(vector: NDArray[np.float16]) -> str:
    return base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii")


def _decoded(text: str | None) -> Vector | None:
    if text is None:
        return None
    data = base64.b64decode(text, validate=True)
    vector = np.frombuffer(data, dtype="<f2").astype(np.float32)
    if not len(vector) or not np.all(np.isfinite(vector)):
        raise ValueError("an embedding is empty, NaN or infinite")
    return vector


def _cosine(query: Vector | None, vector: Vector | None) -> float | None:
    """Return the cosine of two unit vectors, exact but for its own rounding."""
    if query is None or vector is None:
        return None
    if query.shape != vector.shape:
        raise ValueError(f"an embedding has {len(vector)} dimensions, the query {len(query)}")
    return round(float(query.astype(np.float64) @ vector.astype(np.float64)), 6)


def _short(encoder_fingerprint: str) -> str:
    return encoder_fingerprint[:12] or "none"
