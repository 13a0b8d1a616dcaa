"""The seam behind which evidence is found: a knowledge base, a recording, the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeGuard

from cache.errors import ProviderUnavailable
from cache.keys import fingerprint
from cache.records import Hit, Media, Query


class Provider(Protocol):
    """Anything that answers queries.

    Asking and reading the answer are apart, so that the raw answer is recorded before anything
    reads it, and a recording can be read again without whoever gave it.
    """

    @property
    def name(self) -> str:
        """Recorded with every hit, so that evidence can be traced and filtered by source."""
        ...

    @property
    def fingerprint(self) -> str:
        """Says what answers (digest of the knowledge base, of the file); part of every key."""
        ...

    def accepts(self, query: Query) -> bool:
        """Return whether this provider can answer that kind of query at all."""
        ...

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Return one raw answer (JSON) of at most ``k`` hits per query, in the queries' order.

        An answer without hits means that the search found nothing. A query that could not be
        asked gets the `ProviderUnavailable` in its place; its post stays unfinished.
        """
        ...

    def parse(self, query: Query, body: bytes, asked_at: str) -> list[Hit]:
        """Return the hits of a raw answer, best first; needs the recording alone.

        Raises:
            InputError: ``body`` is not an answer of this provider.
        """
        ...

    def media(self, key: str) -> Media:
        """Return the image that a hit names by ``media_key``.

        Raises:
            ProviderUnavailable: the image is not to be had now.
        """
        ...


class LiveProvider(Provider, Protocol):
    """A provider whose answers change with time and come from elsewhere.

    Its answers are dated. An answer without hits is believed only after the `canary` was answered
    with hits. It knows images by URL: its hits have an ``image_url`` in place of a ``media_key``,
    and the images, and pages where it ``wants_pages``, are fetched apart.
    """

    @property
    def live(self) -> Literal[True]:
        """Tells a live provider from one that answers from files at hand."""
        ...

    @property
    def reading(self) -> int:
        """Version of `parse`; raised when equal answers give other hits.

        Part of what a store is made of, and of no key: what was answered is not asked again.
        """
        ...

    @property
    def answers_both(self) -> bool:
        """Whether one request answers the questions for the texts and the images of one thing."""
        ...

    @property
    def wants_pages(self) -> bool:
        """Whether the texts of its hits are only snippets of the pages at their ``url``."""
        ...

    def canary(self, query: Query) -> Query:
        """Return a query of the same kind as ``query`` that is bound to have hits."""
        ...


def is_live(provider: Provider) -> TypeGuard[LiveProvider]:
    """Return whether ``provider`` is a `LiveProvider`."""
    return bool(getattr(provider, "live", False))


def query_identity(query: Query) -> dict[str, str]:
    """Return what makes two queries the same question: neither the embedding nor the post.

    The region's box is part of ``image_key``, so its index, which depends on the other boxes of
    the photo, is not needed.
    """
    return {
        "level": query.level,
        "modality": query.modality,
        "text": query.text,
        "image_key": query.image_key,
        "image_name": query.image_name,
    }


def query_key(provider: Provider, query: Query, k: int) -> str:
    """Return the key under which the raw answer of ``provider`` to ``query`` is recorded."""
    return answer_key(provider.name, provider.fingerprint, query, k)


def answer_key(name: str, provider_fingerprint: str, query: Query, k: int) -> str:
    """Return `query_key` where only the provider's name and fingerprint are known."""
    return fingerprint(
        {
            "provider": name,
            "fingerprint": provider_fingerprint,
            "query": query_identity(query),
            "k": k,
        }
    )
