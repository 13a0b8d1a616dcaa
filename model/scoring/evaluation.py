"""Predictions and scores of a split, with each post's own evidence, another's, or none."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from tqdm import tqdm

from cache import open_store
from cache.errors import InputError
from cache.records import FeatureSet, Span
from model.batch import Batch
from model.bio import labels_of
from model.build import Parts, feature_shapes, parts_of, place
from model.collate import Shown
from model.data import ExampleSource, PreparedPost, Task, read_split, visual_dim_of
from model.device import autocast, choose_device, uses_bfloat16
from model.heads import EntityGuess
from model.order import EvidenceOf, batches_in_order, shown_evidence
from model.run import FeatureShape, Run
from model.scoring.calibration import Calibration, calibration
from model.scoring.metrics import (
    EntityScores,
    RelationScores,
    entity_scores,
    find_none_label,
    relation_counts,
    relation_scores,
    span_counts,
)
from model.scoring.temperature import head_of, read_temperature, tempered
from model.settings import TrainSettings

_EVALUATION_BATCH = 32
Answer = tuple[EntityGuess, ...] | list[tuple[str, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """How well a split was predicted.

    Attributes:
        task: entities or relations.
        split: which posts.
        evidence: whose evidence they were shown.
        scores: of the whole split.
        example_ids: the posts, in the order of ``counts`` and ``predictions``.
        counts: tp, fp, fn of each post, for `model.scoring.significance`.
        predictions: entities, or all relations with their probability, best first.
        unseen_labels: labels annotated here that training never showed, and how often: all missed.
        calibration: of the predicted entities or relations, with their probabilities as the
            network gives them; None where nothing was predicted.
        temperature: that was fitted for the run, or None.
        calibrated: the same answers with their probabilities at that temperature, or None.
    """

    task: Task
    split: str
    evidence: EvidenceOf
    scores: EntityScores | RelationScores
    example_ids: tuple[str, ...]
    counts: Int[np.ndarray, "posts 3"]
    predictions: list[Answer] = field(repr=False)
    unseen_labels: dict[str, int]
    calibration: Calibration | None = None
    temperature: float | None = None
    calibrated: Calibration | None = None

    @property
    def f1(self) -> float:
        """Micro F1 in [0, 1]: entities strict, relations without the label for none."""
        if isinstance(self.scores, EntityScores):
            return self.scores.strict.micro.f1
        return self.scores.micro.f1

    def to_json(self) -> dict[str, object]:
        """Return scores and what they are of, without the predictions."""
        return {
            "task": self.task,
            "split": self.split,
            "evidence": self.evidence,
            "posts": len(self.example_ids),
            "f1": self.f1,
            "scores": self.scores.to_json(),
            "unseen_labels": self.unseen_labels,
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "temperature": self.temperature,
            "calibrated": None if self.calibrated is None else self.calibrated.to_json(),
        }


def evaluate(
    run: Path | str,
    store: Path | str | ExampleSource,
    split: str = "test",
    evidence: EvidenceOf = "own",
    *,
    task: Task | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Evaluation:
    """Return how well the trained ``run`` predicts a split of ``store``.

    Args:
        run: folder of the run.
        store: folder of a store, or an open reader.
        split: which posts.
        evidence: whose evidence they are shown.
        task: of a run that does both, which one; None is the task that it is named by.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show bars where the output is a terminal.

    Raises:
        InputError: no such run or split, or the split is not annotated for the task.
        StoreError: the store cannot be used.
    """
    parts = parts_of(Path(run), task)
    found = read_temperature(Path(run), parts.run.task)
    target = choose_device(device)
    place(parts, target)
    with opened(store) as source:
        posts = prepare_split(parts, source, split, progress=progress)
    return evaluate_posts(
        parts,
        posts,
        split,
        evidence,
        device=target,
        temperature=None if found is None else found.temperature,
        progress=progress,
    )


def evaluate_posts(
    parts: Parts,
    posts: Sequence[PreparedPost],
    split: str,
    evidence: EvidenceOf,
    *,
    device: torch.device,
    temperature: float | None = None,
    progress: bool = False,
) -> Evaluation:
    """Return how well the network predicts ``posts``, and how sure it is at ``temperature``."""
    shown = shown_evidence(posts, evidence, parts.run.train.seed)
    each = functools.partial(_head_answers, temperature=temperature)
    both: list[tuple[Answer, Answer]] = predict_posts(
        parts, posts, shown, device=device, each=each, bar=watched(progress, split)
    )
    answers = [answer for answer, _ in both]
    score = _score_entities if parts.run.task == "entities" else _score_relations
    scores, counts, unseen = score(parts, posts, answers)
    softer = None if temperature is None else [answer for _, answer in both]
    return Evaluation(
        task=parts.run.task,
        split=split,
        evidence=evidence,
        scores=scores,
        example_ids=tuple(post.example.post.example_id for post in posts),
        counts=counts,
        predictions=answers,
        unseen_labels=dict(sorted(unseen.items())),
        calibration=_calibration(posts, answers),
        temperature=temperature,
        calibrated=None if softer is None else _calibration(posts, softer),
    )


@torch.no_grad()
def predict_posts(
    parts: Parts,
    posts: Sequence[PreparedPost],
    shown: Sequence[Shown],
    *,
    device: torch.device,
    each: Callable[[Parts, Batch], list[Any]],
    bar: Callable[[list[list[int]]], Iterable[list[int]]] = iter,
) -> list[Any]:
    """Return ``each(parts, batch)`` of every post, in the order of ``posts``."""
    was_training = parts.network.training
    parts.network.eval()
    costs = [parts.collator.cost(post) for post in posts]
    bfloat16 = uses_bfloat16(parts.run.train.precision, device)
    answers: list[Any] = [None] * len(posts)
    for indices in bar(batches_in_order(costs, _batch_size(parts.run.train))):
        batch = parts.collator([posts[i] for i in indices], [shown[i] for i in indices])
        with autocast(device, bfloat16):
            found = each(parts, batch.to(device))
        for index, answer in zip(indices, found, strict=True):
            answers[index] = answer
    parts.network.train(was_training)
    return answers


def _batch_size(trained: TrainSettings) -> int:
    """Return how many posts fit, without gradients, where a step of the training did."""
    return min(_EVALUATION_BATCH, max(1, 4 * trained.batch_size // trained.accumulate))


def prepare_split(
    parts: Parts, source: ExampleSource, split: str, *, progress: bool = False
) -> list[PreparedPost]:
    """Return the posts of a split, tokenised.

    Raises:
        InputError: no such split, a post that the task cannot be done for, or embeddings or
            feature sets that are not such as the run learned from.
    """
    _refuse_other_embeddings(parts, visual_dim_of(source))
    _refuse_other_features(parts.run, feature_shapes(source, parts.run.model))
    posts = read_split(source, split, parts.collator.needs)
    bar = tqdm(posts, f"tokenise {split}", unit="post", disable=None if progress else True)
    return [parts.preparer.prepare(post) for post in bar]


def _refuse_other_embeddings(parts: Parts, found: int) -> None:
    """Refuse embeddings of ``found`` numbers where the run learned from others."""
    learned = parts.run.visual_dim
    # Who reads no vectors, as text_only does, takes a store with them for one without.
    reads_vectors = parts.collator.evidence == "items" or parts.collator.needs
    if found == learned or not ((found and learned) or reads_vectors):
        return
    there = f"the store's image embeddings have {found} numbers"
    before = f"the run learned from those with {learned}"
    raise InputError(
        f"{there if found else 'the store has no image embeddings'}, and "
        f"{before if learned else 'the run learned from a store without'}. Build the store with "
        "the observe.encoder of the run's recipe, or train on this one."
    )


def _refuse_other_features(run: Run, found: Mapping[FeatureSet, FeatureShape]) -> None:
    """Refuse feature sets that look other than the run learned from, or that something else made.

    Runs of earlier versions do not say what made theirs. A store without a photo has no sizes.
    """
    for name, there in found.items():
        learned = run.shapes[name]
        pairs: list[tuple[str, object, object]] = []
        if learned.source:
            pairs.append(("made by", learned.source, there.source))
        if there.dims:
            pairs.append(("sizes", list(learned.dims), list(there.dims)))
            pairs.append(("stages", list(learned.stages), list(there.stages)))
        if differ := [f"{what} {was!r} -> {now!r}" for what, was, now in pairs if was != now]:
            raise InputError(
                f"the store's {name} is not such as the run learned from: {'; '.join(differ)} "
                "(the run -> the store). Build the store with the encoder, the parser and the "
                "library versions of the one that the run was trained on, or train on this one."
            )


def opened(store: Path | str | ExampleSource) -> AbstractContextManager[ExampleSource]:
    """Return a context with a reader; one that the caller opened stays open."""
    if isinstance(store, (str, Path)):
        return closing(open_store(store))
    return nullcontext(store)


def watched(progress: bool, name: str) -> Callable[[list[list[int]]], Iterable[list[int]]]:
    """Return a bar over batches where the output is a terminal."""
    return lambda batches: tqdm(
        batches, f"evaluate {name}", unit="batch", leave=False, disable=None if progress else True
    )


def _head_answers(
    parts: Parts, batch: Batch, temperature: float | None = None
) -> list[tuple[Any, Any]]:
    """Return for each post the answer, and the same as sure as it is at ``temperature``."""
    words = parts.network.read(batch).words
    head = head_of(parts.network.head, batch)
    answers = list(head.predict(words, batch))
    softer = tempered(head, temperature or 1.0, words, batch, answers)
    return list(zip(answers, softer, strict=True))


def _calibration(posts: Sequence[PreparedPost], answers: Sequence[Answer]) -> Calibration | None:
    """Return how well probabilities of predicted entities, or relations, tell what is right."""
    judged: list[tuple[float, bool]] = []
    for post, answer in zip(posts, answers, strict=True):
        if isinstance(answer, tuple):
            gold = set(post.example.entities or ())
            judged += [(g.probability, Span(g.start, g.end, g.label) in gold) for g in answer]
        else:
            label, probability = answer[0]
            judged.append((probability, label == post.example.relation))
    # Sums of exponentials in single precision may pass 1 by a rounding.
    sure = np.array([min(probability, 1.0) for probability, _ in judged], np.float64)
    return calibration(sure, np.array([right for _, right in judged], np.bool_))


def _score_entities(
    parts: Parts, posts: Sequence[PreparedPost], answers: Sequence[Any]
) -> tuple[EntityScores, Int[np.ndarray, "posts 3"], Counter[str]]:
    gold: list[tuple[Span, ...]] = []
    found: list[list[Span]] = []
    for post, answer in zip(posts, answers, strict=True):
        if post.example.entities is None:
            raise InputError(_not_annotated(post, "entities"))
        gold.append(post.example.entities)
        found.append([Span(guess.start, guess.end, guess.label) for guess in answer])
    # A head answers with spans, so that what it decoded is well-formed by now: both readings of
    # `EntityScores` are equal here. CRFs that forbid the rest decode nothing else.
    labels = [
        labels_of(spans, len(post.example.post.tokens))
        for spans, post in zip(found, posts, strict=True)
    ]
    known = set(parts.run.labels)
    unseen = Counter(s.label for spans in gold for s in spans if f"B-{s.label}" not in known)
    return entity_scores(gold, labels), span_counts(gold, found), unseen


def _score_relations(
    parts: Parts, posts: Sequence[PreparedPost], answers: Sequence[Any]
) -> tuple[RelationScores, Int[np.ndarray, "posts 3"], Counter[str]]:
    gold: list[str] = []
    for post in posts:
        if post.example.relation is None:
            raise InputError(_not_annotated(post, "a relation"))
        gold.append(post.example.relation)
    found: list[str] = [answer[0][0] for answer in answers]
    none = find_none_label([*parts.run.labels, *gold])
    unseen = Counter(label for label in gold if label not in set(parts.run.labels))
    return relation_scores(gold, found, none), relation_counts(gold, found, none), unseen


def _not_annotated(post: PreparedPost, what: str) -> str:
    return (
        f"example {post.example.post.example_id} is not annotated with {what}, so it cannot be "
        "scored; use `predict` for such posts, or another split."
    )
