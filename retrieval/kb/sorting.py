"""Documents of any number of sources, sorted by id in constant memory, each id once.

Sources are read into runs that fit in memory, which are sorted, and then merged.
"""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cache.files import write_atomically
from retrieval.kb.documents import RawDocument
from retrieval.kb.json_lines import taken
from retrieval.kb.sources import NamedSource
from retrieval.kb.work import RUNS, Work

SORTED: Final = "sorted.jsonl"
# Of documents that are held in memory to be sorted; objects take about twice of it.
_RUN_BYTES: Final = 64 * 2**20
# Each run that is merged is an open file.
_RUNS_AT_ONCE: Final = 64
_TOLD_EVERY: Final = 1000  # records

# Id, number of the source, line, and the rest of a document; sorted by the first three.
_Entry = tuple[str, int, int, str, str, str, str | None]


def collect(work: Work, sources: Sequence[NamedSource], told: Callable[[float], None]) -> None:
    """Read the sources into sorted runs, from where an earlier build was.

    Args:
        work: the build.
        sources: what to read.
        told: is called with the share of the current source that was read, 0 to 1.

    Raises:
        InputError: a source cannot be read.
    """
    for number, named in enumerate(sources):
        if number < work.state.source:
            continue
        work.log.prefix = f"{named.name}: " if named.name else ""
        entries: list[_Entry] = []
        num_bytes = 0
        for record in named.source.records(work.log, work.state.line):
            made = [_entry(number, named.name, document) for document in record.documents]
            entries += made
            num_bytes += sum(len(one[0]) + len(one[4]) + 200 for one in made)
            if record.line % _TOLD_EVERY == 0:
                told(named.source.consumed)
            if num_bytes >= _RUN_BYTES:
                _write_run(work, entries, source=number, line=record.line)
                entries, num_bytes = [], 0
        _write_run(work, entries, source=number + 1, line=0)
        told(1.0)
    work.log.prefix = ""


def merge(work: Work, sources: Sequence[NamedSource]) -> None:
    """Merge the runs into one file of distinct documents, in the order of their ids.

    Of documents with one id the first stays, in the order of sources and lines.
    """
    paths = [work.folder / RUNS / _run_name(number) for number in range(work.state.runs)]
    merged = 0
    while len(paths) > _RUNS_AT_ONCE:
        target = work.folder / RUNS / f"merged-{merged:06d}.jsonl"
        with target.open("wb") as file:
            for entry in _merged(paths[:_RUNS_AT_ONCE]):
                file.write(_line(entry))
        paths, merged = [*paths[_RUNS_AT_ONCE:], target], merged + 1
    distinct, last = 0, ("", 0, 0)
    # Not a growing file: it is written whole, or written again.
    with (work.folder / SORTED).open("wb") as file:
        for entry in _merged(paths):
            if distinct and entry[0] == last[0]:
                name = sources[entry[1]].name
                told = taken(entry[0].removeprefix(f"{name}/" if name else ""), last[2])
                work.log.add(entry[2], "duplicate id", f"{name}: {told}" if name else told)
                continue
            distinct, last = distinct + 1, entry[:3]
            file.write(_line(entry))
        file.flush()
        os.fsync(file.fileno())
    work.seal(stage="embed", documents=distinct)
    for path in (work.folder / RUNS).iterdir():
        path.unlink()


def sorted_documents(
    work: Work, sources: Sequence[NamedSource], offset: int
) -> Iterator[tuple[RawDocument, int]]:
    """Yield the sorted documents from byte ``offset`` on, each with the byte where it ends."""
    with (work.folder / SORTED).open("rb") as file:
        file.seek(offset)
        for line in file:
            offset += len(line)
            identifier, source, number, title, text, url, image = json.loads(line)
            folder = sources[source].source.folder
            yield RawDocument(folder, number, identifier, title, text, url, image), offset


def _entry(number: int, name: str, document: RawDocument) -> _Entry:
    identifier = f"{name}/{document.document_id}" if name else document.document_id
    return (
        identifier,
        number,
        document.line,
        document.title,
        document.text,
        document.url,
        document.image,
    )


def _write_run(work: Work, entries: list[_Entry], *, source: int, line: int) -> None:
    if entries:
        entries.sort(key=_key)
        path = work.folder / RUNS / _run_name(work.state.runs)
        write_atomically(path, b"".join(map(_line, entries)))
    work.seal(source=source, line=line, runs=work.state.runs + bool(entries))


def _merged(paths: Sequence[Path]) -> Iterator[_Entry]:
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        yield from heapq.merge(*(map(_parsed, file) for file in files), key=_key)


def _key(entry: _Entry) -> tuple[str, int, int]:
    return entry[:3]


def _parsed(line: bytes) -> _Entry:
    entry: _Entry = tuple(json.loads(line))
    return entry


def _line(entry: _Entry) -> bytes:
    return json.dumps(entry, ensure_ascii=True).encode("ascii") + b"\n"


def _run_name(number: int) -> str:
    return f"{number:06d}.jsonl"
