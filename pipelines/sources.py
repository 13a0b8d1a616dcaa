"""From the ``[ask]`` of a recipe to the providers, and to the client that fetches for them.

A provider is imported when a recipe names it: a store from files at hand needs no HTTP code.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from cache.errors import InputError
from retrieval.http.base import Client, Sender
from retrieval.http.clock import SystemClock
from retrieval.http.pace import HostPace
from retrieval.providers.base import Provider
from retrieval.settings import LOCAL_PROVIDERS, AskSettings
from retrieval.sight.observe import Observer


def make_providers(ask: AskSettings, observer: Observer) -> list[Provider]:
    """Return the providers that ``ask`` names, in its order.

    The keys of ``vision`` and ``qdrant`` are read from the environment here, each handed to that
    provider alone.
    Providers that ask the same host share its pace.

    Raises:
        InputError: one lacks what it needs.
        StoreMismatch: the knowledge base was embedded by another encoder.
    """
    polite = ask.polite
    pace = HostPace(polite.seconds_between, polite.together, SystemClock())
    makers: dict[str, Callable[[], Provider]] = {
        "kb": lambda: _kb(ask, observer),
        "recorded": lambda: _recorded(ask),
        "web": lambda: _web(ask, pace),
        "wikipedia": lambda: _wikipedia(ask, pace),
        "searxng": lambda: _searxng(ask, pace),
        "vision": lambda: _vision(ask, pace),
        "lancedb": lambda: _lancedb(ask, observer),
        "qdrant": lambda: _qdrant(ask, pace, observer),
    }
    return [makers[name]() for name in ask.providers]


def fetch_client(ask: AskSettings) -> Client | None:
    """Return the client that fetches what live providers name, or None where there is none.

    Raises:
        InputError: ``ask.ca_file`` or the contact cannot be used.
    """
    if LOCAL_PROVIDERS.issuperset(ask.providers):
        return None
    from retrieval.http.client import GuardedClient

    return GuardedClient(
        ask.polite,
        contact=ask.wikipedia.contact,
        allowed_hosts=ask.fetch.allowed_hosts,
        ca_file=ask.ca_file,
    )


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


def _wikipedia(ask: AskSettings, pace: HostPace) -> Provider:
    from retrieval.providers.wikipedia import wikipedia_provider

    settings = ask.wikipedia
    sender = _sender(ask, pace, "wikipedia", settings.endpoint, settings.contact)
    return wikipedia_provider(settings, sender)


def _searxng(ask: AskSettings, pace: HostPace) -> Provider:
    from retrieval.providers.searxng import searxng_provider

    return searxng_provider(ask.searxng, _sender(ask, pace, "searxng", ask.searxng.address))


def _vision(ask: AskSettings, pace: HostPace) -> Provider:
    from retrieval.providers.vision import vision_provider

    key = os.environ.get(ask.vision.key_variable, "").strip()
    return vision_provider(ask.vision, key, _sender(ask, pace, "vision", ask.vision.endpoint))


def _lancedb(ask: AskSettings, observer: Observer) -> Provider:
    from retrieval.providers.kb import KbProvider

    if not ask.lancedb.uri:
        raise InputError(
            "provider 'lancedb' needs a table. Write one with `ramie kb export DIR URI` and set "
            "ask.lancedb.uri=URI."
        )
    try:
        from retrieval.kb.lance_table import LanceTable
    except ModuleNotFoundError as error:
        raise InputError(
            f"provider 'lancedb' needs {error.name}, which is not installed. Install the extra: "
            "pip install '.[lancedb]'."
        ) from error
    table = LanceTable(ask.lancedb.uri, ask.lancedb.table)
    return KbProvider(table, observer.encoder_fingerprint, "lancedb")


def _qdrant(ask: AskSettings, pace: HostPace, observer: Observer) -> Provider:
    from retrieval.providers.qdrant import qdrant_provider

    settings = ask.qdrant
    key = os.environ.get(settings.key_variable, "").strip()
    sender = _sender(ask, pace, "qdrant", settings.address)
    return qdrant_provider(settings, key, observer.encoder_fingerprint, sender)


def _web(ask: AskSettings, pace: HostPace) -> Provider:
    from retrieval.http.polite import PoliteSender
    from retrieval.providers.ddgs_engine import EngineClient
    from retrieval.providers.web import web_provider

    client = EngineClient(
        ask.web,
        timeout_s=ask.polite.timeout_s,
        deadline_s=ask.polite.deadline_s,
        ca_file=ask.ca_file,
    )
    return web_provider(ask.web, PoliteSender(client, ask.polite, "web", pace=pace))


def _sender(
    ask: AskSettings, pace: HostPace, name: str, endpoint: str, contact: str = ""
) -> Sender:
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
    return PoliteSender(client, ask.polite, name, pace=pace)
