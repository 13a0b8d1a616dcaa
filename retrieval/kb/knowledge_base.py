"""A built knowledge base: opening it, and searching it by text and by image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from cache.errors import InputError, ProviderUnavailable, StoreDamaged, StoreMismatch
from cache.keys import content_key, is_content_key
from cache.records import MODALITIES, Media, Modality
from retrieval.kb.build import KbReport, build_kb
from retrieval.kb.format import (
    DEPTH,
    INDEX,
    MANIFEST,
    ROWS,
    RRF,
    VECTORS,
    KbDocument,
    KbManifest,
    content_fingerprint,
    image_path,
)
from retrieval.kb.index import Half, Ranked, Rows, TextIndex, fuse, rank_vectors
from retrieval.sight.weights import file_digest

__all__ = ["Found", "KbReport", "KnowledgeBase", "Search", "build_kb", "open_kb"]

By = Literal["text", "image"]
Having = Literal["any", "both", "alone"]

_QUERIES_AT_ONCE: Final = 64  # bounds the matrix of scores: 64 x documents x 8 bytes

# Which vectors a search compares with: those of passages or of images, of all documents, of those
# that have both, or of those that have nothing else. By text, images are found by the words beside
# them: measured on portraits, a name finds its bearer, where the encoder knows nobody's face.
_COMPARED: Final[dict[tuple[By, Modality], tuple[tuple[Modality, Having], ...]]] = {
    ("text", "text"): (("text", "any"),),
    ("text", "image"): (("text", "both"), ("image", "alone")),
    ("image", "text"): (("image", "both"),),
    ("image", "image"): (("image", "any"),),
}


class Search(NamedTuple):
    """One search: by ``text``, or, where that is empty, by the image that ``vector`` stands for.

    ``vector`` is the embedding of text or image; it is needed if the knowledge base has any.
    """

    modality: Modality
    text: str
    vector: NDArray[np.float32] | None

    @property
    def by(self) -> By:
        """What is searched with."""
        return "text" if self.text else "image"


class Found(NamedTuple):
    """A document that a search found, and the vector of what was asked for (text or image)."""

    document: KbDocument
    score: float
    vector: NDArray[np.float16] | None


def open_kb(path: Path) -> KnowledgeBase:
    """Return the knowledge base at ``path``; documents and vectors are read at the first search.

    Raises:
        InputError: there is none.
        StoreMismatch: it was built by another version.
        StoreDamaged: files are missing or of another size than the manifest says.
    """
    try:
        text = (path / MANIFEST).read_bytes()
    except OSError as error:
        raise InputError(
            f"there is no knowledge base at {path} ({error}). Build one with "
            f"`ramie kb build FOLDER {path}`."
        ) from error
    try:
        manifest = KbManifest.model_validate_json(text)
        matches = manifest.fingerprint == content_fingerprint(manifest)
    except (ValidationError, KeyError) as error:
        raise StoreMismatch(
            f"{path / MANIFEST} is not what this version writes ({type(error).__name__}). "
            f"Build the knowledge base again with `ramie kb build FOLDER {path}`."
        ) from error
    if not matches:
        raise StoreMismatch(
            f"{path / MANIFEST} was changed, or written by a version that ranks otherwise. "
            f"Build the knowledge base again with `ramie kb build FOLDER {path}`."
        )
    knowledge = KnowledgeBase(path, manifest)
    knowledge.check_sizes()
    return knowledge


class KnowledgeBase:
    """An opened knowledge base; safe to share, for nothing in it changes."""

    def __init__(self, path: Path, manifest: KbManifest) -> None:
        self.path = path
        self.manifest = manifest

    @property
    def fingerprint(self) -> str:
        """Of what decides the answers."""
        return self.manifest.fingerprint

    @property
    def encoder_fingerprint(self) -> str:
        """Of the encoder that made the vectors; empty without one."""
        return self.manifest.encoder

    def check_sizes(self) -> None:
        """Raise `StoreDamaged` if a file is missing or has another size than the manifest says."""
        for name, expected in self.manifest.files.items():
            file = self._file(name)
            if not file.is_file() or file.stat().st_size != expected.bytes:
                raise self._damaged(f"{file} is missing or not {expected.bytes} bytes long")

    def check_digests(self) -> None:
        """Raise `StoreDamaged` if the bytes of a file are not those that were written."""
        for name, expected in self.manifest.files.items():
            if file_digest(self._file(name)) != expected.sha256:
                raise self._damaged(f"the bytes of {self._file(name)} have changed")

    def search(self, searches: Sequence[Search], k: int) -> list[list[Found]]:
        """Return at most ``k`` documents per search, best first, ties by document id.

        By text: BM25 and the vectors of the passages (for images: those of documents with an
        image; of documents without words their images' vectors), fused by reciprocal rank. By
        image: the vectors of the images. No answer depends on another.

        Raises:
            StoreDamaged: files are not what the manifest promises.
        """
        answers: list[list[Found]] = [[] for _ in searches]
        for by, modality in product(("text", "image"), MODALITIES):
            chosen = [
                index
                for index, search in enumerate(searches)
                if (search.by, search.modality) == (by, modality)
            ]
            for start in range(0, len(chosen), _QUERIES_AT_ONCE):
                some = chosen[start : start + _QUERIES_AT_ONCE]
                found = self._search_alike([searches[index] for index in some], k)
                for index, answer in zip(some, found, strict=True):
                    answers[index] = answer
        return answers

    def image(self, key: str) -> Media:
        """Return an image of the knowledge base.

        Raises:
            ProviderUnavailable: it has none of that key, or its bytes are gone or changed.
        """
        document = self._by_image.get(key) if is_content_key(key) else None
        if document is None:
            raise ProviderUnavailable(f"{self.path} has no image {key!r}. Build the store anew.")
        try:
            data = image_path(self.path, key).read_bytes()
        except OSError as error:
            raise ProviderUnavailable(f"cannot read image {key}: {error}. Restore it.") from error
        if content_key(data) != key:
            raise ProviderUnavailable(
                f"the bytes of {image_path(self.path, key)} have changed. Restore the file, or "
                "build the knowledge base again."
            )
        width, height = document.image_size
        return Media(key, data, document.image_format, width, height)

    def _search_alike(self, searches: Sequence[Search], k: int) -> list[list[Found]]:
        """Answer searches that all have the same ``by`` and ``modality``."""
        by, modality = searches[0].by, searches[0].modality
        limit = max(k, DEPTH)
        rankings: list[list[list[Ranked]]] = [[] for _ in searches]
        if by == "text":
            for ranking, search in zip(rankings, searches, strict=True):
                images = modality == "image"
                ranking.append(self._text_index.search(search.text, limit, with_image=images))
        vectors = [search.vector for search in searches if search.vector is not None]
        if len(vectors) == len(searches):
            queries = np.stack(vectors)
            for side, having in _COMPARED[by, modality]:
                matrix, rows = self._vectors_of(side, having)
                found = rank_vectors(queries, matrix, rows, limit)
                for ranking, ranked in zip(rankings, found, strict=True):
                    ranking.append(ranked)
        return [
            [self._found(ranked, modality) for ranked in fuse(ranking, k, RRF)]
            for ranking in rankings
        ]

    def _found(self, ranked: Ranked, modality: Modality) -> Found:
        vector = None
        if self.encoder_fingerprint:
            matrix, rows = self._sides[modality]
            vector = matrix[int(np.searchsorted(rows, ranked.row))]
        return Found(self._documents[ranked.row], round(ranked.score, 6), vector)

    def _vectors_of(self, side: Modality, having: Having) -> tuple[Half, Rows]:
        matrix, rows = self._sides[side]
        if having == "any":
            return matrix, rows
        other: Modality = "image" if side == "text" else "text"
        chosen = np.isin(rows, self._sides[other][1], invert=having == "alone")
        return matrix[chosen], rows[chosen]

    @cached_property
    def _documents(self) -> list[KbDocument]:
        self.check_digests()
        try:
            with self._file(ROWS).open("rb") as lines:
                documents = [KbDocument.model_validate_json(line) for line in lines]
        except (OSError, ValidationError) as error:
            raise self._damaged(f"cannot read {self._file(ROWS)}: {error}") from error
        if len(documents) != self.manifest.documents:
            raise self._damaged(f"{self._file(ROWS)} holds {len(documents)} documents")
        return documents

    @cached_property
    def _by_image(self) -> dict[str, KbDocument]:
        return {doc.image_key: doc for doc in self._documents if doc.image_key is not None}

    @cached_property
    def _sides(self) -> dict[Modality, tuple[Half, Rows]]:
        """Vectors of passages and of images, each with the rows of their documents, ascending."""
        has: dict[Modality, list[bool]] = {
            "text": [bool(document.passage) for document in self._documents],
            "image": [document.image_key is not None for document in self._documents],
        }
        rows: dict[Modality, Rows] = {side: np.flatnonzero(flags) for side, flags in has.items()}
        try:
            matrices = load_file(self._file(VECTORS))
            sides = {side: (matrices[side], of) for side, of in rows.items()}
        except (OSError, SafetensorError, KeyError) as error:
            raise self._damaged(f"cannot read {self._file(VECTORS)}: {error}") from error
        for matrix, of in sides.values():
            expected = (len(of) if self.encoder_fingerprint else 0, self.manifest.dimension)
            if matrix.dtype != np.float16 or matrix.shape[0] != expected[0]:
                raise self._damaged(f"{self._file(VECTORS)} holds {matrix.shape}, not {expected}")
        return sides

    @cached_property
    def _text_index(self) -> TextIndex:
        self.check_digests()
        return TextIndex(self._file(INDEX))

    def _file(self, name: str) -> Path:
        file = self.path / name
        # The manifest is data too: it must not make us read elsewhere.
        if not file.resolve().is_relative_to(self.path.resolve()):
            raise self._damaged(f"{MANIFEST} names {name!r}, outside the knowledge base")
        return file

    def _damaged(self, what: str) -> StoreDamaged:
        return StoreDamaged(
            f"knowledge base {self.path} is damaged: {what}. Restore it, or build it again with "
            f"`ramie kb build FOLDER {self.path}`."
        )
