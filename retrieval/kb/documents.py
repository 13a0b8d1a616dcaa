"""``documents.jsonl`` of a knowledge base: one document per line, every problem with its line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from cache.errors import InputError
from retrieval.sight.photos import Photo, PhotoProblem, load_photo

DOCUMENTS: Final = "documents.jsonl"
# Documents are passages; what is longer is cut, so that no answer and no recording explodes.
LONGEST_TEXT: Final = 4000
_LONGEST_LINE: Final = 1_000_000
_LONGEST_FIELD: Final = 1000
_SURROGATES: Final = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A line of ``documents.jsonl``, checked.

    Attributes:
        folder: where the line stands, and below which its image lies.
        line: number of the line, from 1.
        document_id: unique in the knowledge base.
        title: may be empty.
        text: may be empty, at most `LONGEST_TEXT` characters.
        url: may be empty.
        image: path below the folder, or None.
    """

    folder: Path
    line: int
    document_id: str
    title: str
    text: str
    url: str
    image: str | None

    @property
    def passage(self) -> str:
        """Title and text as one text; the title is not said twice."""
        return join_passage(self.title, self.text)


class KbProblem(NamedTuple):
    """What was wrong with a line, and what became of it; ``kind`` is for counting."""

    line: int
    kind: str
    message: str


@dataclass
class ProblemLog:
    """Collects problems while the rest goes on."""

    found: list[KbProblem] = field(default_factory=list)

    def add(self, line: int, kind: str, message: str) -> None:
        """Note a problem."""
        self.found.append(KbProblem(line, kind, message))


def join_passage(title: str, text: str) -> str:
    """Return title and text as one text; the title is not said twice."""
    if not text or not title:
        return title or text
    if text.casefold().startswith(title.casefold()):
        return text
    return f"{title}. {text}" if title[-1].isalnum() else f"{title} {text}"


def read_all_documents(folders: Sequence[Path], log: ProblemLog) -> list[RawDocument]:
    """Return the usable documents of ``folders``, sorted by id.

    Where there are several folders, the name of a document's folder goes before its id and before
    its problems, so that two collections may number their documents alike.

    Raises:
        InputError: as `read_documents`; or two folders have one name.
    """
    if len(folders) == 1:
        return read_documents(folders[0], log)
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(
            f"two of the folders {', '.join(map(str, folders))} have the same name, which is to "
            "tell their documents apart. Rename one of them."
        )
    found: list[RawDocument] = []
    for folder, name in zip(folders, names, strict=True):
        own = ProblemLog()
        found += [
            replace(document, document_id=f"{name}/{document.document_id}")
            for document in read_documents(folder, own)
        ]
        for problem in own.found:
            log.add(problem.line, problem.kind, f"{name}: {problem.message}")
    return sorted(found, key=lambda document: document.document_id)


def read_documents(folder: Path, log: ProblemLog) -> list[RawDocument]:
    """Return the usable documents of ``folder``, sorted by id; problems go to ``log``.

    Raises:
        InputError: there is no ``documents.jsonl``, or nothing in it is usable.
    """
    path = folder / DOCUMENTS
    found: dict[str, RawDocument] = {}
    try:
        for line, data in _lines(path, log):
            document = _document(folder, line, data, log)
            if document is None:
                continue
            first = found.setdefault(document.document_id, document)
            if first is not document:
                message = f"id {document.document_id!r} is taken by line {first.line}; left out"
                log.add(line, "duplicate id", message)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error}. A knowledge base folder holds {DOCUMENTS} with one "
            'JSON object per line: {"id", "title", "text", "url", "image"}.'
        ) from error
    if not found:
        first_problem = f" (line {log.found[0].line}: {log.found[0].message})" if log.found else ""
        raise InputError(
            f"{path} holds no usable document{first_problem}. Give each line an id and a title, "
            "a text or an image."
        )
    return [found[document_id] for document_id in sorted(found)]


def load_document_image(document: RawDocument) -> Photo:
    """Return the document's image.

    Raises:
        PhotoProblem: it is outside the folder, missing or unreadable.
    """
    base = document.folder.resolve()
    try:
        path = (base / str(document.image)).resolve()
        inside = path.is_relative_to(base)
    except (OSError, ValueError, RuntimeError) as error:  # NUL byte, loop of links
        raise PhotoProblem("unreadable", f"image path {document.image!r}: {error}") from error
    if not inside:
        raise PhotoProblem("outside", f"image {document.image!r} lies outside the folder")
    return load_photo(path)


def _lines(path: Path, log: ProblemLog) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each line that is neither empty nor endless."""
    with path.open("rb") as file:
        line = 0
        while data := file.readline(_LONGEST_LINE):
            line += 1
            if len(data) == _LONGEST_LINE and not data.endswith(b"\n"):
                while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
                log.add(line, "broken line", f"longer than {_LONGEST_LINE:,} bytes; left out")
            elif data.strip():
                yield line, data


def _document(folder: Path, line: int, data: bytes, log: ProblemLog) -> RawDocument | None:
    try:
        value = json.loads(data.decode("utf-8-sig" if line == 1 else "utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"a JSON object is expected, not {type(value).__name__}")
        document_id = _identifier(value)
        texts = {name: _text(value, name) for name in ("title", "text", "url", "image")}
    except (ValueError, RecursionError) as error:
        log.add(line, "broken line", f"{error}; left out")
        return None
    if len(texts["text"]) > LONGEST_TEXT:
        log.add(line, "text cut", f"text cut to its first {LONGEST_TEXT:,} characters")
    document = RawDocument(
        folder,
        line,
        document_id,
        texts["title"][:_LONGEST_FIELD],
        texts["text"][:LONGEST_TEXT].rstrip(),
        texts["url"] if len(texts["url"]) <= _LONGEST_FIELD else "",
        texts["image"] or None,
    )
    if not (document.title or document.text or document.image):
        log.add(line, "empty document", "neither title nor text nor image; left out")
        return None
    return document


def _identifier(value: dict[str, object]) -> str:
    found = value.get("id")
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    identifier = _text(value, "id")
    if not identifier or len(identifier) > _LONGEST_FIELD:
        raise ValueError(f"'id' must be a text of 1 to {_LONGEST_FIELD} characters, not {found!r}")
    return identifier


def _text(value: dict[str, object], name: str) -> str:
    """Return a field as clean text with single spaces; absent and null are empty."""
    found = value.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise ValueError(f"{name!r} must be a text, not {type(found).__name__}")
    if any(ord(character) in _SURROGATES for character in found):
        raise ValueError(f"{name!r} holds half a character (lone surrogate)")
    return " ".join(found.replace("\0", " ").split()) if name != "image" else found
