"""The providers, one group for each."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from cache.records import Level, Modality
from retrieval.settings.base import Settings

LOCAL_PROVIDERS: Final = frozenset({"kb", "lancedb", "recorded"})
"""Providers whose content does not change under a build; all others are live."""


class ImportSettings(Settings):
    """Evidence that others published with a data set, for provider ``recorded``.

    What a passage is joined by follows from its level, because that is all a question tells: the
    photo's name at level ``image``, the cleaned sentence at level ``sentence``.

    Attributes:
        path: file; or folder or zip for ``conll-context``, folder for ``mnre-lists``. A machine
            fact: the content is what is fingerprinted.
        format: ``captions`` (``id.jpg :text``), ``conll-context`` (CoNLL with ``<EOS>`` and
            words labelled X), or ``mnre-lists`` (``caption`` and ``entity`` in MNRE's lines).
        level: of the evidence. None of the formats says what a region's evidence is.
        modality: of the evidence. None of the formats holds images.
        field: which of the two lists, for ``mnre-lists`` alone.
    """

    path: Path
    format: Literal["captions", "conll-context", "mnre-lists"]
    level: Level
    modality: Modality
    field: Literal["caption", "entity"] | None = None

    @model_validator(mode="after")
    def _can_be_joined(self) -> Self:
        if self.modality == "image":
            raise ValueError(
                "these formats hold text only; set modality = 'text', and put images into a "
                "knowledge base (`ramie kb build`)"
            )
        if self.level == "object":
            raise ValueError(
                "these formats do not say which region of a photo a passage is of; "
                "set level = 'image' if it is of the whole photo"
            )
        if self.format == "captions" and self.level == "sentence":
            raise ValueError(
                "captions are known by their photo, which a question of level 'sentence' does not "
                "name; set level = 'image', or write them as conll-context"
            )
        if (self.format == "mnre-lists") != (self.field is not None):
            raise ValueError(
                "mnre-lists need field = 'caption' or 'entity' (one import for each that is "
                "wanted); other formats have no field"
            )
        return self


class WebSettings(Settings):
    """Provider ``web``: DuckDuckGo through ``ddgs``.

    Attributes:
        backend: the one engine that is asked; never a mixture, so that a store can be repeated.
        region: of the searcher, as ddgs spells it.
        safesearch: as ddgs spells it.
        proxy: address of a proxy; a machine fact.
    """

    backend: Literal["duckduckgo"] = "duckduckgo"
    region: str = Field(default="us-en", pattern=r"^[a-z]{2}-[a-z]{2}$")
    safesearch: Literal["on", "moderate", "off"] = "moderate"
    proxy: str | None = None


class WikipediaSettings(Settings):
    """Provider ``wikipedia``: a MediaWiki action API.

    Attributes:
        endpoint: of the wiki's ``api.php``.
        contact: mail address or page of whoever builds; the API demands it in the User-Agent. A
            machine fact.
        thumbnail_px: width of the page image that is asked for.
    """

    endpoint: str = "https://en.wikipedia.org/w/api.php"
    contact: str = ""
    thumbnail_px: int = Field(default=640, ge=32)


class SearxngSettings(Settings):
    """Provider ``searxng``: a self-hosted SearXNG with its JSON format switched on.

    Attributes:
        address: of the instance, e.g. ``http://localhost:8888``.
        engines: asked by the instance; empty leaves its own choice.
        language: of the results, as SearXNG spells it.
    """

    address: str = ""
    engines: tuple[str, ...] = ()
    language: str = "en"


class VisionSettings(Settings):
    """Provider ``vision``: Google Vision web detection.

    Attributes:
        endpoint: of ``images:annotate``.
        key_variable: environment variable that holds the key; the key itself is nowhere else.
    """

    # A recipe may come from anybody: it must not name other secrets, nor send the key in the open.
    endpoint: str = Field(
        default="https://vision.googleapis.com/v1/images:annotate",
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])",
    )
    key_variable: str = Field(default="RAMIE_VISION_KEY", pattern=r"^RAMIE_[A-Z0-9_]*KEY$")


class LanceDbSettings(Settings):
    """Provider ``lancedb``: a table that `ramie kb export` wrote.

    Attributes:
        uri: folder, or place in an object store (``s3://bucket/path``); a machine fact, for the
            table says what is in it.
        table: its name.
    """

    uri: str = ""
    table: str = Field(default="documents", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")


class QdrantSettings(Settings):
    """Provider ``qdrant``: a collection of a Qdrant server, with vectors of the recipe's encoder.

    Attributes:
        address: of the server, e.g. ``http://localhost:6333``.
        collection: its name.
        text_vector: name of the vectors of texts; empty where there are none.
        image_vector: name of the vectors of images; empty where there are none.
        min_score: what scores less is not found; None finds the nearest, however far.
        key_variable: environment variable that holds the key, if the server wants one; the key
            itself is nowhere else.
    """

    address: str = ""
    collection: str = Field(default="documents", pattern=r"^[A-Za-z0-9_-]{1,255}$")
    text_vector: str = Field(default="text", pattern=r"^[A-Za-z0-9_-]{0,255}$")
    image_vector: str = Field(default="image", pattern=r"^[A-Za-z0-9_-]{0,255}$")
    min_score: float | None = Field(default=None, ge=-1, le=1)
    key_variable: str = Field(default="RAMIE_QDRANT_KEY", pattern=r"^RAMIE_[A-Z0-9_]*KEY$")


class PriceSettings(Settings):
    """What providers take for a thousand requests, for `ramie plan`: no answer depends on it.

    Attributes:
        currency: of all prices.
        web: of provider ``web``; None where it is not known to cost anything.
        wikipedia: of provider ``wikipedia``.
        searxng: of provider ``searxng``.
        vision: of provider ``vision``.
    """

    currency: str = Field(default="", max_length=20)
    web: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    wikipedia: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    searxng: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    vision: float | None = Field(default=None, ge=0, allow_inf_nan=False)
