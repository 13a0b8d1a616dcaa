"""Who is asked, and for how much."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from retrieval.settings.base import Settings
from retrieval.settings.outside import FetchSettings, PoliteSettings
from retrieval.settings.providers import (
    ImportSettings,
    LanceDbSettings,
    PriceSettings,
    QdrantSettings,
    SearxngSettings,
    VisionSettings,
    WebSettings,
    WikipediaSettings,
)

# As long as nobody asks them, a manifest stays as it was before they were known.
_LATER_PROVIDERS: Final = ("lancedb", "qdrant")


class AskSettings(Settings):
    """Who is asked, and for how much.

    Attributes:
        providers: names of providers, asked in this order; none makes a text-only store.
        hits_per_query: answers asked of each provider per query.
        kb: folder of a built knowledge base, for provider ``kb``.
        imports: evidence that others published, for provider ``recorded``; where several answer
            the same question, the passages of the first come first.
        web: of provider ``web``.
        wikipedia: of provider ``wikipedia``.
        searxng: of provider ``searxng``.
        vision: of provider ``vision``.
        lancedb: of provider ``lancedb``.
        qdrant: of provider ``qdrant``.
        fetch: of the pages and images that live providers name.
        polite: how live providers are asked; a machine fact.
        prices: of a thousand requests, by provider; a machine fact, as bills are.
        ca_file: certificates to trust instead of the usual ones; a machine fact.
    """

    providers: tuple[
        Literal["kb", "lancedb", "recorded", "web", "wikipedia", "searxng", "vision", "qdrant"],
        ...,
    ] = ("kb",)
    hits_per_query: int = Field(default=20, ge=1)
    kb: Path | None = None
    imports: tuple[ImportSettings, ...] = ()
    web: WebSettings = WebSettings()
    wikipedia: WikipediaSettings = WikipediaSettings()
    searxng: SearxngSettings = SearxngSettings()
    vision: VisionSettings = VisionSettings()
    lancedb: LanceDbSettings = LanceDbSettings()
    qdrant: QdrantSettings = QdrantSettings()
    fetch: FetchSettings = FetchSettings()
    polite: PoliteSettings = PoliteSettings()
    prices: PriceSettings = PriceSettings()
    ca_file: Path | None = None

    @model_serializer(mode="wrap")
    def _without_providers_of_later(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what older stores do not know, where it is as it was for them."""
        told: dict[str, Any] = whole(self)
        fields = type(self).model_fields
        later = {n for n in _LATER_PROVIDERS if getattr(self, n) == fields[n].default}
        return {name: value for name, value in told.items() if name not in later}
