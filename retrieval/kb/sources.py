"""What a knowledge base is built from: folders, files of documents, dumps of wikis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cache.errors import InputError
from retrieval.kb import json_lines, parquet_rows
from retrieval.kb.documents import Source
from retrieval.kb.json_lines import JsonLines
from retrieval.kb.mediawiki import SUFFIXES, MediaWikiDump
from retrieval.kb.parquet_rows import ParquetRows

_EXPECTED: Final = (
    f"a folder with {json_lines.DOCUMENTS} (or {parquet_rows.DOCUMENTS}), a .jsonl or .parquet "
    "file of documents, or a MediaWiki dump (.xml or .xml.bz2)"
)


@dataclass(frozen=True)
class NamedSource:
    """A source, and what goes before its ids and its problems; nothing where it is the only one.

    Attributes:
        source: where documents come from.
        name: of its folder or file, or empty.
    """

    source: Source
    name: str

    @property
    def identity(self) -> list[object]:
        """What tells whether the source is still what it was when a build began."""
        stat = self.source.path.stat()
        return [str(self.source.path.resolve()), stat.st_size, stat.st_mtime_ns, self.name]


def open_sources(paths: Sequence[Path]) -> list[NamedSource]:
    """Return the sources at ``paths``, whose names stand before ids where there are several.

    Raises:
        InputError: there is nothing of the kind at a path; or two of them have one name.
    """
    sources = [_source_at(path) for path in paths]
    if len(sources) == 1:
        return [NamedSource(sources[0], "")]
    names = [_name_of(path.resolve()) for path in paths]
    if len(set(names)) < len(names):
        raise InputError(
            f"two of {', '.join(map(str, paths))} have the same name, which is to tell their "
            "documents apart. Rename one of them."
        )
    return [NamedSource(source, name) for source, name in zip(sources, names, strict=True)]


def _source_at(path: Path) -> Source:
    if path.is_dir():
        lines, rows = path / json_lines.DOCUMENTS, path / parquet_rows.DOCUMENTS
        if lines.is_file() and rows.is_file():
            raise InputError(
                f"{path} holds both {lines.name} and {rows.name}. Name the one that is meant."
            )
        if rows.is_file():
            return ParquetRows(rows)
        if lines.is_file():
            return JsonLines(lines)
    elif path.is_file():
        if path.name.endswith(SUFFIXES):
            return MediaWikiDump(path)
        if path.suffix == ".parquet":
            return ParquetRows(path)
        if path.suffix == ".jsonl":
            return JsonLines(path)
    raise InputError(f"{path} is nothing to build from. Give {_EXPECTED}.")


def _name_of(path: Path) -> str:
    if path.is_dir():
        return path.name
    return path.name.removesuffix(".bz2").rpartition(".")[0]
