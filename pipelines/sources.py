"""From a recipe to what the builder needs: data set, observer, providers.

A provider is imported when a recipe names it: a store from files at hand needs no HTTP code.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cache.errors import InputError
from retrieval.asking.answers import AnswerBook
from retrieval.http.base import Client, Sender
from retrieval.providers.base import Provider
from retrieval.settings import AskSettings
from retrieval.sight.observe import Observer

if TYPE_CHECKING:
    from retrieval.fetching.fetch import Fetcher

_LIVE: Final = frozenset({"web", "wikipedia", "searxng", "vision"})


def make_providers(ask: AskSettings, observer: Observer) -> list[Provider]:
    """Return the providers that ``ask`` names, in its order.

    The key of ``vision`` is read from the environment here, and handed to that provider alone.

    Raises:
        InputError: one lacks what it needs, or there is none of that name.
        StoreMismatch: the knowledge base was embedded by another encoder.
    """
    makers: dict[str, Callable[[], Provider]] = {
        "kb": lambda: _kb(ask, observer),
        "recorded": lambda: _recorded(ask),
        "web": lambda: _web(ask),
        "wikipedia": lambda: _wikipedia(ask),
        "searxng": lambda: _searxng(ask),
        "vision": lambda: _vision(ask),
    }
    unknown = [name for name in ask.providers if name not in makers]
    if unknown:
        raise InputError(f"there is no provider {unknown[0]!r}. Use some of {', '.join(makers)}.")
    return [makers[name]() for name in ask.providers]


def fetch_client(ask: AskSettings) -> Client | None:
    """Return the client that fetches what live providers name, or None where there is none.

    Raises:
        InputError: ``ask.ca_file`` or the contact cannot be used.
    """
    if _LIVE.isdisjoint(ask.providers):
        return None
    from retrieval.http.client import GuardedClient

    return GuardedClient(
        ask.polite,
        contact=ask.wikipedia.contact,
        allowed_hosts=ask.fetch.allowed_hosts,
        ca_file=ask.ca_file,
    )


def make_fetcher(client: Client, ask: AskSettings, book: AnswerBook) -> Fetcher:
    """Return what fetches the pages and images that live providers name, into ``book``."""
    from retrieval.fetching.fetch import Fetcher

    return Fetcher(client, ask.fetch, ask.polite, book)


def _kb(ask: AskSettings, observer: Observer) -> Provider:
    from retrieval.kb.knowledge_base import open_kb
    from retrieval.providers.kb import KbProvider

    if ask.kb is None:
        raise InputError(
            "provider 'kb' needs a knowledge base. Make one with `ramie kb build FOLDER DIR "
            "--recipe RECIPE` and set ask.kb=DIR."
        )
    return KbProvider(open_kb(ask.kb), observer.encoder_fingerprint)


def _recorded(ask: AskSettings) -> Provider:
    from retrieval.providers.recorded import RecordedProvider

    return RecordedProvider(ask.imports)


def _wikipedia(ask: AskSettings) -> Provider:
    from retrieval.providers.wikipedia import wikipedia_provider

    endpoint = ask.wikipedia.endpoint
    # One request at a time, whatever else is allowed: the API's etiquette asks for it.
    serial = ask.model_copy(update={"polite": ask.polite.model_copy(update={"together": 1})})
    sender = _sender(serial, "wikipedia", endpoint, ask.wikipedia.contact)
    return wikipedia_provider(ask.wikipedia, sender)


def _searxng(ask: AskSettings) -> Provider:
    from retrieval.providers.searxng import searxng_provider

    return searxng_provider(ask.searxng, _sender(ask, "searxng", ask.searxng.address))


def _vision(ask: AskSettings) -> Provider:
    from retrieval.providers.vision import vision_provider

    key = os.environ.get(ask.vision.key_variable, "").strip()
    return vision_provider(ask.vision, key, _sender(ask, "vision", ask.vision.endpoint))


def _web(ask: AskSettings) -> Provider:
    from retrieval.http.polite import PoliteSender
    from retrieval.providers.ddgs_engine import EngineClient
    from retrieval.providers.http import HttpProvider
    from retrieval.providers.web import WebApi

    client = EngineClient(
        ask.web,
        timeout_s=ask.polite.timeout_s,
        deadline_s=ask.polite.deadline_s,
        ca_file=ask.ca_file,
    )
    return HttpProvider(WebApi(ask.web), PoliteSender(client, ask.polite, "web"))


def _sender(ask: AskSettings, name: str, endpoint: str, contact: str = "") -> Sender:
    """Return a sender to the host of ``endpoint``, which may be a private one: the recipe says so.

    Raises:
        InputError: ``ask.ca_file`` or the contact cannot be used.
    """
    from retrieval.http.base import Refused
    from retrieval.http.client import GuardedClient
    from retrieval.http.guard import host_and_port
    from retrieval.http.polite import PoliteSender

    try:
        hosts: tuple[str, ...] = (host_and_port(endpoint),)
    except Refused:  # the provider says what is wrong with its address, and which setting it is
        hosts = ()
    client = GuardedClient(ask.polite, contact=contact, allowed_hosts=hosts, ca_file=ask.ca_file)
    return PoliteSender(client, ask.polite, name)
