"""From a recipe to what the builder needs: data set, observer, providers."""

from __future__ import annotations

from collections.abc import Callable

from cache.errors import InputError
from retrieval.kb import open_kb
from retrieval.observe import Observer
from retrieval.providers.base import Provider
from retrieval.providers.kb import KbProvider
from retrieval.providers.recorded import RecordedProvider
from retrieval.settings import AskSettings


def make_providers(ask: AskSettings, observer: Observer) -> list[Provider]:
    """Return the providers that ``ask`` names, in its order.

    Raises:
        InputError: one lacks what it needs.
        StoreMismatch: the knowledge base was embedded by another encoder.
    """
    makers: dict[str, Callable[[], Provider]] = {
        "kb": lambda: _kb(ask, observer),
        "recorded": lambda: RecordedProvider(ask.captions, ask.context),
    }
    return [makers[name]() for name in ask.providers]


def _kb(ask: AskSettings, observer: Observer) -> Provider:
    if ask.kb is None:
        raise InputError(
            "provider 'kb' needs a knowledge base. Make one with `ramie kb build FOLDER DIR "
            "--recipe RECIPE` and set ask.kb=DIR."
        )
    return KbProvider(open_kb(ask.kb), observer.encoder_fingerprint)
