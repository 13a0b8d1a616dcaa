"""How a training begins: what it is, written into its folder, and the posts it learns from."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from cache.errors import InputError
from cache.reader import Features
from cache.records import FeatureSet
from model.build import Parts, feature_shapes, for_second_task, new_parts
from model.data import ExampleSource, PreparedPost, Task, label_set, read_split, visual_dim_of
from model.device import resolved
from model.encoder_identity import identity_of
from model.run import FeatureShape, Run, SecondTask, code_version, library_versions
from model.settings import ModelSettings, TrainSettings
from model.training.plan import mismatch_of
from model.training.ranks import Ranks
from model.training.same_run import check_same_run
from model.training.subset import chosen_posts

_SPLITS = ("train", "dev")
_log = logging.getLogger(__name__)
OTHER_TASK: dict[Task, Task] = {"entities": "relations", "relations": "entities"}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where posts come from.

    Attributes:
        first: the store of the run's task.
        task: of the run.
        second: a store of the other task, for a system that does both; or None.
    """

    first: ExampleSource
    task: Task
    second: ExampleSource | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """A network that was not trained yet, and what it learns from.

    Attributes:
        parts: the network; of two tasks, as it does the first.
        train: posts of the training split, of both tasks.
        dev: for each task the network as it does that task, and the posts it is tested on.
    """

    parts: Parts
    train: tuple[PreparedPost, ...]
    dev: tuple[tuple[Parts, tuple[PreparedPost, ...]], ...]


def begin(
    sources: Sources,
    model: ModelSettings,
    settings: TrainSettings,
    folder: Path,
    *,
    ranks: Ranks,
    device: torch.device,
    progress: bool = False,
) -> Beginning:
    """Return a new network with its posts; the first process describes its encoder in ``folder``.

    The network is still on the CPU; of ``device`` only its precision is asked here.

    Raises:
        InputError: stores, settings or folder do not allow it; the message says what to do.
        StoreError: a store cannot be used.
    """
    shapes = feature_shapes(sources.first, model)
    tasks = list(_with_tasks(sources))
    if len({visual_dim_of(source) for source, _ in tasks}) > 1:
        raise InputError(
            "the stores of the two tasks were made by image encoders of different sizes. Build "
            "both with the same observe.encoder."
        )
    read = [_read(source, tuple(shapes), settings) for source, _ in tasks]
    if len(tasks) > 1:
        for found, (other, _) in zip(read, tasks[::-1], strict=True):
            found["train"] = _unlike_held_out(found["train"], other)
    run = _described(tasks, [found["train"] for found in read], shapes, model, settings, device)
    if ranks.first:
        check_same_run(folder, run)
    parts = new_parts(run, folder if ranks.first else None)
    views = [parts, for_second_task(parts)] if run.second else [parts]
    prepared = [
        {split: _prepared(view, found[split], progress) for split in _SPLITS}
        for view, found in zip(views, read, strict=True)
    ]
    return Beginning(
        parts,
        tuple(post for found in prepared for post in found["train"]),
        tuple((view, found["dev"]) for view, found in zip(views, prepared, strict=True)),
    )


def _with_tasks(sources: Sources) -> Iterator[tuple[ExampleSource, Task]]:
    yield sources.first, sources.task
    if sources.second is not None:
        yield sources.second, OTHER_TASK[sources.task]


def _read(
    source: ExampleSource, needs: Sequence[FeatureSet], settings: TrainSettings
) -> dict[str, list[Features]]:
    read = {split: read_split(source, split, needs) for split in _SPLITS}
    if settings.share < 1:
        chosen = chosen_posts(source.example_ids("train"), settings.share, settings.seed)
        read["train"] = [p for p in read["train"] if p.example.post.example_id in chosen]
    return read


def _unlike_held_out(posts: Sequence[Features], other: ExampleSource) -> list[Features]:
    """Return the posts whose words are not those of a dev or test post of the other task.

    Data sets of this field draw on the same tweets: the mentions that one gives are the entities
    that the other asks for.
    """
    held_out = {
        _words(other.features(name))
        for split in ("dev", "test")
        for name in other.example_ids(split)
    }
    left = [post for post in posts if _words(post) not in held_out]
    if len(left) < len(posts):
        _log.warning(
            "%d of %d training posts have the words of dev or test posts of the other task; they "
            "are left out.",
            len(posts) - len(left),
            len(posts),
        )
    return left


def _words(post: Features) -> tuple[str, ...]:
    return tuple(token.casefold() for token in post.example.post.tokens)


def _described(
    tasks: Sequence[tuple[ExampleSource, Task]],
    train: Sequence[Sequence[Features]],
    shapes: dict[FeatureSet, FeatureShape],
    model: ModelSettings,
    settings: TrainSettings,
    device: torch.device,
) -> Run:
    """Return what is to be trained; labels are those of the posts in ``train`` of each task."""
    labels = [
        label_set((post.example for post in posts), task)
        for posts, (_, task) in zip(train, tasks, strict=True)
    ]
    source, task = tasks[0]
    return Run(
        task=task,
        labels=labels[0],
        visual_dim=visual_dim_of(source),
        shapes=shapes,
        store=_fingerprint(source),
        encoder=identity_of(model.text_encoder).digest,
        second=_second(tasks, labels),
        mismatch_beside=mismatch_of(model, settings) > 0,
        precision=resolved(settings.precision, device),
        model=model,
        train=settings,
        code_version=code_version(),
        libraries=library_versions(),
    )


def _second(
    tasks: Sequence[tuple[ExampleSource, Task]], labels: Sequence[tuple[str, ...]]
) -> SecondTask | None:
    if len(tasks) == 1:
        return None
    source, task = tasks[1]
    return SecondTask(task=task, labels=labels[1], store=_fingerprint(source))


def _prepared(parts: Parts, posts: Sequence[Features], progress: bool) -> tuple[PreparedPost, ...]:
    watched = tqdm(posts, "tokenise", unit="post", disable=None if progress else True)
    return tuple(parts.preparer.prepare(post) for post in watched)


def _fingerprint(source: ExampleSource) -> str:
    manifest: Any = getattr(source, "manifest", None)
    return "" if manifest is None else str(manifest.fingerprint)
