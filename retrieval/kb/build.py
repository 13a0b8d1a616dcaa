"""``ramie kb build``: from ``documents.jsonl`` and images to a searchable knowledge base."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import tantivy
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file
from tqdm import tqdm

from cache.errors import InputError
from cache.keys import canonical_json
from retrieval.kb.documents import (
    KbProblem,
    ProblemLog,
    RawDocument,
    load_document_image,
    read_all_documents,
)
from retrieval.kb.format import (
    FORMAT,
    IMAGES,
    INDEX,
    MANIFEST,
    ROWS,
    VECTORS,
    KbDocument,
    KbFile,
    KbManifest,
    content_fingerprint,
    image_path,
)
from retrieval.kb.index import ANALYZER, build_text_index
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer
from retrieval.sight.photos import Photo, PhotoProblem
from retrieval.sight.weights import file_digest

_CHUNK: Final = 64  # documents in memory at a time, with their decoded images


class Embedder(Protocol):
    """What is needed of an `Observer`."""

    encoder_fingerprint: str

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Return unit vectors, or None without an encoder."""
        ...

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32] | None:
        """Return unit vectors, or None without an encoder."""
        ...


@dataclass(frozen=True)
class KbReport:
    """What a build did.

    Attributes:
        path: of the knowledge base.
        fingerprint: of its content; equal input and settings give an equal one.
        documents: how many can be found.
        with_image: how many of them have an image.
        problems: every line that was left out or lost something, in the order of lines.
    """

    path: Path
    fingerprint: str
    documents: int
    with_image: int
    problems: tuple[KbProblem, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind of problem occurred."""
        return dict(sorted(Counter(problem.kind for problem in self.problems).items()))


@dataclass(frozen=True)
class _Embedded:
    documents: list[KbDocument]
    texts: list[NDArray[np.float32]]
    images: list[NDArray[np.float32]]


def build_kb(
    folders: Path | Sequence[Path], out: Path, observe: ObserveSettings, *, progress: bool = False
) -> KbReport:
    """Build the knowledge base ``out`` from ``folders``, whole or not at all.

    Args:
        folders: each holds ``documents.jsonl`` and the images that it names.
        out: is made; a knowledge base that is there already is replaced at the very end.
        observe: names the encoder; posts must be observed with the same one.
        progress: show a bar on a terminal.

    Raises:
        InputError: nothing usable in a folder, ``out`` is something else, or not writable.
    """
    log = ProblemLog()
    raw = read_all_documents([folders] if isinstance(folders, Path) else folders, log)
    _check_target(out)
    observer = Observer(observe)
    try:
        with _temporary(out) as work:
            embedded = _embed(work, raw, observer, log, progress)
            manifest = _write(work, embedded, observer.encoder_fingerprint, log)
            _replace(work, out)
    except OSError as error:
        raise InputError(
            f"cannot write the knowledge base {out}: {error}. Free space, or choose another "
            "folder; what was there before is unchanged."
        ) from error
    problems = tuple(sorted(log.found))
    with_image = sum(document.image_key is not None for document in embedded.documents)
    return KbReport(out, manifest.fingerprint, len(embedded.documents), with_image, problems)


def _embed(
    work: Path,
    raw: Sequence[RawDocument],
    observer: Embedder,
    log: ProblemLog,
    progress: bool,
) -> _Embedded:
    """Copy images and embed passages and images, a chunk of documents at a time."""
    embedded = _Embedded([], [], [])
    with (
        ThreadPoolExecutor(max_workers=2) as loaders,
        # None shows the bar on a terminal only.
        tqdm(total=len(raw), unit="doc", desc="kb", disable=None if progress else True) as bar,
    ):
        for start in range(0, len(raw), _CHUNK):
            chunk = raw[start : start + _CHUNK]
            loaded = loaders.map(_image, chunk)
            kept: list[tuple[RawDocument, Photo | None]] = []
            for document, found in zip(chunk, loaded, strict=True):
                kept += _usable(document, found, log)
            _embed_chunk(kept, work, observer, embedded)
            bar.update(len(chunk))
    if not embedded.documents:
        raise InputError("no document has a text or a readable image. Repair the images.")
    return embedded


def _image(document: RawDocument) -> Photo | PhotoProblem | None:
    if document.image is None:
        return None
    try:
        return load_document_image(document)
    except PhotoProblem as problem:
        return problem


def _usable(
    document: RawDocument, image: Photo | PhotoProblem | None, log: ProblemLog
) -> list[tuple[RawDocument, Photo | None]]:
    """Return the document with its image, or without; or nothing, with the reason in the log."""
    if not isinstance(image, PhotoProblem):
        return [(document, image)]
    fate = "kept without it" if document.passage else "left out, for it has no text either"
    log.add(document.line, f"image {image.reason}", f"{image} ({fate})")
    return [(document, None)] if document.passage else []


def _embed_chunk(
    chunk: Sequence[tuple[RawDocument, Photo | None]],
    work: Path,
    observer: Embedder,
    embedded: _Embedded,
) -> None:
    photos = [photo for _, photo in chunk if photo is not None]
    passages = [document.passage for document, _ in chunk if document.passage]
    texts = observer.embed_texts(passages)
    images = observer.embed_images([photo.pixels for photo in photos])
    embedded.texts.extend([] if texts is None else texts)
    embedded.images.extend([] if images is None else images)
    for photo in photos:
        target = image_path(work, photo.media.key)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(photo.media.data)
    for document, found in chunk:
        media = None if found is None else found.media
        embedded.documents.append(
            KbDocument(
                id=document.document_id,
                title=document.title,
                text=document.text,
                url=document.url,
                image_key=None if media is None else media.key,
                image_format="" if media is None else media.format,
                image_size=(0, 0) if media is None else (media.width, media.height),
            )
        )


def _write(
    work: Path, embedded: _Embedded, encoder_fingerprint: str, log: ProblemLog
) -> KbManifest:
    lines = (canonical_json(document.model_dump(mode="json")) for document in embedded.documents)
    (work / ROWS).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    texts, images = _matrix(embedded.texts), _matrix(embedded.images)
    save_file({"image": images, "text": texts}, work / VECTORS)
    passages = ((d.passage, d.image_key is not None) for d in embedded.documents)
    build_text_index(work / INDEX, passages)
    files = {path.relative_to(work).as_posix(): path for path in _data_files(work)}
    manifest = KbManifest(
        format=FORMAT,
        encoder=encoder_fingerprint,
        dimension=texts.shape[1] or images.shape[1],
        analyzer=ANALYZER,
        tantivy=tantivy.__version__,
        documents=len(embedded.documents),
        problems=dict(Counter(problem.kind for problem in log.found)),
        files={
            name: KbFile(bytes=path.stat().st_size, sha256=file_digest(path))
            for name, path in sorted(files.items())
        },
        fingerprint="",
    )
    manifest = manifest.model_copy(update={"fingerprint": content_fingerprint(manifest)})
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True)
    (work / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def _matrix(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float16]:
    if not vectors:
        return np.zeros((0, 0), dtype=np.float16)
    return np.stack(vectors).astype(np.float16)


def _data_files(work: Path) -> list[Path]:
    """Return the files that are checked when the base is opened; images are checked when read."""
    return [work / ROWS, work / VECTORS, *sorted((work / INDEX).iterdir())]


def _check_target(out: Path) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file() or not (out / INDEX).is_dir():
        raise InputError(
            f"{out} exists and is no knowledge base; it is not overwritten. Choose another path."
        )


@contextmanager
def _temporary(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``out``; what is left of it in the end is removed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        work = Path(folder) / "kb"
        work.mkdir()
        (work / IMAGES).mkdir()
        yield work


def _replace(work: Path, out: Path) -> None:
    """Put ``work`` in the place of ``out``, which is missing, empty, or an older base.

    The older base goes where `_temporary` clears up.
    """
    for folder, _, names in os.walk(work):
        for name in names:
            with (Path(folder) / name).open("rb") as file:
                os.fsync(file.fileno())
    if out.exists():
        old = work.parent / "old"
        out.rename(old)
        try:
            work.rename(out)
        except OSError:
            old.rename(out)
            raise
    else:
        work.rename(out)
