"""A small made-up web, and what the search APIs of the real one would say about it.

Everything is decided by the question alone, so that equal builds get equal answers, in whatever
order they ask.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image

from retrieval.sight.photos import PhotoProblem, decode_image

UNKNOWN_WORD: Final = "xyzzy"
"""No document answers a question with this word."""

_NAMES: Final = ("Avery", "Bruno", "Celia", "Dario", "Edith", "Farid", "Greta", "Hugo")
_PLACES: Final = ("Oslo", "Paris", "Lagos", "Quito", "Kyoto", "Turin", "Perth", "Minsk")
_DEEDS: Final = (
    "opened a new concert hall beside the old harbour",
    "won the final after extra time in heavy rain",
    "signed the contract that the city had waited for",
    "painted a mural that visitors cross the country to see",
    "led the rescue team through the flooded quarter",
)
_WORD: Final = re.compile(r"\w+")
_NUM_SHOWN_WHERE_NO_WORD_FITS: Final = 5
_SIDE: Final = (96, 72)


@dataclass(frozen=True, slots=True)
class Document:
    """One page of the made-up web, with one image.

    Attributes:
        number: decides its address and its image.
        title: of the page.
        text: its first paragraph.
    """

    number: int
    title: str
    text: str

    @property
    def page(self) -> str:
        """Path of the page."""
        return f"/page/{self.number}"

    @property
    def image(self) -> str:
        """Path of the image."""
        return f"/image/{self.number}.png"


def _documents() -> tuple[Document, ...]:
    made = [
        (f"{name} of {place}", f"{name} {deed}. It happened in {place}, and {place} remembers it.")
        for name, place, deed in (
            (name, place, _DEEDS[(3 * row + column) % len(_DEEDS)])
            for row, name in enumerate(_NAMES)
            for column, place in enumerate(_PLACES)
        )
    ]
    made.append(("東京タワー", "The tower of 東京 — café on top 🗼 — was painted anew."))
    return tuple(Document(number, title, text) for number, (title, text) in enumerate(made))


DOCUMENTS: Final = _documents()


def search(question: str, k: int) -> list[Document]:
    """Return at most ``k`` documents, those that share most words with ``question`` first.

    A question that shares none gets a few that its hash picks, so that every question of a data
    set has an answer; one with `UNKNOWN_WORD` gets none.
    """
    words = set(_WORD.findall(question.casefold()))
    if not words or UNKNOWN_WORD in words:
        return []
    shared = {doc: len(words & _words_of(doc)) for doc in DOCUMENTS}
    fitting = [doc for doc in DOCUMENTS if shared[doc]]
    if not fitting:
        k = min(k, _NUM_SHOWN_WHERE_NO_WORD_FITS)
    ranked = sorted(
        fitting or DOCUMENTS, key=lambda doc: (-shared[doc], _digest(f"{question}|{doc.number}"))
    )
    return ranked[:k]


def page_of(path: str, address: str) -> bytes | None:
    """Return the HTML page at ``path``, or None."""
    document = next((doc for doc in DOCUMENTS if doc.page == path), None)
    if document is None:
        return None
    title, text = html.escape(document.title), html.escape(document.text)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"</head><body><nav><a href='/'>Home</a> <a href='/about'>About</a></nav>"
        f"<main><article><h1>{title}</h1><p>{text}</p>"
        f"<p>{text} The people who saw it told the story many times afterwards.</p>"
        f'<img src="{address}{document.image}" alt="{title}"></article></main></body></html>'
    ).encode()


@lru_cache(maxsize=256)
def image_of(path: str) -> bytes | None:
    """Return the PNG at ``path``, or None."""
    document = next((doc for doc in DOCUMENTS if doc.image == path), None)
    if document is None:
        return None
    small = np.random.default_rng(document.number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(small).resize(_SIDE, Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def mediawiki(params: Mapping[str, str], address: str) -> bytes:
    """Return what a MediaWiki says to ``action=query&generator=search``, formatversion 2."""
    question = params.get("gsrsearch", "").replace(" OR ", " ")
    if len(params.get("gsrsearch", "")) > 300:
        info = "Search request is longer than the maximum allowed length."
        return _json({"error": {"code": "cirrussearch-query-too-long", "info": info}})
    found = search(question, int(params.get("gsrlimit", "10")))
    if not found:
        return _json({"batchcomplete": True})
    pages = [
        {
            "pageid": 1000 + doc.number,
            "ns": 0,
            "title": doc.title,
            "index": index,
            "extract": doc.text,
            "fullurl": f"{address}{doc.page}",
            "thumbnail": {"source": f"{address}{doc.image}", "width": 96, "height": 72},
        }
        for index, doc in enumerate(found, start=1)
    ]
    # The real one lists pages by their ids; the place in the search is in ``index``.
    pages.sort(key=lambda page: str(page["pageid"]))
    return _json({"batchcomplete": True, "query": {"pages": pages}})


def searxng(params: Mapping[str, str], address: str) -> bytes:
    """Return what a SearXNG says to ``/search?format=json``."""
    is_image = params.get("categories") == "images"
    results = [
        {
            "url": f"{address}{doc.page}",
            "title": doc.title,
            "content": f"{doc.text[:60]} ... 🗼" if "東京" in doc.text else doc.text[:60],
            "engine": "replay",
            "score": 1.0,
            "category": params.get("categories", "general"),
            **(
                {"img_src": f"{address}{doc.image}", "template": "images.html"} if is_image else {}
            ),
        }
        for doc in search(params.get("q", ""), 20)
    ]
    return _json(
        {
            "query": params.get("q", ""),
            "number_of_results": len(results),
            "results": results,
            "answers": [],
            "suggestions": [],
            "unresponsive_engines": [],
        }
    )


def vision(body: bytes, address: str) -> bytes:
    """Return what Google Vision says to one image with web detection; a flat image is unknown."""
    try:
        request = json.loads(body)["requests"][0]
        k = int(request["features"][0]["maxResults"])
        photo = decode_image(base64.b64decode(request["image"]["content"]))
    except (ValueError, KeyError, IndexError, TypeError, binascii.Error, PhotoProblem):
        return _json({"responses": [{"error": {"code": 3, "message": "Bad image data."}}]})
    if not np.ptp(np.asarray(photo.pixels), axis=(0, 1)).any():
        return _json({"responses": [{}]})
    return _json({"responses": [{"webDetection": _detection(photo.media.key, k, address)}]})


def _detection(key: str, k: int, address: str) -> dict[str, object]:
    # The key is a word of no document, so the picture alone decides which are found.
    found = [DOCUMENTS[-1], *search(key, k)][:k]
    images = [{"url": f"{address}{doc.image}"} for doc in found]
    return {
        "webEntities": [
            {"entityId": f"/m/{doc.number:04d}", "score": 0.5, "description": doc.title}
            for doc in found
        ],
        "bestGuessLabels": [{"label": found[0].title.casefold(), "languageCode": "en"}],
        "pagesWithMatchingImages": [
            {
                "url": f"{address}{doc.page}",
                "pageTitle": f"<b>{html.escape(doc.title)}</b> 🗼",
                "fullMatchingImages": [{"url": f"{address}{doc.image}"}],
            }
            for doc in found
        ],
        "fullMatchingImages": images[:1],
        "partialMatchingImages": images[1:2],
        "visuallySimilarImages": images,
    }


@lru_cache(maxsize=256)
def _words_of(document: Document) -> frozenset[str]:
    return frozenset(_WORD.findall(f"{document.title} {document.text}".casefold()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _json(value: Mapping[str, object] | Sequence[object]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
