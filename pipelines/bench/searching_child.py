"""What `pipelines.bench.searching` does in processes of their own, to tell memory apart.

The embedder is made up, for a real one would take hours for a million passages: its vectors lie
around topics, which lie around subjects.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.bench.figures import peak_bytes

DIM: Final = 512
# So many documents of a topic; topics and subjects are as far apart as one of them is wide.
_OF_A_TOPIC: Final = 100
_SUBJECTS: Final = 200
_TOPIC_WIDTH: Final = 0.8
_WIDTH: Final = 0.7
_QUERIES: Final = 4096
_TOGETHER: Final = 256
_ROUNDS: Final = 3

Vectors = NDArray[np.float32]


class MadeUpEmbedder:
    """Gives every text a vector near the topic that its bytes choose."""

    encoder_fingerprint = "made-up"

    def __init__(self, documents: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        num = max(_SUBJECTS, documents // _OF_A_TOPIC)
        subjects = rng.standard_normal((_SUBJECTS, DIM), dtype=np.float32)
        around = rng.standard_normal((num, DIM), dtype=np.float32)
        self._topics = subjects[rng.integers(_SUBJECTS, size=num)] + _TOPIC_WIDTH * around

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector per text, rounded to float16 precision."""
        sums = [zlib.crc32(text.encode()) for text in texts]
        noise = np.random.default_rng(sums).standard_normal((len(sums), DIM), dtype=np.float32)
        vectors = self._topics[np.array(sums) % len(self._topics)] + _WIDTH * noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        halved: Vectors = vectors.astype(np.float16).astype(np.float32)
        return halved

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return nothing: there are no images."""
        return np.zeros((len(images), DIM), np.float32)


def queries_of(documents: int, seed: int) -> Vectors:
    """Return vectors of texts that are no documents."""
    embedder = MadeUpEmbedder(documents, seed)
    return embedder.embed_texts([f"query {number}" for number in range(_QUERIES)])


def build(source: Path, out: Path, documents: int, seed: int) -> dict[str, float]:
    """Build a base; return seconds and the most bytes that the process had."""
    from retrieval.kb.knowledge_base import build_kb
    from retrieval.kb.nearest import EXACT_UP_TO
    from retrieval.settings import ObserveSettings

    started = time.perf_counter()
    build_kb(
        source,
        out,
        ObserveSettings(encoder="none"),
        embedder=MadeUpEmbedder(documents, seed),
        # A small run has lists as well, or it would measure something else.
        exact_up_to=min(EXACT_UP_TO, documents // 2),
        progress=True,
    )
    return {"seconds": time.perf_counter() - started, "peak_bytes": peak_bytes()}


def search(kb: Path, documents: int, seed: int) -> dict[str, float]:
    """Search the vectors of a base by one thread; return seconds to open, and queries a second."""
    from retrieval.kb.arrays import map_arrays
    from retrieval.kb.format import NEAREST, VECTORS
    from retrieval.kb.knowledge_base import open_kb
    from retrieval.kb.lists import Lists
    from retrieval.kb.nearest import NearestLists, find_scanner

    queries = queries_of(documents, seed)
    _import_faiss()  # which is no part of opening a base
    started = time.perf_counter()
    how = open_kb(kb).manifest.lists["text"]
    lists = Lists(kb / NEAREST / "text")
    matrix = map_arrays(kb / VECTORS)["text"]
    nearest = NearestLists(lists, matrix, how.probes, find_scanner(lists))
    opened = time.perf_counter() - started
    best = 0.0
    for _ in range(1 + _ROUNDS):  # the first round reads what is on the disk
        started = time.perf_counter()
        for start in range(0, len(queries), _TOGETHER):
            nearest.search(queries[start : start + _TOGETHER], 10)
        best = max(best, len(queries) / (time.perf_counter() - started))
    return {"open_s": opened, "queries_s": best, "probes": how.probes}


def _import_faiss() -> None:
    try:
        import retrieval.kb.faiss_lists  # noqa: F401
    except ModuleNotFoundError:
        return


def main(arguments: Sequence[str]) -> None:
    """Do what the first argument says, and print what came out as the last line."""
    documents, seed = int(arguments[-2]), int(arguments[-1])
    if arguments[0] == "build":
        told = build(Path(arguments[1]), Path(arguments[2]), documents, seed)
    else:
        told = search(Path(arguments[1]), documents, seed)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
