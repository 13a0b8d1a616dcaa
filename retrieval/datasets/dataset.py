"""A data set as the builder gets it: examples, photos that exist, and what was odd."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cache.errors import InputError
from cache.keys import canonical_json
from cache.records import Example, Span
from retrieval.datasets.found import Found, Problem, Problems, Reading
from retrieval.datasets.jsonl import read_jsonl
from retrieval.datasets.lines import shown
from retrieval.datasets.mnre import read_mnre
from retrieval.datasets.photo_files import find_photo
from retrieval.datasets.protocol import protocol_of
from retrieval.datasets.twitter import read_twitter
from retrieval.settings import DatasetSettings

# The label for "no relation", as OpenNRE and the systems built on it look for it.
_NONE_LABELS: Final = ("NA", "na", "no_relation", "Other", "Others", "none", "None")


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What a reader found.

    Attributes:
        examples: in file order, train before dev before test.
        photos: the photo of each post whose photo is at hand, by example id. A post that names a
            photo and is not in here goes on without one; nothing stands in for it.
        labels: entity types (without B- and I-) or relations: in the order that the data set
            declares, else sorted; those of every split, so that no annotation is lost.
        none_label: the relation that says that there is none, or None.
        problems: what was odd and stopped nothing, by kind.
        digest: SHA-256 over posts and annotations; photos are named by their own content.
        protocol: which version of a published data set it is; empty for others.
    """

    examples: tuple[Example, ...]
    photos: Mapping[str, Path]
    labels: tuple[str, ...]
    none_label: str | None
    problems: tuple[Problem, ...]
    digest: str
    protocol: str = ""

    @property
    def problem_counts(self) -> Counter[str]:
        """How often each kind of problem occurred."""
        return Counter({problem.kind: problem.count for problem in self.problems})


def read_dataset(settings: DatasetSettings) -> Dataset:
    """Return the posts that ``settings`` name.

    Raises:
        InputError: a file is missing or malformed, an id occurs twice, a label is not among the
            declared ones, or the posts are of another version than ``settings.protocol`` states;
            the message names file, line or key, and the way out.
    """
    reading = _read(settings)
    _refuse_duplicates(reading.found)
    examples = tuple(found.example for found in reading.found)
    return Dataset(
        examples,
        _photos(reading, settings.photos),
        labels := _labels(reading, settings.task),
        next((label for label in _NONE_LABELS if label in labels), None),
        reading.problems.freeze(),
        _digest(settings.task, examples),
        protocol_of(settings.reader, settings.protocol, examples),
    )


def _read(settings: DatasetSettings) -> Reading:
    task, root, limit = settings.task, settings.root, settings.limit
    match settings.reader:
        case "twitter" if task == "mner":
            return read_twitter(root, limit)
        case "mnre" if task == "mre":
            return read_mnre(root, limit)
        case "jsonl":
            return read_jsonl(root, task, limit)
    raise InputError(
        f"reader {settings.reader!r} has no annotations for task {task!r}. Use dataset.task "
        f"{'mner' if settings.reader == 'twitter' else 'mre'!r}, or reader 'jsonl'."
    )


def _refuse_duplicates(found: Sequence[Found]) -> None:
    places: dict[str, str] = {}
    for example, place in found:
        example_id = example.post.example_id
        if example_id in places:
            raise InputError(
                f"{place}: the id {shown(example_id)} occurs already at {places[example_id]}. "
                "Give every post its own id; a post must not be in two splits."
            )
        places[example_id] = place


def _photos(reading: Reading, given: Path | None) -> dict[str, Path]:
    folders = {
        split: _existing_folders(split, places, given)
        for split, places in reading.photo_folders.items()
    }
    photos: dict[str, Path] = {}
    for example, place in reading.found:
        name = example.post.photo_name
        if not name:
            continue
        path, problem = find_photo(folders[example.split], name)
        if path is not None:
            photos[example.post.example_id] = path
        else:
            kind = "photo missing" if problem == "missing" else "photo refused"
            reading.problems.add(kind, f"{place} ({name}: {problem})")
    return photos


def _existing_folders(split: str, usual: tuple[Path, ...], given: Path | None) -> tuple[Path, ...]:
    if given is not None and not given.is_dir():
        raise InputError(
            f"{given} is not a folder. Set dataset.photos to the photos' folder, or leave it out."
        )
    # MNRE keeps its photos by split, and calls dev val.
    names = (split, "val") if split == "dev" else (split,)
    places = usual if given is None else (*(given / name for name in names), given)
    return tuple(place.resolve() for place in places if place.is_dir())


def _labels(reading: Reading, task: str) -> tuple[str, ...]:
    """Return the label set; refuse labels outside a declared one, note those train lacks."""
    seen: dict[str, set[str]] = {"train": set(), "dev": set(), "test": set()}
    for example, place in reading.found:
        for label in _labels_of(example, task):
            seen[example.split].add(label)
            if reading.declared_labels is not None and label not in reading.declared_labels:
                raise InputError(
                    f"{place}: label {shown(label)} is unknown: the data set declares "
                    f"{', '.join(reading.declared_labels)}. Correct the line, or add the label "
                    "to the declared ones (labels.json, labels.txt or ours_rel2id.json)."
                )
    if seen["train"]:
        _note_unseen(reading.found, seen["train"], task, reading.problems)
    if reading.declared_labels is not None:
        return reading.declared_labels
    every = sorted(seen["train"] | seen["dev"] | seen["test"])
    return tuple(sorted(every, key=lambda label: label not in _NONE_LABELS))


def _note_unseen(found: Sequence[Found], known: set[str], task: str, problems: Problems) -> None:
    for example, place in found:
        for label in _labels_of(example, task):
            if label not in known:
                # Kept: a gold annotation that no model can find is a miss, and must count as one.
                problems.add(
                    f"label {label!r} in {example.split} but not in train (counts as missed)",
                    place,
                )


def _labels_of(example: Example, task: str) -> Iterator[str]:
    if task == "mner":
        yield from (entity.label for entity in example.entities or ())
    elif example.relation is not None:
        yield example.relation


def _digest(task: str, examples: Sequence[Example]) -> str:
    """Return a digest of everything but the photos, independent of where the files lie."""
    digest = hashlib.sha256(task.encode())
    for example in examples:
        post = example.post
        entities = example.entities
        fields: list[object] = [
            *(post.example_id, list(post.tokens), post.photo_name, example.split),
            *(_plain(post.head), _plain(post.tail), example.relation),
            None if entities is None else [_plain(entity) for entity in entities],
        ]
        digest.update(canonical_json(fields).encode() + b"\n")
    return digest.hexdigest()


def _plain(span: Span | None) -> list[int | str] | None:
    return None if span is None else list(span)
