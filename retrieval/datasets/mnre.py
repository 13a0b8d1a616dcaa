"""MNRE: one Python literal per line, in the two layouts in circulation."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, cast

from cache.errors import InputError
from cache.records import Example, Post, Span
from retrieval.datasets.found import Found, Reading, check_root, split_file
from retrieval.datasets.lines import Line, read_lines, shown
from retrieval.datasets.photo_files import name_problem

# The official val file really has a space before its dot.
_LAYOUTS: Final = {
    "mnre_{}.txt": {
        "train": ("mnre_train.txt",),
        "dev": ("mnre_val .txt", "mnre_val.txt", "mnre_dev.txt"),
        "test": ("mnre_test.txt",),
    },
    "ours_{}.txt": {
        "train": ("ours_train.txt",),
        "dev": ("ours_val.txt", "ours_dev.txt"),
        "test": ("ours_test.txt",),
    },
}
_TEXT_FOLDERS: Final = ("mnre_txt", "txt", ".")
_PHOTO_SPLITS: Final = {"train": ("train",), "dev": ("val", "dev"), "test": ("test",)}


class MnreLine(NamedTuple):
    """One line: a sentence with two mentions, and what the authors may have recorded with it."""

    place: str
    tokens: tuple[str, ...]
    head: Span
    tail: Span
    photo_name: str
    relation: str
    captions: tuple[str, ...]
    entities: tuple[str, ...]
    names_agree: bool


def read_mnre(root: Path, limit: int | None) -> Reading:
    """Return the instances, each of them one example.

    Raises:
        InputError: no file is there, or one is malformed; the message names file and line.
    """
    check_root(root)
    folder, files = mnre_files(root)
    reading = Reading(declared_labels=_declared(root, folder))
    for split in _PHOTO_SPLITS:
        reading.photo_folders[split] = _photo_folders(root, split)
        path = files.get(split)
        if path is None:
            reading.problems.add("a split without a file", split)
            continue
        for ordinal, line in enumerate(islice(read_mnre_file(path), limit)):
            reading.found.append(_found(line, split, ordinal, reading))
    if not reading.found:
        raise InputError(f"the files in {folder} hold no line. Download the data set again.")
    return reading


def mnre_files(root: Path) -> tuple[Path, dict[str, Path]]:
    """Return the folder with the texts, and the file of each split that has one.

    Raises:
        InputError: none of the layouts is there, or more than one.
    """
    layouts: list[tuple[Path, dict[str, Path]]] = []
    for folder in (root / name for name in _TEXT_FOLDERS):
        for names in _LAYOUTS.values():
            present = {split: split_file(folder, names[split]) for split in names}
            files = {split: path for split, path in present.items() if path is not None}
            if files:
                layouts.append((folder, files))
    if len(layouts) == 1:
        return layouts[0]
    if not layouts:
        raise InputError(
            f"{root} is not MNRE: looked for mnre_txt/mnre_train.txt and txt/ours_train.txt "
            "(and val, test). Set dataset.root to the folder that holds mnre_txt or txt."
        )
    first, second = (next(iter(files.values())) for _, files in layouts[:2])
    raise InputError(
        f"{root} holds two layouts, {first} and {second}; the versions of MNRE must not be "
        "mixed. Move one of them away, or set dataset.root to the folder of the one you mean."
    )


def read_mnre_file(path: Path) -> Iterator[MnreLine]:
    """Yield the lines of one file; blank lines are passed over.

    Raises:
        InputError: a line is not a literal, hides code, lacks a key, or has a span outside its
            sentence.
    """
    for line in read_lines(path):
        if line.text.strip():
            yield _parse(line)


def _found(line: MnreLine, split: str, ordinal: int, reading: Reading) -> Found:
    name = line.photo_name
    if problem := name_problem(name):
        reading.problems.add("photo name refused", f"{line.place} ({shown(name)} {problem})")
        name = ""
    if num_blank := sum(not word.strip() for word in line.tokens):
        reading.problems.add("blank word", line.place, num_blank)
    if not line.names_agree:
        reading.problems.add("mention's name differs from its words", line.place)
    post = Post(f"{split}-{ordinal:05d}", line.tokens, name, line.head, line.tail)
    return Found(Example(post, split, relation=line.relation), line.place)


def _parse(line: Line) -> MnreLine:
    record = _literal(line)
    tokens = _texts(record, "token", line)
    if not any(word.strip() for word in tokens):
        raise InputError(f"{line.place}: 'token' holds no words. Delete the line.")
    head, tail = (_mention(record, key, len(tokens), line) for key in ("h", "t"))
    return MnreLine(
        line.place,
        tokens,
        head,
        tail,
        _text(record, "img_id", line),
        _text(record, "relation", line),
        _texts(record, "caption", line) if "caption" in record else (),
        _texts(record, "entity", line) if "entity" in record else (),
        _name_agrees(record["h"], tokens, head) and _name_agrees(record["t"], tokens, tail),
    )


def _name_agrees(mention: object, tokens: tuple[str, ...], span: Span) -> bool:
    """Return False where the mention's name says other words than its position."""
    name = mention.get("name") if isinstance(mention, dict) else None
    words = " ".join(tokens[span.start : span.end])
    return not isinstance(name, str) or _repaired(name) == words


