"""Twitter-2015, Twitter-2017 and their like: CoNLL with ``IMGID:`` lines."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Final

from cache.errors import InputError
from cache.records import Example, Post
from retrieval.datasets.conll import Sentence, bio_spans, read_sentences
from retrieval.datasets.found import Found, Reading, check_root, split_file
from retrieval.datasets.lines import read_lines, shown
from retrieval.datasets.photo_files import name_problem, photo_name

SPLIT_FILES: Final = {
    "train": ("train.txt",),
    "dev": ("valid.txt", "dev.txt", "val.txt"),
    "test": ("test.txt",),
}
_NOT_IN_AN_ID: Final = re.compile(r"[^A-Za-z0-9._-]")


def read_twitter(root: Path, limit: int | None) -> Reading:
    """Return the posts of ``train.txt``, ``valid.txt`` (or ``dev.txt``) and ``test.txt``.

    The fourth class is called MISC however the file calls it; ``valid`` becomes ``dev``. A
    context after ``<EOS>`` is passed over here (`retrieval.providers.recorded` reads it).

    Raises:
        InputError: no file is there, or one is malformed; the message names file and line.
    """
    check_root(root)
    reading = Reading(declared_labels=_declared(root / "labels.txt"))
    for split, names in SPLIT_FILES.items():
        path = split_file(root, names)
        reading.photo_folders[split] = _photo_folders(root)
        if path is None:
            reading.problems.add("a split without a file", split)
            continue
        for ordinal, sentence in enumerate(islice(read_sentences(read_lines(path)), limit)):
            reading.found.append(_found(sentence, split, ordinal, reading))
    if not reading.found:
        raise InputError(
            f"{root} holds no posts: looked for train.txt, valid.txt or dev.txt, and test.txt. "
            "Set dataset.root to the folder with these files."
        )
    _count_posts_without_photo_line(reading)
    return reading


def _found(sentence: Sentence, split: str, ordinal: int, reading: Reading) -> Found:
    problems, place = reading.problems, sentence.place
    entities, orphans = bio_spans(sentence.labels)
    for where, count in sorted(orphans.items()):
        problems.add(f"I- {where} (opens an entity)", place, count)
    if num_blank := sum(not word.strip() for word in sentence.tokens):
        problems.add("blank word", place, num_blank)
    name = photo_name(sentence.photo_id) if sentence.photo_id is not None else ""
    # The ordinal makes the id unique, for several posts may show one photo.
    example_id = f"{split}-{ordinal:05d}"
    if name and (problem := name_problem(name)):
        problems.add("photo name refused", f"{place} ({shown(name)} {problem})")
        name = ""
    elif sentence.photo_id is not None:
        example_id += "-" + _NOT_IN_AN_ID.sub("_", sentence.photo_id)
    post = Post(example_id, tuple(sentence.tokens), name)
    return Found(Example(post, split, entities=entities), place)


def _count_posts_without_photo_line(reading: Reading) -> None:
    """Note posts without a photo where others have one; CoNLL-with-context names no photos."""
    without = [found for found in reading.found if not found.example.post.photo_name]
    if len(without) < len(reading.found):
        for found in without:
            reading.problems.add("post without a photo name", found.place)
    else:
        reading.problems.add("no IMGID: line in the data set", without[0].place, len(without))


def _photo_folders(root: Path) -> tuple[Path, ...]:
    images = f"{root.resolve().name}_images"
    return root / "images", root / "photos", root / images, root.parent / images


def _declared(path: Path) -> tuple[str, ...] | None:
    """Return the entity types of a ``labels.txt`` (one BIO label per line), if there is one."""
    if not path.is_file():
        return None
    labels = [line.text.strip() for line in read_lines(path)]
    types = {label[2:] for label in labels if label[:2] in {"B-", "I-"}}
    return tuple(sorted({"MISC" if kind == "OTHER" else kind for kind in types}))
