"""What a knowledge base is on disk: names, documents, manifest, fingerprint."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cache.keys import fingerprint
from cache.records import Modality
from retrieval.kb.documents import join_passage

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
DOCUMENTS: Final = "documents.jsonl"
ROWS: Final = "rows.safetensors"
VECTORS: Final = "vectors.safetensors"
PROBLEMS: Final = "problems.jsonl"
INDEX: Final = "index"
IMAGES: Final = "images"
NEAREST: Final = "nearest"

RRF: Final = 60  # the constant of Cormack et al. 2009
DEPTH: Final = 100  # of each ranking that is fused
# Of documents.jsonl and vectors.safetensors, which did not change since the first format; so
# fingerprints of bases without lists did not either, and what they answered is still known.
_CONTENT: Final = 1


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


class KbLists(_Record):
    """How the vectors of one side were put into lists, and how many of these are searched.

    Attributes:
        version: of the way in which lists are made; equal vectors give equal lists.
        lists: how many.
        probes: searched for each query, of all vectors; measured when the base was built.
    """

    version: int
    lists: int = Field(ge=1)
    probes: int = Field(ge=1)


class KbManifest(_Record):
    """What ``manifest.json`` says; written last.

    Attributes:
        format: of the knowledge base on disk.
        encoder: fingerprint of the encoder that made the vectors, or empty.
        dimension: of the vectors, 0 without an encoder.
        analyzer: how words become terms.
        tantivy: version that wrote the text index.
        documents: how many.
        problems: how many lines, rows or pages were left out or lost something, by kind.
        lists: by modality, where there are too many vectors to compare with all of them.
        files: all but the images, which are named by their own digest.
        fingerprint: of what decides the answers; see `content_fingerprint`.
    """

    format: Literal[2] = Field(default=2)
    encoder: str
    dimension: int
    analyzer: str
    tantivy: str
    documents: int
    problems: dict[str, int]
    lists: dict[Modality, KbLists]
    files: dict[str, KbFile]
    fingerprint: str


def content_fingerprint(manifest: KbManifest) -> str:
    """Return what decides the answers: documents, vectors, and how both are ranked.

    The text index itself is left out, for tantivy names its files at random. The lists follow
    from the vectors and from what the manifest says of them.
    """
    content: dict[str, object] = {
        "format": _CONTENT,
        "encoder": manifest.encoder,
        "analyzer": manifest.analyzer,
        "tantivy": manifest.tantivy,
        "ranking": {"rrf": RRF, "depth": DEPTH},
        "files": {name: manifest.files[name].sha256 for name in (DOCUMENTS, VECTORS)},
    }
    if manifest.lists:
        content["lists"] = {side: how.model_dump() for side, how in manifest.lists.items()}
    return fingerprint(content)


def image_path(folder: Path, key: str) -> Path:
    """Return where the image called ``key`` lies in the knowledge base ``folder``."""
    return folder / IMAGES / key[:2] / key
