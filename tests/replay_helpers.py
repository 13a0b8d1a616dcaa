"""Live providers as a recipe makes them, talking to a replay server on this machine."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import trustme
from numpy.typing import NDArray
from PIL import Image
from tiny_vision import media, tiny_settings

from cache.errors import ProviderUnavailable
from cache.records import MODALITIES, Hit, Level, Query, Vector
from pipelines.replay.corpus import DOCUMENTS, UNKNOWN_WORD
from pipelines.replay.faults import Faults
from pipelines.replay.http import VISION_KEY
from pipelines.replay.script import Logged
from pipelines.replay.server import ReplayServer
from pipelines.replay.vectors import DIMENSION, ENCODER, vector_of
from pipelines.sources import make_providers
from retrieval.http.base import Judge, Request, Response
from retrieval.providers.base import LiveProvider, Provider, is_live
from retrieval.settings import AskSettings, PoliteSettings
from retrieval.sight.observe import Observer
from retrieval.sight.photos import Photo, decode_image

# Two tries without pauses; patient enough for a machine that stands still for seconds.
QUICK = PoliteSettings(
    seconds_between=0, first_pause_s=0, timeout_s=60, deadline_s=120, attempts=2, longest_wait_s=1
)
SENTENCE = "Paris tower 東京タワー 🗼"


class Scripted(Protocol):
    """A server whose faults can be set, and that remembers its requests."""

    faults: Faults

    @property
    def log(self) -> list[Logged]:
        """The requests so far."""
        ...


@dataclass
class LiveCase:
    """A live provider and the server behind it.

    Attributes:
        server: answers.
        make: returns a new provider with the given manners; each has its own memory.
        queries: have hits, one of them a text with 東京 and 🗼.
        nothing: is accepted, and has none.
        foreign: is accepted by no provider of the kind.
    """

    server: Scripted
    make: Callable[[PoliteSettings], LiveProvider]
    queries: list[Query]
    nothing: Query
    foreign: Query


@dataclass(frozen=True)
class Certified:
    """A server's TLS, and the file of the authority to trust for it."""

    context: ssl.SSLContext
    ca_file: Path


def certified(folder: Path) -> Certified:
    """Return certificates for 127.0.0.1 by a throw-away authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Certified(context, ca_file)


def ask_settings(name: str, server: ReplayServer, ca_file: Path | None = None) -> AskSettings:
    """Return a recipe's settings that ask provider ``name`` of ``server``."""
    return AskSettings.model_validate(
        {
            "providers": (name,),
            "wikipedia": {"endpoint": server.wikipedia_endpoint, "contact": "me@example.org"},
            "searxng": {"address": server.address},
            "vision": {"endpoint": server.vision_endpoint},
            "qdrant": {"address": server.address, "min_score": 0.35},
            "ca_file": ca_file,
        }
    )


def provider_of(ask: AskSettings, encoder: str = ENCODER) -> LiveProvider:
    """Return the one provider that ``ask`` names, made as a build makes it.

    ``encoder`` makes the vectors of who asks by vectors.
    """
    os.environ[ask.vision.key_variable] = VISION_KEY
    os.environ[ask.qdrant.key_variable] = VISION_KEY
    observer = Observer(tiny_settings(None))
    observer.encoder_fingerprint = encoder if ask.providers == ("qdrant",) else ""
    made: Provider = make_providers(ask, observer)[0]
    assert is_live(made)
    return made


def sentence_queries(text: str = SENTENCE) -> list[Query]:
    """Return what a post without a photo asks."""
    return [Query("sentence", "text", text=text), Query("sentence", "image", text=text)]


def photo_queries(photo: Photo, box: str = "2,3,30,20") -> list[Query]:
    """Return what a photo with one region asks."""
    key = photo.media.key
    asked: list[tuple[Level, str, int]] = [("image", key, -1), ("object", f"{key}#{box}", 0)]
    return [
        Query(level, modality, image_key=image_key, region_index=index, photo=photo.media)
        for level, image_key, index in asked
        for modality in MODALITIES
    ]


def vector_queries() -> list[Query]:
    """Return what a sentence and a photo ask that are near four documents, 東京 among them."""
    last = len(DOCUMENTS) - 1
    text, image = (
        _unit(sum((vector_of(number, side) for number in (3, 5, 8)), vector_of(last, side)))
        for side in ("text", "image")
    )
    return [
        *(replace(query, embedding=text) for query in sentence_queries()),
        *(Query("image", side, image_key="0" * 64, embedding=image) for side in MODALITIES),
    ]


def _unit(vector: NDArray[Any]) -> Vector:
    unit: Vector = (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)
    return unit


def flat_photo() -> Photo:
    """Return a photo of one colour, which the replayed web does not know."""
    buffer = BytesIO()
    Image.new("RGB", (32, 24), (120, 130, 140)).save(buffer, "PNG")
    return decode_image(buffer.getvalue())


@contextmanager
def replay_case(name: str, folder: Path) -> Iterator[LiveCase]:
    """Yield a case of one of the providers that the replay server speaks for."""
    tls = certified(folder)
    with ReplayServer(tls=tls.context) as server:
        ask = ask_settings(name, server, tls.ca_file)

        def make(polite: PoliteSettings) -> LiveProvider:
            return provider_of(ask.model_copy(update={"polite": polite}))

        unknown = sentence_queries(UNKNOWN_WORD)[0]
        if name == "vision":
            queries = photo_queries(decode_image(media(1).data))
            yield LiveCase(server, make, queries, photo_queries(flat_photo())[0], unknown)
        elif name == "qdrant":
            far = np.random.default_rng(12345).normal(size=DIMENSION)
            nothing = replace(unknown, embedding=_unit(far))
            yield LiveCase(server, make, vector_queries(), nothing, Query("sentence", "text"))
        else:
            foreign = Query("image", "text", image_key="0" * 64)
            yield LiveCase(server, make, sentence_queries(), unknown, foreign)


class StubSender:
    """A `Sender` that hands one body after the other to the judge, and keeps the requests."""

    def __init__(self, *bodies: object, status: int = 200) -> None:
        self.requests: list[Request] = []
        self._status = status
        self._bodies = [
            body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies
        ]

    def send(self, request: Request, judge: Judge) -> Response:
        self.requests.append(request)
        response = Response(self._status, request.url, {}, self._bodies.pop(0))
        verdict = judge(response)
        if verdict != "answer":
            raise ProviderUnavailable(f"the stub was {verdict}.")
        return response


def hits_of(provider: LiveProvider, query: Query, k: int = 5) -> list[Hit]:
    """Return what ``provider`` finds for ``query``."""
    body = provider.ask([query], k)[0]
    if isinstance(body, ProviderUnavailable):
        raise body
    return provider.parse(query, body, "2026-11-22T16:00:00Z")
