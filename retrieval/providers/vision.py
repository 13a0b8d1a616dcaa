"""Provider ``vision``: what the web knows about a photo or a region, by Google Vision.

Web detection is the reverse image search of the paper: entities that pages with the image are
about, pages that show it, and images like it. It costs money per image, so that a photo is sent
once for texts and images together.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from cache.errors import InputError
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
from retrieval.providers.pictures import flag, jpeg_of
from retrieval.providers.web_text import clean_text, cut_at_word, web_url
from retrieval.settings import VisionSettings

# Raise it when equal settings and questions make another request: they are asked anew.
_REQUEST_VERSION: Final = 1
# Raise it when equal answers give other hits: recordings are read again, and nobody is asked.
_READING_VERSION: Final = 1
# Of each kind of answer; the price is per image.
_MAX_RESULTS: Final = 50
# google.rpc.Code: invalid argument, not found, permission denied, unimplemented, unauthenticated.
_LASTING_CODES: Final = frozenset({3, 5, 7, 12, 16})


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Entity(_Foreign):
    entityId: str = ""
    description: str = ""


class _Label(_Foreign):
    label: str = ""


class _Image(_Foreign):
    url: str = ""


class _Page(_Foreign):
    url: str = ""
    pageTitle: str = ""
    fullMatchingImages: list[_Image] = []
    partialMatchingImages: list[_Image] = []


class _Detection(_Foreign):
    webEntities: list[_Entity] = []
    bestGuessLabels: list[_Label] = []
    pagesWithMatchingImages: list[_Page] = []
    fullMatchingImages: list[_Image] = []
    partialMatchingImages: list[_Image] = []
    visuallySimilarImages: list[_Image] = []


class _Status(_Foreign):
    code: int = 2
    message: str = ""


class _Response(_Foreign):
    webDetection: _Detection = _Detection()
    error: _Status | None = None


class _Answer(_Foreign):
    responses: list[_Response]


class _VisionApi:
    """An `Api`: https://cloud.google.com/vision/docs/reference/rest/v1/images/annotate."""

    name: Final = "vision"
    reading: Final = _READING_VERSION
    answers_both: Final = True
    wants_pages: Final = True

    def __init__(self, settings: VisionSettings, key: str) -> None:
        self._settings = settings
        self._key = key
        way_out = (
            f"Check the key in the environment variable {settings.key_variable}, and that the "
            "Vision API and billing are on in its project."
        )
        self.refusals: Mapping[int, str] = {400: way_out, 401: way_out, 403: way_out}

    @property
    def decides(self) -> dict[str, object]:
        return {"version": _REQUEST_VERSION, "endpoint": self._settings.endpoint}

    def accepts(self, query: Query) -> bool:
        return query.level != "sentence" and bool(query.image_key)

    def request(self, query: Query, k: int) -> Request:
        feature = {"type": "WEB_DETECTION", "maxResults": min(max(k, 1), _MAX_RESULTS)}
        image = {"content": base64.b64encode(jpeg_of(query)).decode("ascii")}
        return Request(
            self._settings.endpoint,
            method="POST",
            headers={"X-Goog-Api-Key": self._key},
            json={"requests": [{"image": image, "features": [feature]}]},
            max_bytes=MAX_ANSWER_BYTES,
        )

    def found(self, query: Query, text: str) -> list[Found]:
        answer = read_answer(_Answer, text)
        if len(answer.responses) != 1:
            raise NotAnAnswer("blocked", f"{len(answer.responses)} responses to one image.")
        response = answer.responses[0]
        if response.error is not None:
            raise _complaint(response.error)
        of_detection = _passages if query.modality == "text" else _images
        return of_detection(response.webDetection)

    def canary(self, query: Query) -> Query:
        return flag(query)


def vision_provider(settings: VisionSettings, key: str, sender: Sender) -> HttpProvider:
    """Return the provider; ``key`` goes into the header of its requests and nowhere else.

    Raises:
        InputError: there is no key, or no usable endpoint.
    """
    if not key or not key.isascii() or not key.isprintable():
        raise InputError(
            f"provider 'vision' needs a key of Google Vision in the environment variable "
            f"{settings.key_variable}, which is empty or no key. Export it, and build again."
        )
    if not web_url(settings.endpoint):
        raise InputError(
            f"ask.vision.endpoint={settings.endpoint!r} is no address of the web. Leave it out."
        )
    return HttpProvider(_VisionApi(settings, key), sender)


def _passages(detection: _Detection) -> list[Found]:
    """Return one sentence that names what the image is about, then the pages that show it.

    Alone, an entity is a word or two, which nothing can be weighed against and which would crowd
    out the pages.
    """
    names: dict[str, str] = {}
    labels = (one.label for one in detection.bestGuessLabels)
    for given in (*labels, *(one.description for one in detection.webEntities)):
        name = clean_text(given, MAX_TITLE)
        names.setdefault(name.casefold(), name)
    listed = ", ".join(name for name in names.values() if name)
    text = cut_at_word(f"Pages with this image are about {listed}.", MAX_TEXT)
    about = [Found(document_id="about", text=text)] if listed else []
    pages = [
        Found(document_id=url, text=title or url, title=title, url=url)
        for page in detection.pagesWithMatchingImages
        if (url := web_url(page.url))
        for title in [clean_text(page.pageTitle, MAX_TITLE)]
    ]
    return about + pages


def _images(detection: _Detection) -> list[Found]:
    """Return the same image elsewhere, then parts of it, then similar ones."""
    page_of = {
        image.url: page
        for page in reversed(detection.pagesWithMatchingImages)
        for image in (*page.fullMatchingImages, *page.partialMatchingImages)
    }
    found: list[Found] = []
    for image in (
        *detection.fullMatchingImages,
        *detection.partialMatchingImages,
        *detection.visuallySimilarImages,
    ):
        url = web_url(image.url)
        page = page_of.get(image.url, _Page())
        title = clean_text(page.pageTitle, MAX_TITLE)
        if url:
            found.append(
                Found(
                    document_id=url, text=title, title=title, url=web_url(page.url), image_url=url
                )
            )
    return found


def _complaint(error: _Status) -> NotAnAnswer:
    told = f"Vision says {error.code}: {clean_text(error.message, 200)}"
    return NotAnAnswer("refused" if error.code in _LASTING_CODES else "blocked", told)
