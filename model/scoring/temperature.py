"""One number that divides all scores of a trained head, so that it is less sure, or surer.

Relations: the softmax of scores / T, which is p^(1/T) normalised. Entities: all scores of the CRF
/ T (emissions, start, steps, end); for a mixture, whose words are
independent, p^(1/T) of each word. What is predicted stays: only probabilities change.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from cache.errors import InputError
from cache.records import Span
from model.batch import Batch
from model.crf import LinearChainCRF
from model.data import UNKNOWN_LABEL, Task
from model.heads import EntityHead, guesses_of
from model.joint_head import JointHead
from model.mixture import EntityMixture, held_apart
from model.network import Head
from model.run import WEIGHTS, write_atomically
from model.scoring.calibration import HIGHEST, LOWEST, fit_temperature

CALIBRATION: Final = "calibration.json"
_MAX_JSON_BYTES: Final = 1 << 20
# Below every probability that is told from 0; its logarithm is finite.
_LEAST: Final = 1e-38


class Temperature(BaseModel):
    """What `fit` found; ``calibration.json`` of a run folder.

    Attributes:
        format: of the file.
        task: whose probabilities it is for.
        temperature: above 1 where the model was too sure.
        split: that it was fitted on.
        posts: how many of the split; without those whose labels training never showed.
        nll_before: mean negative log-likelihood of a post's annotation at temperature 1, in nats.
        nll_after: at the temperature.
        store: fingerprint of the store that the split is of.
        weights_sha256: of the weights that it belongs to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    task: Task
    temperature: float = Field(ge=LOWEST, le=HIGHEST)
    split: str
    posts: int = Field(ge=1)
    nll_before: float = Field(allow_inf_nan=False)
    nll_after: float = Field(allow_inf_nan=False)
    store: str
    weights_sha256: str


class Scored(NamedTuple):
    """Annotated posts as a head scores them.

    Attributes:
        head: that gave the scores.
        scores: [posts, words, labels] (entities) or [posts, labels], see `scores_of`.
        gold: [posts, words] or [posts] label indices.
        mask: [posts, words] True at real words; [posts], all True, for relations.
    """

    head: Head
    scores: Tensor
    gold: Tensor
    mask: Tensor


def head_of(head: Head | JointHead, batch: Batch) -> Head:
    """Return the head of the batch's task."""
    chosen: Head = head.of(batch) if isinstance(head, JointHead) else head
    return chosen


def scores_of(
    head: Head, words: Float[Tensor, "posts words dims"], batch: Batch
) -> Float[Tensor, "posts *words labels"]:
    """Return what is divided by a temperature: emissions of a CRF, else log-probabilities."""
    if isinstance(head, EntityHead):
        return head.emissions(words)
    if isinstance(head, EntityMixture):
        return head.marginals(words, batch).clamp(min=_LEAST).log()
    return head.probabilities(words, batch).clamp(min=_LEAST).log()


def scored(head: Head, words: Float[Tensor, "posts words dims"], batch: Batch) -> Scored | None:
    """Return the annotated posts of a batch whose labels are all known; None where none is."""
    gold = batch.relations if batch.labels is None else batch.labels
    if gold is None:
        return None
    known = (gold != UNKNOWN_LABEL).view(len(gold), -1).all(dim=1)
    mask = batch.joined_mask if gold.ndim == 2 else torch.ones_like(known)
    if not known.any():
        return None
    return Scored(head, scores_of(head, words, batch)[known], gold[known], mask[known])


@torch.no_grad()
def fit(posts: Sequence[Scored]) -> tuple[float, float, float]:
    """Return the temperature that fits best, and the mean NLL of a post at 1 and at it, in nats.

    Raises:
        InputError: there is no annotated post to fit it on.
    """
    count = sum(len(part.gold) for part in posts)
    if not count:
        raise InputError(
            "no post of the split is annotated with labels that the model knows, so a temperature "
            "cannot be fitted; build the store from a data set with an annotated dev split."
        )

    def nll(temperature: float) -> float:
        total = sum(float(nll_at(part, temperature).double().sum()) for part in posts)
        return total / count

    best = fit_temperature(nll)
    return best, nll(1.0), nll(best)


