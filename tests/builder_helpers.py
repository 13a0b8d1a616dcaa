"""A tiny data set, an observer and a provider that count what they are asked, for the builder."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from curation_helpers import encode, picture
from PIL import Image

from cache.errors import ProviderUnavailable
from cache.keys import content_key
from cache.records import Example, Hit, Media, Observation, Post, Query, Region, Span, Vector
from retrieval.asking.manner import AskingOptions
from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.providers.base import query_identity
from retrieval.settings import AskSettings, BuildSettings, CurateSettings, DatasetSettings
from retrieval.sight.photos import Photo

SETTINGS = BuildSettings(
    dataset=DatasetSettings(reader="jsonl", task="mner", root=Path("unused")),
    ask=AskSettings(providers=("kb",), hits_per_query=4),
    curate=CurateSettings(keep_per_stream=2, min_relevance=-1.0),
    shard_size=2,
)
STRICTER = CurateSettings(keep_per_stream=1, min_relevance=0.1)
SENTENCES = (
    "rain stops the cup final in Oslo",
    "a quiet day at the river",
    "the band plays in the old harbour tonight",
    "rain stops the cup final in Oslo",
    "nobody knows where Jordan went",
)


def vector_of(content: str) -> Vector:
    """Return a unit vector that only ``content`` decides, exact in float16."""
    seed = int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big")
    vector = np.random.default_rng(seed).normal(size=4)
    return (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)


def make_dataset(folder: Path, label: str = "PER", shuffle: bool = False) -> Dataset:
    """Return five posts: photo, no photo, unreadable photo, the first one's photo, missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "p0.png").write_bytes(encode(picture(0)).data)
    (folder / "p2.jpg").write_bytes(b"this is a text")
    photos = {"e0": folder / "p0.png", "e2": folder / "p2.jpg", "e3": folder / "p0.png"}
    names = ("p0.png", "", "p2.jpg", "p0.png", "p4.jpg")
    examples = [
        Example(
            Post(f"e{place}", tuple(sentence.split()), names[place]),
            "test" if place == 4 else "train",
            entities=(Span(0, 1, label),),
        )
        for place, sentence in enumerate(SENTENCES)
    ]
    if shuffle:
        examples.reverse()
    digest = content_key(label.encode())
    return Dataset(tuple(examples), photos, (label,), None, (), digest)


@dataclass
class CountingObserver:
    """Sees one region in every photo, and vectors by content; ``before`` runs first each time."""

    fingerprint: str = "observer"
    encoder_fingerprint: str = "encoder"
    forward_seconds: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    needs: None = None
    observed: Counter[str] = field(default_factory=Counter)
    embedded: Counter[str] = field(default_factory=Counter)
    before: Callable[[str], None] = lambda what: None

    def observe(
        self, posts: Sequence[Post], photos: Sequence[Photo | None], statuses: Sequence[str]
    ) -> list[Observation]:
        """Return one observation per post."""
        for post in posts:
            self.before(f"observe {post.example_id}")
        return [self._look(*one) for one in zip(posts, photos, statuses, strict=True)]

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Return a vector per text."""
        self.before("embed texts")
        self.embedded.update(texts)
        return np.stack([vector_of(text) for text in texts])

    def embed_images(self, images: Sequence[Image.Image]) -> Vector:
        """Return a vector per image."""
        self.before("embed images")
        self.embedded.update(["image"] * len(images))
        return np.stack([vector_of(image.tobytes().hex()[:64]) for image in images])

    def _look(self, post: Post, photo: Photo | None, status: str) -> Observation:
        self.observed[post.example_id] += 1
        sentence = vector_of(" ".join(post.tokens))
        if photo is None:
            return Observation(post, None, status, None, sentence)
        key = photo.media.key
        region = Region((1.0, 2.0, 30.0, 40.0), "ball", 0.5, vector_of(key + "region"))
        return Observation(post, key, status, vector_of(key), sentence, (region,))


@dataclass
class CountingProvider:
    """Answers every query with three hits that the query decides; ``before`` runs first."""

    name: str = "kb"
    fingerprint: str = "knowledge"
    asked: Counter[str] = field(default_factory=Counter)
    down: set[str] = field(default_factory=set)
    lost_media: bool = False
    vectors: bool = True
    before: Callable[[str], None] = lambda what: None

    def accepts(self, query: Query) -> bool:
        """Take every query but those without text and image."""
        return bool(query.text or query.image_key)

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Return the answers; none to a query whose text or level is ``down``."""
        self.before(f"ask {len(queries)}")
        answers: list[bytes | ProviderUnavailable] = []
        for query in queries:
            if {query.text, query.level} & self.down:
                answers.append(ProviderUnavailable("the line is down"))
                continue
            identity = json.dumps(query_identity(query), sort_keys=True)
            self.asked[identity] += 1
            answers.append(json.dumps([f"{identity} {place}" for place in range(3)]).encode())
        return answers

    def parse(self, query: Query, body: bytes, asked_at: str) -> list[Hit]:
        """Return the hits of an answer."""
        self.before("parse")
        return [
            self._hit(query, rank, seed, asked_at) for rank, seed in enumerate(json.loads(body))
        ]

    def media(self, key: str) -> Media:
        """Return one of eight pictures."""
        self.before("media")
        if self.lost_media:
            raise ProviderUnavailable("the disk is away")
        return next(one for one in PICTURES if one.key == key)

    def _hit(self, query: Query, rank: int, seed: str, asked_at: str) -> Hit:
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
        name = f"d{number % 1000}"
        image = PICTURES[number % len(PICTURES)]
        return Hit(
            level=query.level,
            modality=query.modality,
            region_index=query.region_index,
            provider=self.name,
            document_id=name,
            rank=rank,
            provider_score=1.0 / (rank + 1),
            text=f"document {name} says {number}" if query.modality == "text" else "",
            media_key=image.key if query.modality == "image" else None,
            retrieved_at=asked_at,
            embedding=vector_of(name) if self.vectors else None,
        )


PICTURES = tuple(encode(picture(seed)) for seed in range(100, 108))


def build(
    store: Path,
    dataset: Dataset,
    observer: CountingObserver | None = None,
    provider: CountingProvider | None = None,
    *,
    curate: CurateSettings = SETTINGS.curate,
    part: tuple[int, int] | None = None,
) -> BuildReport:
    """Build with plain settings, or with other ones for curation; all posts, or one part."""
    settings = SETTINGS.model_copy(update={"curate": curate})
    return build_store(
        settings,
        store,
        dataset=dataset,
        observer=observer or CountingObserver(),
        providers=[provider or CountingProvider()],
        asking=AskingOptions(part=part),
    )


def files_of(store: Path, *folders: str) -> dict[str, bytes]:
    """Return the bytes of all files below a store's folders, by path; recordings only if named."""
    every = ("examples", "evidence", "dropped", "media")
    found = [p for name in folders or every for p in sorted((store / name).rglob("*"))]
    if not folders:
        found.append(store / "manifest.json")
    return {str(path.relative_to(store)): path.read_bytes() for path in found if path.is_file()}


def relabelled(dataset: Dataset, label: str) -> Dataset:
    """Return the same posts in other splits with other annotations."""
    examples = tuple(
        replace(example, split="dev", entities=(Span(0, 2, label),))
        for example in dataset.examples
    )
    return replace(dataset, examples=examples, labels=(label,), digest=content_key(b"relabelled"))
