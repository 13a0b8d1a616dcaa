"""A document as others wrote it: checked, bounded, and with its image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from retrieval.kb.problems import KbProblem, ProblemLog
from retrieval.sight.photos import Photo, PhotoProblem, load_photo

__all__ = ["KbProblem", "ProblemLog", "RawDocument", "Record", "Source", "join_passage"]

# Documents are passages; what is longer is cut, so that no answer and no recording explodes.
LONGEST_TEXT: Final = 4000
LONGEST_FIELD: Final = 1000
_SURROGATES: Final = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A document of a source, checked.

    Attributes:
        folder: below which its image lies.
        line: number of the line, row or page that it comes from, from 1.
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


class Record(NamedTuple):
    """One line, row or page of a source, and the documents that it makes: often one, or none."""

    line: int
    documents: list[RawDocument]


class Source(Protocol):
    """Where documents come from; they come in the order in which they stand there.

    Attributes:
        path: of the file that is read.
        folder: below which the images lie.
    """

    path: Path
    folder: Path

    def records(self, log: ProblemLog, skip: int = 0) -> Iterator[Record]:
        """Yield the records after the first ``skip``, which tell ``log`` nothing.

        Raises:
            InputError: the file cannot be read, or is not what its name says.
        """
        ...

    @property
    def consumed(self) -> float:
        """Share of the file that was read so far, 0 to 1."""
        ...


def join_passage(title: str, text: str) -> str:
    """Return title and text as one text; the title is not said twice."""
    if not text or not title:
        return title or text
    if text.casefold().startswith(title.casefold()):
        return text
    return f"{title}. {text}" if title[-1].isalnum() else f"{title} {text}"


def checked_document(
    folder: Path, line: int, value: dict[str, object], log: ProblemLog
) -> RawDocument | None:
    """Return ``value`` (id, title, text, url, image) as a document, or None with the reason told.

    Raises:
        ValueError: a field is of the wrong type, or there is no id.
    """
    document_id = _identifier(value)
    texts = {name: _text(value, name) for name in ("title", "text", "url", "image")}
    if len(texts["text"]) > LONGEST_TEXT:
        log.add(line, "text cut", f"text cut to its first {LONGEST_TEXT:,} characters")
    if len(texts["title"]) > LONGEST_FIELD:
        log.add(line, "title cut", f"title cut to its first {LONGEST_FIELD:,} characters")
    if len(texts["url"]) > LONGEST_FIELD:
        log.add(line, "url left out", f"the url has more than {LONGEST_FIELD:,} characters")
        texts["url"] = ""
    document = RawDocument(
        folder,
        line,
        document_id,
        texts["title"][:LONGEST_FIELD],
        texts["text"][:LONGEST_TEXT].rstrip(),
        texts["url"],
        texts["image"] or None,
    )
    if not (document.title or document.text or document.image):
        log.add(line, "empty document", "neither title nor text nor image; left out")
        return None
    return document


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


def _identifier(value: dict[str, object]) -> str:
    found = value.get("id")
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    identifier = _text(value, "id")
    if not identifier or len(identifier) > LONGEST_FIELD:
        raise ValueError(f"'id' must be a text of 1 to {LONGEST_FIELD} characters, not {found!r}")
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
