"""The last stage of a build: from what was embedded to the files of a knowledge base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cache.errors import InputError
from cache.files import sha256_of_file
from cache.records import Modality
from retrieval.kb import embedding
from retrieval.kb.arrays import Pieces, map_arrays, write_arrays
from retrieval.kb.documents import join_passage
from retrieval.kb.format import (
    DOCUMENTS,
    FORMAT,
    IMAGES,
    INDEX,
    MANIFEST,
    NEAREST,
    PROBLEMS,
    ROWS,
    VECTORS,
    KbFile,
    KbLists,
    KbManifest,
    content_fingerprint,
)
from retrieval.kb.index import ANALYZER, TANTIVY, build_text_index
from retrieval.kb.nearest import build_lists
from retrieval.kb.rows import write_rows
from retrieval.kb.work import Work

_CHUNK_BYTES: Final = 2**20

Told = Callable[[str, float], None]
"""Called with what is done, and the share of it that is done, 0 to 1."""


def finish(work: Work, encoder_fingerprint: str, exact_up_to: int, told: Told) -> KbManifest:
    """Write the files of the knowledge base into ``work.kb``, from the beginning of the stage.

    Raises:
        InputError: no document is left.
        OSError: they cannot be written.
    """
    if not (work.folder / embedding.ROWS).stat().st_size:
        raise InputError("no document has a text or a readable image. Repair the images.")
    for name in (INDEX, NEAREST):
        shutil.rmtree(work.kb / name, ignore_errors=True)
    (work.kb / IMAGES).mkdir(exist_ok=True)
    rows, texts, images = write_rows(work.kb / ROWS, work.folder / embedding.ROWS)
    dimension = work.state.dimension if encoder_fingerprint else 0
    _write_vectors(work, texts, images, dimension)
    for name in (DOCUMENTS, PROBLEMS):
        # A copy, so that the stage can begin again.
        shutil.copyfile(work.folder / name, work.kb / name)
    build_text_index(work.kb / INDEX, _passages(work.kb / DOCUMENTS, rows, told))
    lists = _build_lists(work.kb, exact_up_to, told) if dimension else {}
    told("digests", 0.0)
    manifest = _manifest(work, encoder_fingerprint, dimension, rows, lists)
    told("digests", 1.0)
    return manifest


def _write_vectors(work: Work, texts: int, images: int, dimension: int) -> None:
    shapes = {"text": (texts, dimension), "image": (images, dimension)}
    names = {"text": embedding.TEXTS, "image": embedding.IMAGES}
    write_arrays(
        work.kb / VECTORS,
        {
            side: Pieces("<f2", shape if dimension else (0, 0), _pieces(work.folder / names[side]))
            for side, shape in shapes.items()
        },
    )


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece


def _passages(path: Path, rows: int, told: Told) -> Iterator[tuple[str, bool]]:
    with path.open("rb") as lines:
        for row, line in enumerate(lines):
            document = json.loads(line)
            yield (
                join_passage(document["title"], document["text"]),
                document["image_key"] is not None,
            )
            if row % 1000 == 0:
                told("text index", row / rows)


def _build_lists(kb: Path, exact_up_to: int, told: Told) -> dict[Modality, KbLists]:
    made: dict[Modality, KbLists] = {}
    sides: tuple[Modality, ...] = ("text", "image")
    for side in sides:
        matrix = map_arrays(kb / VECTORS)[side]
        if len(matrix) > exact_up_to:
            (kb / NEAREST).mkdir(exist_ok=True)
            made[side] = build_lists(kb / NEAREST / side, matrix, told)
    return made


def _manifest(
    work: Work,
    encoder_fingerprint: str,
    dimension: int,
    documents: int,
    lists: dict[Modality, KbLists],
) -> KbManifest:
    manifest = KbManifest(
        format=FORMAT,
        encoder=encoder_fingerprint,
        dimension=dimension,
        analyzer=ANALYZER,
        tantivy=TANTIVY,
        documents=documents,
        problems=dict(work.log.counts),
        lists=lists,
        files={
            path.relative_to(work.kb).as_posix(): KbFile(
                bytes=path.stat().st_size, sha256=sha256_of_file(path)
            )
            for path in _data_files(work.kb)
        },
        fingerprint="",
    )
    manifest = manifest.model_copy(update={"fingerprint": content_fingerprint(manifest)})
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True)
    (work.kb / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def _data_files(kb: Path) -> list[Path]:
    """Return the files whose sizes are checked when the base is opened, sorted by name.

    Images are checked when they are read.
    """
    alone = [kb / name for name in (DOCUMENTS, PROBLEMS, ROWS, VECTORS)]
    folders = [kb / INDEX, kb / NEAREST]
    inside = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return sorted(alone + inside)
