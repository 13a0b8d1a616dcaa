"""Builds a store of made-up posts with the builder itself; a process of its own runs this."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cache.errors import ProviderUnavailable
from cache.records import Example, Hit, Media, Post, Query
from pipelines.bench.figures import peak_bytes
from retrieval.building.builder import build_store
from retrieval.datasets.dataset import Dataset
from retrieval.settings import AskSettings, BuildSettings, DatasetSettings, ObserveSettings
from retrieval.sight.observe import Observer

_HITS: Final = 3


class Answers:
    """A provider that answers by what a question says, from nothing."""

    name = "kb"
    fingerprint = "made up"

    def accepts(self, query: Query) -> bool:
        """Answer questions by text for texts."""
        return bool(query.text) and query.modality == "text"

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Return three hits for each question."""
        return [json.dumps(_passages(query.text)).encode() for query in queries]

    def parse(self, query: Query, body: bytes, asked_at: str) -> list[Hit]:
        """Return the hits of an answer."""
        return [
            Hit(
                level=query.level,
                modality=query.modality,
                region_index=query.region_index,
                provider=self.name,
                document_id=hashlib.sha256(text.encode()).hexdigest()[:16],
                rank=rank,
                provider_score=1 / (1 + rank),
                text=text,
                retrieved_at=asked_at,
            )
            for rank, text in enumerate(json.loads(body))
        ]

    def media(self, key: str) -> Media:
        """Have no image."""
        raise ProviderUnavailable(f"there is no image {key}")


def build_posts(store: Path, posts: int, seed: int = 0) -> float:
    """Build a store of posts without photos, with no models; return the seconds."""
    settings = BuildSettings(
        dataset=DatasetSettings(reader="jsonl", task="mner", root=store),
        observe=ObserveSettings(detector="none", encoder="none"),
        ask=AskSettings(providers=("kb",)),
    )
    examples = tuple(
        Example(
            Post(f"post-{number:07d}", tuple(_sentence(f"{seed} {number}").split())), "train", ()
        )
        for number in range(posts)
    )
    dataset = Dataset(
        examples, {}, (), None, (), hashlib.sha256(f"{seed} {posts}".encode()).hexdigest()
    )
    started = time.perf_counter()
    report = build_store(
        settings,
        store,
        dataset=dataset,
        observer=Observer(settings.observe),
        providers=[Answers()],
    )
    if report.counters["posts"] != posts or report.unfinished:
        raise RuntimeError(f"not every post was built: {report.as_json()}")
    return time.perf_counter() - started


def _passages(text: str) -> list[str]:
    return [_sentence(f"{text} {rank}") + " is what the newspaper said." for rank in range(_HITS)]


def _sentence(seed: str) -> str:
    """Return some words that the seed decides."""
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return " ".join(f"word{digest[i : i + 4]}" for i in range(14))


if __name__ == "__main__":
    _seconds = build_posts(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps([_seconds, peak_bytes()]))
