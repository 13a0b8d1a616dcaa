"""This project's own format for anybody's posts: ``docs/jsonl-format.md``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cache.errors import InputError
from cache.records import Example, Post, Span
from retrieval.datasets.found import Found, Reading, check_root, split_file, unreadable
from retrieval.datasets.lines import Line, read_lines, shown
from retrieval.datasets.photo_files import name_problem

_SPLIT_FILES: Final = {
    "train": ("train.jsonl",),
    "dev": ("dev.jsonl", "valid.jsonl", "val.jsonl"),
    "test": ("test.jsonl",),
}
_MAX_LABELS_BYTES: Final = 2**20
_WAY_OUT: Final = "The format is described in docs/jsonl-format.md."


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MentionLine(_Strict):
    """A run of tokens, end-exclusive."""

    start: int = Field(ge=0)
    end: int


class EntityLine(MentionLine):
    """An annotated entity."""

    type: str = Field(min_length=1)


class RelationLine(_Strict):
    """Two given mentions, and the relation between them where it is known."""

    head: MentionLine
    tail: MentionLine
    type: str | None = Field(default=None, min_length=1)


class PostLine(_Strict):
    """One line of the format.

    Attributes:
        id: unique in the data set.
        tokens: the words.
        photo: file name below the photos' folder.
        entities: absent or null where nobody annotated them; empty where there are none.
        relations: one question per pair of mentions.
    """

    id: str = Field(min_length=1, max_length=200)
    tokens: tuple[str, ...] = Field(min_length=1)
    photo: str | None = None
    entities: tuple[EntityLine, ...] | None = None
    relations: tuple[RelationLine, ...] = ()


class LabelsFile(_Strict):
    """``labels.json``: the label sets, in the order in which a model numbers them."""

    entities: tuple[str, ...] | None = None
    relations: tuple[str, ...] | None = None


def read_jsonl(root: Path, task: Literal["mner", "mre"], limit: int | None) -> Reading:
    """Return one example per post (``mner``), or per pair of mentions (``mre``).

    Raises:
        InputError: no file is there, or a line does not keep to the format; the message names
            file, line and key.
    """
    check_root(root)
    reading = Reading(declared_labels=_declared(root / "labels.json", task))
    for split, names in _SPLIT_FILES.items():
        reading.photo_folders[split] = (root / "photos", root / "images")
        path = split_file(root, names)
        if path is None:
            reading.problems.add("a split without a file", split)
            continue
        reading.found += _read_file(path, split, task, reading, limit)
    if not reading.found:
        raise InputError(
            f"{root} holds no post for task {task}: looked for train.jsonl, dev.jsonl and "
            f"test.jsonl. {_WAY_OUT}"
        )
    return reading


def _read_file(
    path: Path, split: str, task: str, reading: Reading, limit: int | None
) -> Iterator[Found]:
    lines = (line for line in read_lines(path) if line.text.strip())
    for line in islice(lines, limit):
        post = parse_post(line, task)
        name = _photo_name(post, line, reading)
        if num_blank := sum(not word.strip() for word in post.tokens):
            reading.problems.add("blank word", line.place, num_blank)
        if task == "mner":
            yield Found(_entities_example(post, split, name, line, reading), line.place)
            continue
        if not post.relations:
            reading.problems.add("post without a pair of mentions", line.place)
        for ordinal, relation in enumerate(post.relations):
            head, tail = (Span(m.start, m.end) for m in (relation.head, relation.tail))
            asked = Post(f"{post.id}#{ordinal}", post.tokens, name, head, tail)
            entities = _entities(post)
            yield Found(Example(asked, split, entities, relation.type), line.place)


def parse_post(line: Line, task: str) -> PostLine:
    """Return one line, checked.

    Raises:
        InputError: with file, line and key.
    """
    try:
        post = PostLine.model_validate_json(line.text)
    except ValidationError as error:
        raise InputError(f"{line.place}: {_first_error(error)}. {_WAY_OUT}") from error
    if not post.id.isprintable() or not any(word.strip() for word in post.tokens):
        wrong = "id holds a control character" if not post.id.isprintable() else "tokens are empty"
        raise InputError(f"{line.place}: {wrong}. Correct or delete the line.")
    mentions: list[tuple[str, MentionLine]] = [
        (f"entities.{index}", entity) for index, entity in enumerate(post.entities or ())
    ]
    for index, relation in enumerate(post.relations):
        mentions.append((f"relations.{index}.head", relation.head))
        mentions.append((f"relations.{index}.tail", relation.tail))
    for key, mention in mentions:
        if not mention.start < mention.end <= len(post.tokens):
            raise InputError(
                f"{line.place}: {key} spans tokens {mention.start} to {mention.end}, outside "
                f"the sentence of {len(post.tokens)} tokens (end is exclusive). {_WAY_OUT}"
            )
    if task == "mner":
        _refuse_overlaps(_entities(post) or (), line)
    return post


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "the line"
    return f"{key}: {first['msg']} (found {shown(first['input'])})"


def _refuse_overlaps(entities: tuple[Span, ...], line: Line) -> None:
    for one, other in pairwise(entities):
        if other.start < one.end:
            raise InputError(
                f"{line.place}: the entities at tokens {one.start} to {one.end} and "
                f"{other.start} to {other.end} overlap, but a word has one label. Keep one."
            )


def _entities(post: PostLine) -> tuple[Span, ...] | None:
    if post.entities is None:
        return None
    return tuple(sorted(Span(entity.start, entity.end, entity.type) for entity in post.entities))


def _entities_example(
    post: PostLine, split: str, name: str, line: Line, reading: Reading
) -> Example:
    if post.entities is None:
        reading.problems.add("post without annotated entities", line.place)
    return Example(Post(post.id, post.tokens, name), split, entities=_entities(post))


def _photo_name(post: PostLine, line: Line, reading: Reading) -> str:
    if post.photo is None:
        return ""
    if problem := name_problem(post.photo):
        reading.problems.add("photo name refused", f"{line.place} ({shown(post.photo)} {problem})")
        return ""
    return post.photo


def _declared(path: Path, task: str) -> tuple[str, ...] | None:
    if not path.is_file():
        return None
    with unreadable(path), path.open("rb") as file:
        data = file.read(_MAX_LABELS_BYTES)
    try:
        labels = LabelsFile.model_validate_json(data)
    except ValidationError as error:
        raise InputError(f"{path}: {_first_error(error)}. {_WAY_OUT}") from error
    declared = labels.entities if task == "mner" else labels.relations
    if declared is not None and len(set(declared)) < len(declared):
        raise InputError(f"{path}: a label is listed twice. List every label once.")
    return declared
