"""What all providers behind an HTTP API share: one request per question, answers kept raw.

Who is asked, and how to read it, is an `Api`. A raw answer is recorded as canonical JSON of
provider, ``k``, address, status and the body's text just as it came; headers and keys are not in.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cache.errors import InputError, ProviderUnavailable
from cache.keys import canonical_json, fingerprint
from cache.records import Hit, Media, Query
from retrieval.datasets.lines import shown
from retrieval.http.base import Request, Response, Sender, Verdict, judge_status
from retrieval.providers.api import Api, NotAnAnswer
from retrieval.providers.base import query_identity

# The questions of one post follow each other, so a few answers are enough.
_ANSWERS_KEPT: Final = 32


class _Recorded(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    provider: str
    k: int = Field(ge=0)
    url: str
    status: int
    body: str


class HttpProvider:
    """A `retrieval.providers.base.LiveProvider` that asks an `Api` through a `Sender`."""

    live: Final = True

    def __init__(self, api: Api, sender: Sender) -> None:
        """Ask ``api``; ``sender`` decides how fast, how often, and for how long."""
        self._api = api
        self._sender = sender
        self._recent = _RecentAnswers()
        self._fingerprint = fingerprint({"provider": api.name, **api.decides})

    @property
    def name(self) -> str:
        """Recorded with every hit."""
        return self._api.name

    @property
    def fingerprint(self) -> str:
        """Of the settings that decide answers; keys, contacts and speed are no part of it."""
        return self._fingerprint

    @property
    def reading(self) -> int:
        """Version of the reading of answers."""
        return self._api.reading

    @property
    def answers_both(self) -> bool:
        """Whether a question for texts and that for images make the same request."""
        return self._api.answers_both

    @property
    def wants_pages(self) -> bool:
        """Whether the texts of its hits are only snippets of the pages at their ``url``."""
        return self._api.wants_pages

    def accepts(self, query: Query) -> bool:
        """Return whether the API can answer that kind of query."""
        return self._api.accepts(query)

    def canary(self, query: Query) -> Query:
        """Return a query of the same kind as ``query`` that is bound to have hits."""
        return self._api.canary(query)

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Return one raw answer per query, in order, asked one after the other.

        Questions that make the same request, as for the texts and the images about one photo,
        share its answer. What is no answer of the API (HTML in place of JSON, say) is asked
        again as a block is, and never recorded.

        Raises:
            InputError: a query is not accepted.
        """
        return [self._ask(query, k) for query in queries]

    def parse(self, query: Query, body: bytes, asked_at: str) -> list[Hit]:
        """Return the hits of a raw answer, best first; ``provider_score`` is 1 / (rank + 1).

        Raises:
            InputError: ``body`` is not an answer of this provider.
        """
        try:
            recorded = _Recorded.model_validate_json(body)
            if recorded.provider != self.name:
                raise NotAnAnswer("refused", f"it is of provider {recorded.provider!r}")
            found = self._api.found(query, recorded.body)
        except ValidationError as error:
            raise self._damaged(body, error.errors(include_url=False)[0]["msg"]) from error
        except NotAnAnswer as problem:
            raise self._damaged(body, str(problem)) from problem
        distinct = {one.document_id: one for one in reversed(found)}
        first = [one for one in found if distinct[one.document_id] is one][: recorded.k]
        return [
            Hit(
                level=query.level,
                modality=query.modality,
                region_index=query.region_index,
                provider=self.name,
                document_id=one.document_id,
                rank=rank,
                provider_score=1 / (rank + 1),
                text=one.text,
                title=one.title,
                url=one.url,
                image_url=one.image_url,
                retrieved_at=asked_at,
            )
            for rank, one in enumerate(first)
        ]

    def media(self, key: str) -> Media:
        """Refuse: images of the web are known by URL.

        Raises:
            ProviderUnavailable: always.
        """
        raise ProviderUnavailable(
            f"provider {self.name!r} knows images by URL, and none by the key {shown(key)}. "
            "Fetch the image_url of the hit."
        )

    def _ask(self, query: Query, k: int) -> bytes | ProviderUnavailable:
        if not self.accepts(query):
            raise InputError(
                f"provider {self.name!r} cannot answer a query of level {query.level!r} for "
                f"{query.modality!r}. Ask `accepts` first."
            )
        try:
            request = self._api.request(query, k)
            key = fingerprint([request.method, request.url, dict(request.params), request.json, k])
            recorded = self._recent.of(key, query)
            if recorded is None:
                recorded = self._send(request, query, k)
                self._recent.keep(key, query, recorded)
        except ProviderUnavailable as problem:
            return problem
        return recorded

    def _send(self, request: Request, query: Query, k: int) -> bytes:
        last_seen = ""

        def judge(response: Response) -> Verdict:
            nonlocal last_seen
            verdict, last_seen = self._judge(response, query)
            return verdict

        try:
            response = self._sender.send(request, judge)
        except ProviderUnavailable as problem:
            if not last_seen:
                raise
            raise ProviderUnavailable(f"{problem} Its last answer: {last_seen}") from problem
        answer = _Recorded(
            provider=self.name,
            k=k,
            url=request.url,
            status=response.status,
            body=response.body.decode("utf-8"),
        )
        return canonical_json(answer.model_dump()).encode("utf-8")

    def _judge(self, response: Response, query: Query) -> tuple[Verdict, str]:
        """Return what to make of a response, and why, for people."""
        way_out = self._api.refusals.get(response.status)
        if way_out is not None:
            return "refused", f"HTTP status {response.status}. {way_out}"
        verdict = judge_status(response)
        if verdict != "answer":
            return verdict, f"HTTP status {response.status}."
        try:
            self._api.found(query, response.body.decode("utf-8"))
        except UnicodeDecodeError:
            return "blocked", f"{shown(response.body[:99])} is not UTF-8."
        except NotAnAnswer as problem:
            return problem.verdict, str(problem)
        return "answer", ""

    def _damaged(self, body: bytes, why: str) -> InputError:
        return InputError(
            f"{shown(body[:99])} is no answer of provider {self.name!r} ({why}). "
            "Remove this recording, and build again."
        )


class _RecentAnswers:
    """The last answers, for other questions that the same request asks.

    An answer serves each question once: who asks the same again wants to know anew.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[bytes, set[str]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: str, query: Query) -> bytes | None:
        """Return the answer to the request of that key if ``query`` has not had it yet."""
        question = fingerprint(query_identity(query))
        with self._lock:
            body, served = self._answers.get(key, (None, set()))
            if body is None or question in served:
                return None
            served.add(question)
            return body

    def keep(self, key: str, query: Query, body: bytes) -> None:
        """Remember ``body``, which ``query`` was given."""
        with self._lock:
            self._answers[key] = (body, {fingerprint(query_identity(query))})
            self._answers.move_to_end(key)
            if len(self._answers) > _ANSWERS_KEPT:
                self._answers.popitem(last=False)
