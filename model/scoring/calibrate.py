"""Fits the temperature of a trained run on its dev split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from model.batch import Batch
from model.build import Parts, parts_of, place
from model.data import ExampleSource, PreparedPost, Task
from model.device import choose_device
from model.order import shown_evidence
from model.scoring.evaluation import opened, predict_posts, prepare_split, watched
from model.scoring.temperature import (
    Scored,
    Temperature,
    fit,
    head_of,
    scored,
    weights_digest,
    write_temperature,
)


def calibrate(
    run: Path | str,
    store: Path | str | ExampleSource,
    split: str = "dev",
    *,
    task: Task | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Temperature:
    """Fit the temperature of a trained run on a split, and keep it in the run folder.

    Posts are shown the evidence that the run's dev selection was shown (``train.evidence``).

    Args:
        run: folder of the run, which holds one temperature: a later one takes its place.
        store: folder of a store of posts for ``task``, or an open reader.
        split: annotated posts.
        task: of a run that does both, which one; None is the task that it is named by.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show bars where the output is a terminal.

    Raises:
        InputError: no such run or split, no annotated post in it, or but one post where it is to
            be shown another's evidence.
        StoreError: the store cannot be used.
    """
    parts = parts_of(Path(run), task)
    target = choose_device(device)
    place(parts, target)
    with opened(store) as source:
        posts = prepare_split(parts, source, split, progress=progress)
        manifest: Any = getattr(source, "manifest", None)
    scores = score_posts(parts, posts, device=target, bar=watched(progress, split))
    best, before, after = fit(scores)
    found = Temperature(
        task=parts.run.task,
        temperature=best,
        split=split,
        posts=sum(len(part.gold) for part in scores),
        nll_before=before,
        nll_after=after,
        store="" if manifest is None else manifest.fingerprint,
        weights_sha256=weights_digest(Path(run)),
    )
    write_temperature(Path(run), found)
    return found


def score_posts(
    parts: Parts,
    posts: Sequence[PreparedPost],
    *,
    device: torch.device,
    bar: Callable[[list[list[int]]], Iterable[list[int]]] = iter,
) -> list[Scored]:
    """Return the scores of all annotated posts, for `model.scoring.temperature.fit`."""
    trained = parts.run.train
    shown = shown_evidence(posts, trained.evidence, trained.seed)
    found: list[list[Scored]] = predict_posts(
        parts, posts, shown, device=device, each=_scored_once, bar=bar
    )
    return [part for parts_of_batch in found for part in parts_of_batch]


def _scored_once(parts: Parts, batch: Batch) -> list[list[Scored]]:
    """Return the scores of the whole batch in the place of its first post."""
    head = head_of(parts.network.head, batch)
    found = scored(head, parts.network.read(batch).words, batch)
    return [[] if found is None else [found], *([] for _ in batch.posts[1:])]
