"""``documents.jsonl`` of a knowledge base: one document per line, every problem with its line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cache.errors import InputError
from retrieval.kb.documents import RawDocument, Record, checked_document
from retrieval.kb.problems import ProblemLog

DOCUMENTS: Final = "documents.jsonl"
_LONGEST_LINE: Final = 1_000_000


class JsonLines:
    """A `Source`: a file with one JSON object per line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent
        self._bytes_read = 0

    @property
    def consumed(self) -> float:
        """Share of the file that was read so far."""
        return self._bytes_read / max(1, self.path.stat().st_size)

    def records(self, log: ProblemLog, skip: int = 0) -> Iterator[Record]:
        """Yield one record per usable line.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            for line, data in self._lines(log, skip):
                document = self._document(line, data, log)
                yield Record(line, [] if document is None else [document])
        except OSError as error:
            raise InputError(
                f"cannot read {self.path}: {error}. A knowledge base folder holds {DOCUMENTS} "
                'with one JSON object per line: {"id", "title", "text", "url", "image"}.'
            ) from error

    def _lines(self, log: ProblemLog, skip: int) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of each line that is neither empty nor endless."""
        self._bytes_read = line = 0
        with self.path.open("rb") as file:
            while data := file.readline(_LONGEST_LINE):
                line += 1
                self._bytes_read += len(data)
                if len(data) == _LONGEST_LINE and not data.endswith(b"\n"):
                    while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                        self._bytes_read += len(rest)
                    if line > skip:
                        told = f"longer than {_LONGEST_LINE:,} bytes; left out"
                        log.add(line, "broken line", told)
                elif line > skip and data.strip():
                    yield line, data

    def _document(self, line: int, data: bytes, log: ProblemLog) -> RawDocument | None:
        try:
            value = json.loads(data.decode("utf-8-sig" if line == 1 else "utf-8"))
            if not isinstance(value, dict):
                raise ValueError(f"a JSON object is expected, not {type(value).__name__}")
            return checked_document(self.folder, line, value, log)
        except (ValueError, RecursionError) as error:
            log.add(line, "broken line", f"{error}; left out")
            return None


def read_documents(folder: Path, log: ProblemLog) -> list[RawDocument]:
    """Return the usable documents of ``folder``, sorted by id, all in memory; problems go to log.

    Raises:
        InputError: there is no ``documents.jsonl``.
    """
    found: dict[str, RawDocument] = {}
    for record in JsonLines(folder / DOCUMENTS).records(log):
        for document in record.documents:
            first = found.setdefault(document.document_id, document)
            if first is not document:
                log.add(record.line, "duplicate id", taken(document.document_id, first.line))
    return [found[document_id] for document_id in sorted(found)]


def taken(document_id: str, line: int) -> str:
    """Return what is said of a document whose id another one has."""
    return f"id {document_id!r} is taken by line {line}; left out"
