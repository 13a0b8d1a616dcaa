"""Evidence that other systems published with their data: captions and contexts as text files."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cache.errors import InputError
from retrieval.datasets.conll import read_sentences
from retrieval.datasets.lines import Line, decode_lines, read_lines, shown
from retrieval.datasets.mnre import mnre_files, read_mnre_file
from retrieval.queries import clean_sentence

Passages = dict[str, list[str]]

_CAPTION_SEPARATOR: Final = " :"
_SPLIT_STEMS: Final = ("train", "valid", "dev", "val", "test")
# Twitter-2015's knowledge unpacks to 9 MB.
_MAX_UNPACKED_BYTES: Final = 512 * 2**20


def read_captions(path: Path, counts: Counter[str]) -> Passages:
    """Return the passages recorded for each photo, by the photo's file name.

    Args:
        path: a caption file (``id.jpg :text``), or MNRE lines with ``caption`` and ``entity``
            lists: a file, or a folder in one of MNRE's layouts.
        counts: notes how many captions are empty.

    Raises:
        InputError: nothing is there, or a line is malformed; the message names file and line.
    """
    if path.is_dir():
        _, files = mnre_files(path)
        return _merged(pair for file in files.values() for pair in _mnre_pairs(file, counts))
    if _holds_literals(path):
        return _merged(_mnre_pairs(path, counts))
    return _merged(_caption_pairs(path, counts))


def read_contexts(path: Path, counts: Counter[str]) -> Passages:
    """Return the passages recorded for each sentence, by the sentence as a query asks for it.

    Args:
        path: CoNLL-with-context: a file, or a folder or zip of them. Only files named after a
            split are read. Labels are not.
        counts: notes sentences without context, and how many different sentences share a key.

    Raises:
        InputError: nothing is there, a line is malformed, or no sentence has a context.
    """
    passages: Passages = {}
    tokens_of: dict[str, set[tuple[str, ...]]] = {}
    for lines in _context_files(path):
        for sentence in read_sentences(lines, with_labels=False):
            key = clean_sentence(sentence.tokens)
            found = sentence.passages()
            if not key or not found:
                counts["sentences without context"] += 1
                continue
            tokens_of.setdefault(key, set()).add(tuple(sentence.tokens))
            _add_new(passages.setdefault(key, []), found)
    if not passages:
        raise InputError(
            f"no sentence of {path} has a context: no <EOS> line labelled X with words below it. "
            "Set ask.context to CoNLL-with-context files."
        )
    shared = sum(len(sentences) - 1 for sentences in tokens_of.values())
    if shared:
        counts["sentences that share their cleaned text with another"] += shared
    return passages


def _merged(pairs: Iterable[tuple[str, list[str]]]) -> Passages:
    passages: Passages = {}
    for name, texts in pairs:
        _add_new(passages.setdefault(name, []), texts)
    return passages


def _add_new(known: list[str], texts: list[str]) -> None:
    known.extend(dict.fromkeys(text for text in texts if text not in known))


def _caption_pairs(path: Path, counts: Counter[str]) -> Iterator[tuple[str, list[str]]]:
    for line in read_lines(path):
        if not line.text.strip():
            continue
        name, separator, text = line.text.partition(_CAPTION_SEPARATOR)
        if not separator or not name:
            raise InputError(
                f"{line.place}: {shown(line.text)} is not 'photo.jpg :caption' (a space before "
                "the colon). Correct or delete the line."
            )
        caption = " ".join(text.split())
        counts["empty captions"] += not caption
        yield name, [caption] if caption else []


def _mnre_pairs(path: Path, counts: Counter[str]) -> Iterator[tuple[str, list[str]]]:
    for line in read_mnre_file(path):
        texts = [" ".join(text.split()) for text in (*line.captions, *line.entities)]
        counts["empty captions"] += texts.count("")
        yield line.photo_name, [text for text in texts if text]


def _holds_literals(path: Path) -> bool:
    first = next((line.text for line in read_lines(path) if line.text.strip()), "")
    return first.lstrip().startswith("{")


def _context_files(path: Path) -> Iterator[Iterable[Line]]:
    """Yield the lines of each file, never unpacking anything to disk."""
    if path.is_dir():
        files = [path / f"{stem}.txt" for stem in _SPLIT_STEMS]
        present = [file for file in files if file.is_file()]
        if not present:
            raise InputError(f"{path} holds no train.txt, valid.txt or test.txt. Check the path.")
        yield from map(read_lines, present)
    elif zipfile.is_zipfile(path):
        yield from _zip_files(path)
    else:
        yield read_lines(path)


def _zip_files(path: Path) -> Iterator[Iterable[Line]]:
    with _zip_errors(path), zipfile.ZipFile(path) as archive:
        by_stem = {
            info.filename.rpartition("/")[2].removesuffix(".txt"): info
            for info in archive.infolist()
            if info.filename.endswith(".txt")
        }
        wanted = [by_stem[stem] for stem in _SPLIT_STEMS if stem in by_stem]
        _check_sizes(path, wanted)
        for info in wanted:
            yield _member_lines(path, archive, info)


def _member_lines(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[Line]:
    # Reading stops at the size that the archive states, so that the check of sizes holds.
    with _zip_errors(path), archive.open(info) as member:
        yield from decode_lines(member, f"{path}/{info.filename}")


@contextmanager
def _zip_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise InputError(
            f"cannot read the zip file {path}: {error}. Download it again, without a password."
        ) from error


def _check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if not members:
        raise InputError(f"{path} holds no train.txt, valid.txt or test.txt. Check the file.")
    size = sum(info.file_size for info in members)
    if size > _MAX_UNPACKED_BYTES:
        raise InputError(
            f"{path} unpacks to {size:,} bytes, more than {_MAX_UNPACKED_BYTES:,}. If that is "
            "meant, unpack it and set ask.context to the folder."
        )
