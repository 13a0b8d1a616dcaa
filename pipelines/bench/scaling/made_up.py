"""Made-up posts and a made-up knowledge base, of any size, without photos."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Final

from retrieval.settings import (
    AskSettings,
    BuildSettings,
    DatasetSettings,
    ObserveSettings,
)

_LETTERS: Final = ("ba", "do", "ki", "lu", "me", "no", "ra", "si", "ta", "vo")
_JOINTS: Final = ("the", "a", "of", "in", "and", "to", "for", "on", "with", "at", "is", "was")
_WORDS: Final = 5000
SPLITS: Final = ("train", "dev", "test")


class Writer:
    """Makes sentences; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._words = ["".join(self._rng.choices(_LETTERS, k=4)) for _ in range(_WORDS)]

    def sentence(self) -> str:
        """Return some words, four in ten of them of the kind that every sentence has."""
        rng = self._rng
        # Common words are more common: the weight of the r-th is about 1 / r.
        rest = [
            rng.choice(_JOINTS)
            if rng.random() < 0.4
            else self._words[int(_WORDS ** rng.random()) - 1]
            for _ in range(rng.randint(8, 15))
        ]
        return " ".join(rest).capitalize() + "."


def write_posts(folder: Path, posts: int, seed: int) -> None:
    """Write ``posts`` posts as JSONL, three in five of them for training."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = Writer(seed)
    files = [(folder / f"{split}.jsonl").open("w") for split in SPLITS]
    try:
        for number in range(posts):
            row = {
                "id": f"post-{number:08d}",
                "tokens": writer.sentence().split(),
                "entities": [],
            }
            files[(0, 0, 0, 1, 2)[number % 5]].write(json.dumps(row) + "\n")
    finally:
        for file in files:
            file.close()


def write_documents(folder: Path, documents: int, seed: int) -> None:
    """Write ``documents.jsonl``: each document has some sentences of the same words as posts."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = Writer(seed)
    with (folder / "documents.jsonl").open("w") as file:
        for number in range(documents):
            text = " ".join(writer.sentence() for _ in range(3))
            url = f"https://pages.example/{number}"
            row = {"id": f"d{number}", "title": f"Page {number}", "text": text, "url": url}
            file.write(json.dumps(row) + "\n")


def settings_of(posts: Path, kb: Path | None, hits: int) -> BuildSettings:
    """Return what builds these posts with no models; ``kb`` None asks nobody."""
    return BuildSettings(
        dataset=DatasetSettings(reader="jsonl", task="mner", root=posts),
        observe=ObserveSettings(detector="none", encoder="none"),
        ask=AskSettings(providers=() if kb is None else ("kb",), kb=kb, hits_per_query=hits),
    )
