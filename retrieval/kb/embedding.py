"""Embedding the sorted documents, a chunk at a time, into files that only grow."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, NamedTuple, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray
from PIL import Image

from cache.keys import canonical_json
from retrieval.kb.documents import RawDocument, load_document_image
from retrieval.kb.format import DOCUMENTS, KbDocument, image_path
from retrieval.kb.rows import ROW, Flag
from retrieval.kb.sorting import sorted_documents
from retrieval.kb.sources import NamedSource
from retrieval.kb.work import Work
from retrieval.sight.lots import in_lots
from retrieval.sight.photos import NO_MEMORY, Photo, PhotoProblem

TEXTS: Final = "texts.f16"
IMAGES: Final = "images.f16"
ROWS: Final = "rows.bin"
_CHUNK: Final = 64  # documents that are embedded together; fewer where their images are large
_DECODERS: Final = 2  # threads that decode images; they are so many ahead of their chunk
# A killed build loses no more than this, and sealing takes a few hundredths of a second.
_SEAL_EVERY_S: Final = 20.0


class _Loaded(NamedTuple):
    """A document, the byte where it ends, and its image, or the reason why there is none."""

    document: RawDocument
    offset: int
    image: Photo | PhotoProblem | None

    @property
    def pixels(self) -> Image.Image | None:
        """Its decoded image, None without one."""
        return self.image.pixels if isinstance(self.image, Photo) else None


class Embedder(Protocol):
    """What is needed of an `Observer`."""

    encoder_fingerprint: str

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Return unit vectors, or None without an encoder."""
        ...

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32] | None:
        """Return unit vectors, or None without an encoder."""
        ...


def embed_documents(
    work: Work,
    sources: Sequence[NamedSource],
    embedder: Embedder,
    told: Callable[[int], None],
) -> None:
    """Embed what an earlier build did not, and copy its images.

    Args:
        work: the build.
        sources: where images lie.
        embedder: makes the vectors.
        told: is called with the number of documents that were done since.

    Raises:
        InputError: the encoder cannot be used.
    """
    state = work.state
    sealed = time.monotonic()
    with ThreadPoolExecutor(_DECODERS) as loaders, ThreadPoolExecutor(1) as ahead:
        loaded = _loaded(work, sources, loaders)
        chunks = in_lots(loaded, lambda one: one.pixels, _CHUNK)
        pending = ahead.submit(next, chunks, None)
        while (chunk := pending.result()) is not None:
            pending = ahead.submit(next, chunks, None)
            kept: list[tuple[RawDocument, Photo | None]] = []
            for document, _, image in chunk:
                kept += _usable(work, document, image)
            dimension = _embed_chunk(work, kept, embedder)
            embedded, offset = state.embedded + len(chunk), chunk[-1].offset
            told(len(chunk))
            # The state is that of the files only once both are sealed.
            state.embedded, state.offset = embedded, offset
            state.with_image += sum(photo is not None for _, photo in kept)
            state.dimension = dimension or state.dimension
            if time.monotonic() - sealed > _SEAL_EVERY_S:
                work.seal()
                sealed = time.monotonic()
    work.seal(stage="finish")


def _loaded(
    work: Work, sources: Sequence[NamedSource], loaders: ThreadPoolExecutor
) -> Iterator[_Loaded]:
    """Yield the documents that are left; the images of a few are loaded ahead."""
    jobs = (
        (document, offset, None if document.image is None else loaders.submit(_image, document))
        for document, offset in sorted_documents(work, sources, work.state.offset)
    )
    pending: deque[tuple[RawDocument, int, Future[Photo | PhotoProblem] | None]]
    pending = deque(islice(jobs, _DECODERS))
    while pending:
        document, offset, image = pending.popleft()
        loaded = _Loaded(document, offset, None if image is None else image.result())
        pending.extend(islice(jobs, 1))
        yield loaded


def _image(document: RawDocument) -> Photo | PhotoProblem:
    """Return a document's image, or why there is none.

    Raises:
        PhotoProblem: there was no memory for it, which says nothing of the image.
    """
    try:
        return load_document_image(document)
    except PhotoProblem as problem:
        if problem.reason == NO_MEMORY:
            raise
        return problem


def _usable(
    work: Work, document: RawDocument, image: Photo | PhotoProblem | None
) -> list[tuple[RawDocument, Photo | None]]:
    """Return the document with its image, or without; or nothing, with the reason in the log."""
    if not isinstance(image, PhotoProblem):
        return [(document, image)]
    fate = "kept without it" if document.passage else "left out, for it has no text either"
    work.log.add(document.line, f"image {image.reason}", f"{image} ({fate})")
    return [(document, None)] if document.passage else []


def _embed_chunk(
    work: Work, chunk: Sequence[tuple[RawDocument, Photo | None]], embedder: Embedder
) -> int:
    """Write a chunk; return the dimension of its vectors, 0 without any."""
    photos = [photo for _, photo in chunk if photo is not None]
    passages = [document.passage for document, _ in chunk if document.passage]
    texts = _half(embedder.embed_texts(passages) if passages else None)
    images = _half(embedder.embed_images([photo.pixels for photo in photos]) if photos else None)
    for one in photos:
        target = image_path(work.kb, one.media.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(one.media.data)
    work.growing(TEXTS).write(texts.tobytes())
    work.growing(IMAGES).write(images.tobytes())
    rows = np.zeros(len(chunk), ROW)
    of_texts, of_images = iter(texts), iter(images)
    for row, (document, photo) in zip(rows, chunk, strict=True):
        line = (canonical_json(_kept(document, photo).model_dump(mode="json")) + "\n").encode()
        work.growing(DOCUMENTS).write(line)
        row["length"], row["document"] = len(line), xxhash.xxh3_64_intdigest(line)
        if document.passage:
            row["flags"] |= Flag.TEXT
            row["text"] = _check(next(of_texts, None))
        if photo is not None:
            row["flags"] |= Flag.IMAGE
            row["image"] = _check(next(of_images, None))
            row["key"] = np.frombuffer(bytes.fromhex(photo.media.key), np.uint8)
    work.growing(ROWS).write(rows.tobytes())
    return int(texts.shape[1] or images.shape[1])


def _half(vectors: NDArray[np.float32] | None) -> NDArray[np.float16]:
    if vectors is None or not len(vectors):
        return np.zeros((0, 0), dtype=np.float16)
    return vectors.astype(np.float16)


def _check(vector: NDArray[np.float16] | None) -> int:
    return 0 if vector is None else xxhash.xxh3_64_intdigest(vector.tobytes())


def _kept(document: RawDocument, photo: Photo | None) -> KbDocument:
    media = None if photo is None else photo.media
    return KbDocument(
        id=document.document_id,
        title=document.title,
        text=document.text,
        url=document.url,
        image_key=None if media is None else media.key,
        image_format="" if media is None else media.format,
        image_size=(0, 0) if media is None else (media.width, media.height),
    )
