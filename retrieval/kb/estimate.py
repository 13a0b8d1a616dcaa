"""What building a knowledge base will take, from a sample of its documents, before it starts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.kb.documents import RawDocument, Source, load_document_image
from retrieval.kb.embedding import Embedder
from retrieval.kb.nearest import EXACT_UP_TO
from retrieval.kb.problems import ProblemLog
from retrieval.kb.sources import open_sources
from retrieval.sight import lots
from retrieval.sight.photos import Photo, PhotoProblem

_Item = TypeVar("_Item")

# Records of each source: of a compressed dump these are tens of blocks, which are read whole.
_LOOKED_AT: Final = 2000
_MOST_LOOKED_AT: Final = 100 * _LOOKED_AT  # where none of them makes a document
_SAMPLED: Final = 256  # documents of each source that are looked at more closely
_EMBEDDED: Final = 64  # documents that are embedded to see how long it takes
_WARM_UP: Final = 8
# Of the words of the documents, an index of tantivy takes at most about so much.
_INDEX_SHARE: Final = 0.6
# While a base is built, its documents lie there three times: sorted, as they grow, and in place.
_COPIES: Final = 3


class _Sample(NamedTuple):
    documents: list[RawDocument]
    expected: float
    seconds_each: float  # to be read


@dataclass(frozen=True)
class KbEstimate:
    """What a build is expected to take; rough, for it is drawn from the beginning of each source.

    Attributes:
        documents: that can be found.
        source_bytes: to be read.
        seconds: for reading and embedding; sorting and indexing come on top.
        disk_bytes: at most, while it is built.
        free_bytes: where it is built.
    """

    documents: int
    source_bytes: int
    seconds: float
    disk_bytes: int
    free_bytes: int

    @property
    def told(self) -> str:
        """What people are told."""
        text = (
            f"about {self.documents:,} documents in {_size(self.source_bytes)}; reading and "
            f"embedding takes about {_duration(self.seconds)}, and up to {_size(self.disk_bytes)} "
            "of disk while it goes on"
        )
        if self.disk_bytes > self.free_bytes:
            text += f". Only {_size(self.free_bytes)} are free there: it will hardly fit"
        return text


def estimate_kb(paths: Sequence[Path], out: Path, embedder: Embedder) -> KbEstimate:
    """Return what building ``out`` from ``paths`` will take.

    Raises:
        InputError: a source cannot be read.
    """
    sources = [named.source for named in open_sources(paths)]
    samples = [_sample(source) for source in sources]
    documents = [document for sample in samples for document in sample.documents]
    expected = sum(sample.expected for sample in samples)
    seconds = sum(sample.expected * sample.seconds_each for sample in samples)
    of_text = of_vectors = of_images = 0.0
    if documents:
        of_text = sum(len(one.passage.encode()) + 200 for one in documents) / len(documents)
        each, of_vectors, of_images = _embedded(
            documents[:: max(1, len(documents) // _EMBEDDED)], embedder
        )
        seconds += expected * each
    if expected > EXACT_UP_TO:
        of_vectors *= 2  # once more, in lists
    each_bytes = of_text * (_COPIES + _INDEX_SHARE) + 2 * of_vectors + of_images
    there = next(folder for folder in out.resolve().parents if folder.is_dir())
    return KbEstimate(
        documents=round(expected),
        source_bytes=sum(source.path.stat().st_size for source in sources),
        seconds=seconds,
        disk_bytes=round(expected * each_bytes),
        free_bytes=shutil.disk_usage(there).free,
    )


def _sample(source: Source) -> _Sample:
    found: list[RawDocument] = []
    num = 0
    started = time.perf_counter()
    # Problems are told by the build.
    for number, record in enumerate(source.records(ProblemLog()), 1):
        num += len(record.documents)
        found += record.documents[: _SAMPLED - len(found)]
        if (number >= _LOOKED_AT and num) or number >= _MOST_LOOKED_AT:
            break
    else:
        return _Sample(found, num, 0.0)
    seconds = time.perf_counter() - started
    return _Sample(found, num / max(source.consumed, 1e-9), seconds / max(1, num))


def _embedded(documents: Sequence[RawDocument], embedder: Embedder) -> tuple[float, float, float]:
    """Return seconds, bytes of vectors and bytes of images of a document."""
    passages = [one.passage for one in documents if one.passage]
    started = time.perf_counter()
    images: list[Image.Image] = []
    num_images = image_bytes = pixels = 0
    for photo in filter(None, map(_photo, documents)):
        num_images += 1
        image_bytes += len(photo.media.data)
        if pixels < lots.PIXELS_TOGETHER:
            images.append(photo.pixels)
            pixels += lots.num_pixels(photo.pixels)
    loading = (time.perf_counter() - started) / len(documents)
    seconds = loading
    num_bytes = 0.0
    for num, (each, dim) in (
        (len(passages), _timed(passages, embedder.embed_texts)),
        (num_images, _timed(images, embedder.embed_images)),
    ):
        seconds += each * num / len(documents)
        num_bytes += 2 * dim * num / len(documents)
    return seconds, num_bytes, image_bytes / len(documents)


def _timed(
    items: Sequence[_Item], embed: Callable[[Sequence[_Item]], NDArray[np.float32] | None]
) -> tuple[float, int]:
    """Return seconds and dimension of one vector."""
    if not items:
        return 0.0, 0
    embed(items[:_WARM_UP])
    started = time.perf_counter()
    vectors = embed(items)
    seconds = (time.perf_counter() - started) / len(items)
    return seconds, 0 if vectors is None else int(vectors.shape[1])


def _photo(document: RawDocument) -> Photo | None:
    try:
        return load_document_image(document) if document.image else None
    except PhotoProblem:
        return None


def _size(num_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
