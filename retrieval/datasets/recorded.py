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
from cache.records import Post
from retrieval.asking.queries import clean_sentence, query_text
from retrieval.datasets.conll import read_sentences
from retrieval.datasets.lines import Line, decode_lines, read_lines, shown
from retrieval.datasets.mnre import mnre_files, read_mnre_file
from retrieval.datasets.photo_files import photo_name
from retrieval.settings import ImportSettings

Passages = dict[str, list[str]]

_CAPTION_SEPARATOR: Final = " :"
# By format, and whether it was to be joined by photo.
_NOTHING: Final = {
    ("captions", True): "holds no caption. Check the file.",
    ("mnre-lists", True): "holds nothing in the list that field names. Set the other field.",
    ("mnre-lists", False): "holds nothing in the list that field names. Set the other field.",
    ("conll-context", True): (
        "holds no context below an IMGID: line, and a question of level 'image' knows its photo's "
        "name alone. Set level = 'sentence', or write the IMGID: lines."
    ),
    ("conll-context", False): (
        "holds no context: no <EOS> line labelled X with words below it. Give CoNLL-with-context."
    ),
}
_SPLIT_STEMS: Final = ("train", "valid", "dev", "val", "test")
# Twitter-2015's knowledge unpacks to 9 MB.
_MAX_UNPACKED_BYTES: Final = 512 * 2**20


def read_import(wanted: ImportSettings, counts: Counter[str]) -> Passages:
    """Return the passages of one import by what a question of its level is joined by.

    That is the photo's file name at level ``image``, and the sentence as a question words it at
    level ``sentence``. Labels are not read.

    Args:
        wanted: where, in which format, for which level.
        counts: notes how much was read, and what was odd.

    Raises:
        InputError: nothing is there, a line is malformed (the message names file and line), or
            no passage can be joined.
    """
    by_photo = wanted.level == "image"
    if wanted.format == "captions":
        pairs = _caption_pairs(wanted.path)
    elif wanted.format == "mnre-lists":
        pairs = _mnre_pairs(wanted.path, wanted.field == "entity", by_photo)
    else:
        pairs = _context_pairs(wanted.path, by_photo, counts)
    passages: Passages = {}
    for key, texts in pairs:
        new = list(filter(None, texts))
        if key and new:
            known = passages.setdefault(key, [])
            known += dict.fromkeys(text for text in new if text not in known)
        else:
            counts["without passages" if key else "without a name to join by"] += 1
    if not passages:
        raise InputError(f"{wanted.path} {_NOTHING[wanted.format, by_photo]}")
    counts["photos with passages" if by_photo else "sentences with passages"] += len(passages)
    return passages


def _caption_pairs(path: Path) -> Iterator[tuple[str, list[str]]]:
    for line in read_lines(path):
        if not line.text.strip():
            continue
        name, separator, text = line.text.partition(_CAPTION_SEPARATOR)
        if not separator or not name or name.startswith("{"):
            raise InputError(
                f"{line.place}: {shown(line.text)} is not 'photo.jpg :caption' (a space before "
                "the colon). Correct or delete the line, or set another format."
            )
        yield name, [" ".join(text.split())]


def _mnre_pairs(path: Path, entities: bool, by_photo: bool) -> Iterator[tuple[str, list[str]]]:
    files = mnre_files(path)[1].values() if path.is_dir() else [path]
    for file in files:
        for line in read_mnre_file(file):
            # A sentence of MNRE asks with its two mentions.
            post = Post("", line.tokens, head=line.head, tail=line.tail)
            texts = line.entities if entities else line.captions
            key = line.photo_name if by_photo else query_text(post)
            yield key, [" ".join(text.split()) for text in texts]


def _context_pairs(
    path: Path, by_photo: bool, counts: Counter[str]
) -> Iterator[tuple[str, list[str]]]:
    sentences_of: dict[str, set[tuple[str, ...]]] = {}
    for lines in _context_files(path):
        for sentence in read_sentences(lines, with_labels=False):
            texts = sentence.passages()
            if by_photo:
                yield photo_name(sentence.photo_id) if sentence.photo_id else "", texts
                continue
            key = clean_sentence(sentence.tokens)
            if texts:
                sentences_of.setdefault(key, set()).add(tuple(sentence.tokens))
            yield key, texts
    if shared := sum(len(sentences) - 1 for sentences in sentences_of.values()):
        counts["sentences that share their cleaned text with another"] += shared


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
        wanted = _members(path, archive)
        _check_sizes(path, wanted)
        for info in wanted:
            yield _member_lines(path, archive, info)


def _members(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of the splits, in whatever folder of the archive they lie."""
    by_name: dict[str, zipfile.ZipInfo] = {}
    names = [f"{stem}.txt" for stem in _SPLIT_STEMS]
    for info in archive.infolist():
        name = info.filename.rpartition("/")[2]
        if name in names and name in by_name:
            raise InputError(
                f"{path} holds {name} twice, as {by_name[name].filename} and {info.filename}, and "
                "either may be meant. Take one of them out, or unpack the right one and set path "
                "to its folder."
            )
        by_name[name] = info
    return [by_name[name] for name in names if name in by_name]


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
            "meant, unpack it and set path to the folder."
        )