def tempered(
    head: Head, temperature: float, words: Tensor, batch: Batch, answers: Sequence[Any]
) -> list[Any]:
    """Return ``answers`` of the head with the probabilities they have at ``temperature``.

    Args:
        head: that answered.
        temperature: 1 changes nothing.
        words: that it read.
        batch: that they are of.
        answers: of ``head.predict``; what they say, and in which order, stays as it is.
    """
    if temperature == 1:
        return list(answers)
    scores = scores_of(head, words, batch)
    if scores.ndim == 2:
        sure = (scores / temperature).softmax(dim=-1).tolist()
        rows = [dict(zip(head.labels, row, strict=True)) for row in sure]
        return [
            [(label, row[label]) for label, _ in answer]
            for row, answer in zip(rows, answers, strict=True)
        ]
    mask = batch.joined_mask
    return guesses_of(
        [[Span(*guess[:-1]) for guess in guesses] for guesses in answers],
        head.labels,
        mask,
        lambda rows, allowed: held_at(head, scores[rows], mask[rows], allowed, temperature),
    )


def weights_digest(run: Path) -> str:
    """Return the SHA-256 of a run's weights.

    Raises:
        InputError: they cannot be read.
    """
    try:
        with (run / WEIGHTS).open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{run / WEIGHTS} cannot be read ({error.strerror}). Train the run again, or copy the "
            "whole run folder."
        ) from error


def write_temperature(run: Path, found: Temperature) -> None:
    """Write ``calibration.json``."""
    write_atomically(run / CALIBRATION, (found.model_dump_json(indent=1) + "\n").encode())


def read_temperature(run: Path, task: Task) -> Temperature | None:
    """Return the temperature of a run for a task, or None where none was fitted.

    Raises:
        InputError: the file is damaged, or belongs to other weights.
    """
    path = run / CALIBRATION
    way_out = f"Fit it again with `ramie evaluate {run} --calibrate`, or delete it."
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            found = Temperature.model_validate_json(file.read(_MAX_JSON_BYTES))
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be used ({_first_line(error)}). {way_out}") from error
    if found.weights_sha256 != weights_digest(run):
        raise InputError(f"{path} was fitted for other weights than those beside it. {way_out}")
    return found if found.task == task else None


def nll_at(posts: Scored, temperature: float) -> Float[Tensor, " posts"]:
    """Return the negative log-likelihood of each post's annotation, in nats."""
    if isinstance(posts.head, EntityHead):
        crf = _softened(posts.head.crf, temperature)
        return crf.nll(posts.scores / temperature, posts.gold, posts.mask)
    logs = (posts.scores / temperature).log_softmax(dim=-1)
    at_gold = logs.gather(-1, posts.gold[..., None])[..., 0] * posts.mask
    nll: Tensor = -at_gold.view(len(at_gold), -1).sum(dim=1)
    return nll


def held_at(
    head: Head,
    scores: Float[Tensor, "rows words labels"],
    mask: Bool[Tensor, "rows words"],
    allowed: Bool[Tensor, "rows words labels"],
    temperature: float,
) -> Float[Tensor, " rows"]:
    """Return the probability that each word has a label ``allowed`` to it."""
    if isinstance(head, EntityHead):
        return _softened(head.crf, temperature).held(scores / temperature, mask, allowed)
    return held_apart((scores / temperature).softmax(dim=-1), mask, allowed)


@torch.no_grad()
def _softened(crf: LinearChainCRF, temperature: float) -> LinearChainCRF:
    """Return the field with its learned scores divided; what is forbidden stays forbidden."""
    softer = copy.deepcopy(crf)
    for scores in softer.parameters():
        scores.div_(temperature)
    return softer


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
