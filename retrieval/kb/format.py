"""What a knowledge base is on disk: names, documents, manifest, fingerprint."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cache.keys import fingerprint
from retrieval.kb.documents import join_passage

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
ROWS: Final = "documents.jsonl"
VECTORS: Final = "vectors.safetensors"
INDEX: Final = "index"
IMAGES: Final = "images"

RRF: Final = 60  # the constant of Cormack et al. 2009
DEPTH: Final = 100  # of each ranking that is fused


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KbDocument(_Record):
    """A document as it is kept; its row is its place in the order of ids."""

    id: str
    title: str
    text: str
    url: str
    image_key: str | None
    image_format: str
    image_size: tuple[int, int]

    @property
    def passage(self) -> str:
        """Title and text as one text; empty for a document that is an image only."""
        return join_passage(self.title, self.text)


class KbFile(_Record):
    """Size and digest of a file."""

    bytes: int
    sha256: str


class KbManifest(_Record):
    """What ``manifest.json`` says; written last.

    Attributes:
        format: of the knowledge base on disk.
        encoder: fingerprint of the encoder that made the vectors, or empty.
        dimension: of the vectors, 0 without an encoder.
        analyzer: how words become terms.
        tantivy: version that wrote the text index.
        documents: how many.
        problems: how many lines lost something at the build, by kind.
        files: all but the images, which are named by their own digest.
        fingerprint: of what decides the answers; see `content_fingerprint`.
    """

    format: Literal[1] = Field(default=1)
    encoder: str
    dimension: int
    analyzer: str
    tantivy: str
    documents: int
    problems: dict[str, int]
    files: dict[str, KbFile]
    fingerprint: str


def content_fingerprint(manifest: KbManifest) -> str:
    """Return what decides the answers: documents, vectors, and how both are ranked.

    The text index itself is left out, for tantivy names its files at random.
    """
    return fingerprint(
        {
            "format": manifest.format,
            "encoder": manifest.encoder,
            "analyzer": manifest.analyzer,
            "tantivy": manifest.tantivy,
            "ranking": {"rrf": RRF, "depth": DEPTH},
            "files": {name: manifest.files[name].sha256 for name in (ROWS, VECTORS)},
        }
    )


def image_path(folder: Path, key: str) -> Path:
    """Return where the image called ``key`` lies in the knowledge base ``folder``."""
    return folder / IMAGES / key[:2] / key
