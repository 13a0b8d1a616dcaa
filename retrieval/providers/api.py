"""A search API as a provider sees it: how to ask it, and how to read what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from cache.records import Query
from retrieval.datasets.lines import shown
from retrieval.http.base import Request

Model = TypeVar("Model", bound=BaseModel)

MAX_TEXT: Final = 2000
"""Characters that are kept of a passage."""
MAX_TITLE: Final = 300
"""Characters that are kept of a title or caption."""
MAX_ANSWER_BYTES: Final = 4 * 2**20
"""A search answer that is larger is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an answer says of one thing that was found; the rest of a `Hit` is known already."""

    document_id: str
    text: str = ""
    title: str = ""
    url: str = ""
    image_url: str = ""


class NotAnAnswer(Exception):
    """A response is no answer of the API.

    Attributes:
        verdict: ``blocked`` if it may answer later, ``refused`` if it will not.
    """

    def __init__(self, verdict: Literal["blocked", "refused"], why: str) -> None:
        super().__init__(why)
        self.verdict: Literal["blocked", "refused"] = verdict


class Api(Protocol):
    """How to ask one search API, and how to read it."""

    @property
    def name(self) -> str:
        """Of the provider."""
        ...

    @property
    def decides(self) -> dict[str, object]:
        """What decides answers: settings, and a version where equal settings ask otherwise now.

        What makes a request without a change of what comes back (keys, contacts) is not in it.
        """
        ...

    @property
    def reading(self) -> int:
        """Version of `found`; raised when equal answers give other hits."""
        ...

    @property
    def answers_both(self) -> bool:
        """Whether a question for texts and that for images make the same request."""
        ...

    @property
    def wants_pages(self) -> bool:
        """Whether texts are only snippets of the pages at their URL."""
        ...

    @property
    def refusals(self) -> Mapping[int, str]:
        """Ways out by HTTP status, for those that asking again would not change."""
        ...

    def accepts(self, query: Query) -> bool:
        """Return whether the API can answer that kind of query."""
        ...

    def request(self, query: Query, k: int) -> Request:
        """Return the request that asks ``query``; queries may share one.

        Raises:
            ProviderUnavailable: what is needed to ask is not at hand.
        """
        ...

    def found(self, query: Query, text: str) -> list[Found]:
        """Return all that ``text``, the body of a response, says about ``query``, best first.

        Raises:
            NotAnAnswer: it is another thing, or the API says that it cannot answer.
        """
        ...

    def canary(self, query: Query) -> Query:
        """Return a query of the same kind that is bound to have hits."""
        ...


def read_answer(model: type[Model], text: str) -> Model:
    """Return ``text`` as ``model``.

    Raises:
        NotAnAnswer: it is not; blocked, because a page that says so often stands in for JSON.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        why = f"{problem['msg']} at {place}" if place else problem["msg"]
        raise NotAnAnswer("blocked", f"{shown(text)} is not what was asked for: {why}.") from error