def _literal(line: Line) -> dict[str, object]:
    try:
        with warnings.catch_warnings():
            # Tweets hold backslashes that are no escapes; Python keeps them and warns.
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            tree = ast.parse(line.text.strip(), mode="eval")
        _refuse_code(tree, line)
        record = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError(
            f"{line.place}: {shown(line.text)} is not a Python literal "
            f"({type(error).__name__}: {shown(str(error))}). Correct or delete the line."
        ) from error
    if not isinstance(record, dict) or not all(isinstance(key, str) for key in record):
        raise InputError(
            f"{line.place}: the line is not a dictionary with text keys. Correct or delete it."
        )
    return cast("dict[str, object]", record)


def _refuse_code(tree: ast.Expression, line: Line) -> None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Call, ast.Name, ast.Attribute, ast.Lambda, ast.JoinedStr)):
            code = shown(ast.get_source_segment(line.text.strip(), node) or type(node).__name__)
            raise InputError(
                f"{line.place}: the line holds code ({code}), not data; nothing was run. "
                "Do not use this file before you know where it comes from."
            )


def _field(record: dict[str, object], key: str, line: Line) -> object:
    if key not in record:
        raise InputError(
            f"{line.place}: the key {key!r} is missing. A line needs token, h, t, img_id and "
            "relation."
        )
    return record[key]


def _text(record: dict[str, object], key: str, line: Line) -> str:
    value = _field(record, key, line)
    if not isinstance(value, str):
        raise InputError(f"{line.place}: {key!r} is {shown(value)}, not text. Correct the line.")
    return _repaired(value)


def _texts(record: dict[str, object], key: str, line: Line) -> tuple[str, ...]:
    value = _field(record, key, line)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InputError(
            f"{line.place}: {key!r} is {shown(value)}, not a list of texts. Correct the line."
        )
    return tuple(_repaired(text) for text in value)


def _repaired(text: str) -> str:
    r"""Return ``text`` as valid Unicode: a literal may write an emoji as ``\ud83d\ude00``."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mention(record: dict[str, object], key: str, num_tokens: int, line: Line) -> Span:
    mention = _field(record, key, line)
    position = mention.get("pos") if isinstance(mention, dict) else None
    if (
        not isinstance(position, (list, tuple))
        or len(position) != 2
        or not all(type(offset) is int for offset in position)
    ):
        raise InputError(
            f"{line.place}: {key!r} is {shown(mention)}, without a 'pos' of two whole numbers. "
            "Correct the line."
        )
    start, end = position
    if not 0 <= start < end <= num_tokens:
        raise InputError(
            f"{line.place}: {key!r} has pos [{start}, {end}], outside the sentence of "
            f"{num_tokens} tokens (start counts from 0, end is exclusive). Correct the line."
        )
    return Span(start, end)


def _photo_folders(root: Path, split: str) -> tuple[Path, ...]:
    places = (root / "img_org", root.parent / "img_org")
    below = [place / name for place in places for name in _PHOTO_SPLITS[split]]
    return (*below, *places)


def _declared(root: Path, folder: Path) -> tuple[str, ...] | None:
    """Return the relations of ``ours_rel2id.json`` in the order of their numbers."""
    for path in (folder / "ours_rel2id.json", root / "ours_rel2id.json"):
        if path.is_file():
            return _relations(path)
    return None


def _relations(path: Path) -> tuple[str, ...]:
    try:
        ids = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not JSON ({shown(str(error))}). Restore the file, or move it away."
        ) from error
    if not isinstance(ids, dict) or not all(type(number) is int for number in ids.values()):
        raise InputError(f"{path} does not map relations to whole numbers. Restore the file.")
    return tuple(sorted(ids, key=lambda label: (ids[label], label)))
