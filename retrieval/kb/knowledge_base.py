"""A built knowledge base: opening it, and searching it by text and by image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray
from pydantic import ValidationError

from cache.errors import InputError, ProviderUnavailable, StoreDamaged, StoreMismatch
from cache.keys import content_key, is_content_key
from cache.records import MODALITIES, Media, Modality
from retrieval.kb.build import KbReport, build_kb
from retrieval.kb.format import (
    DEPTH,
    DOCUMENTS,
    FORMAT,
    INDEX,
    MANIFEST,
    RRF,
    KbDocument,
    KbManifest,
    content_fingerprint,
    image_path,
)
from retrieval.kb.format import ROWS as ROWS_FILE
from retrieval.kb.index import TextIndex
from retrieval.kb.ranking import Ranked, fuse
from retrieval.kb.rows import Rows
from retrieval.kb.search import COMPARED, Found, Having, Search
from retrieval.kb.sides import Sides
from retrieval.sight.weights import file_digest

__all__ = ["Found", "KbReport", "KnowledgeBase", "Search", "build_kb", "open_kb"]

_QUERIES_AT_ONCE: Final = 64  # bounds the matrix of scores: 64 x documents x 8 bytes
# So much is read whole, and compared with its digests, before the first search: a matter of a
# tenth of a second. Of larger bases whatever is handed out is compared with its own check, and
# `KnowledgeBase.check_digests` reads all of it.
_DIGESTED_AT_ONCE: Final = 128 * 2**20
# More than any base needs; a stranger's files are not read at any length.
_LONGEST_MANIFEST: Final = 16 * 2**20
_LONGEST_DOCUMENT: Final = 2**20


def open_kb(path: Path) -> KnowledgeBase:
    """Return the knowledge base at ``path``; its files are mapped at the first search.

    Raises:
        InputError: there is none.
        StoreMismatch: it was built by another version.
        StoreDamaged: files are missing or of another size than the manifest says.
    """
    try:
        with (path / MANIFEST).open("rb") as file:
            text = file.read(_LONGEST_MANIFEST)
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
            f"{path / MANIFEST} is not of format {FORMAT}, which this version writes "
            f"({type(error).__name__}). Build the knowledge base again with "
            f"`ramie kb build FOLDER {path}`: its answers stay those that were recorded."
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
        self._checked = False

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
        row = self._rows.row_of_image(key) if is_content_key(key) else None
        if row is None:
            raise ProviderUnavailable(f"{self.path} has no image {key!r}. Build the store anew.")
        document = self._document(row)
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

    def image_keys(self) -> Iterator[str]:
        """Yield the keys of all images, each once, in their order."""
        return self._rows.image_keys()

    def documents(
        self, start: int, num: int
    ) -> Iterator[tuple[KbDocument, dict[Modality, NDArray[np.float16]]]]:
        """Yield at most ``num`` documents from row ``start`` on, each with its vectors.

        Raises:
            StoreDamaged: a document is.
        """
        for row in range(start, min(start + num, self.manifest.documents)):
            document = self._document(row)
            vectors: dict[Modality, NDArray[np.float16]] = {}
            if self.encoder_fingerprint:
                has: dict[Modality, bool] = {
                    "text": bool(document.passage),
                    "image": document.image_key is not None,
                }
                vectors = {side: self._vector(side, row) for side, does in has.items() if does}
            yield document, vectors

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
            for side, having in COMPARED[by, modality]:
                found = self._rank(queries, side, having, limit)
                for ranking, ranked in zip(rankings, found, strict=True):
                    ranking.append(ranked)
        return [
            [self._found(ranked, modality) for ranked in fuse(ranking, k, RRF)]
            for ranking in rankings
        ]

    def _rank(
        self, queries: NDArray[np.float32], side: Modality, having: Having, limit: int
    ) -> list[list[Ranked]]:
        try:
            return self._sides.rank(queries, side, having, limit)
        except (OSError, ValueError) as error:
            raise self._damaged(f"its vectors cannot be searched: {error}") from error

    def _found(self, ranked: Ranked, modality: Modality) -> Found:
        vector = self._vector(modality, ranked.row) if self.encoder_fingerprint else None
        return Found(self._document(ranked.row), round(ranked.score, 6), vector)

    def _vector(self, side: Modality, row: int) -> NDArray[np.float16]:
        try:
            return self._sides.vector(side, row)
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _document(self, row: int) -> KbDocument:
        if not 0 <= row < len(self._rows):
            raise self._damaged(f"there is no document {row}")
        start, end = self._rows.place(row)
        line = self._lines[start : min(end, start + _LONGEST_DOCUMENT)].tobytes()
        if xxhash.xxh3_64_intdigest(line) != self._rows.document_check(row):
            raise self._damaged(f"document {row} in {self._file(DOCUMENTS)} has changed")
        try:
            return KbDocument.model_validate_json(line)
        except ValidationError as error:
            raise self._damaged(f"document {row} is none: {error}") from error

    def _check_once(self) -> None:
        num_bytes = sum(file.bytes for file in self.manifest.files.values())
        if not self._checked and num_bytes <= _DIGESTED_AT_ONCE:
            self.check_digests()
        self._checked = True

    @cached_property
    def _lines(self) -> NDArray[np.uint8]:
        """The documents' lines, mapped."""
        return np.memmap(self._file(DOCUMENTS), np.uint8, "r")

    @cached_property
    def _rows(self) -> Rows:
        self._check_once()
        try:
            rows = Rows(self._file(ROWS_FILE))
        except (OSError, ValueError) as error:
            raise self._damaged(f"cannot read {self._file(ROWS_FILE)}: {error}") from error
        if len(rows) != self.manifest.documents:
            raise self._damaged(f"{self._file(ROWS_FILE)} holds {len(rows)} documents")
        return rows

    @cached_property
    def _sides(self) -> Sides:
        try:
            return Sides(self.path, self.manifest, self._rows)
        except (OSError, ValueError) as error:
            raise self._damaged(f"cannot read its vectors: {error}") from error

    @cached_property
    def _text_index(self) -> TextIndex:
        self._check_once()
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
