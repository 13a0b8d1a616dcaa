"""The test of a run, kept in its folder: a table is made again without loading a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cache.errors import StoreMismatch
from cache.manifest import read_manifest
from model.order import EvidenceOf
from model.run import DESCRIPTION, write_atomically
from model.scoring.evaluation import evaluate
from model.scoring.metrics import Counts

FORMAT: Final = 1
FOLDER: Final = "scores"
_MOST_BYTES: Final = 64 << 20
# A temperature that is fitted later changes these, and no test of what was found.
_HOW_SURE: Final = ("calibration", "temperature", "calibrated")
# What JSON of another form, or with other numbers, leads to.
_NO_RECORD: Final = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """How well one run did on a split.

    Attributes:
        task: entities or relations.
        micro: counts over all types: entities lenient (what papers print), relations without the
            label for none.
        strict: the same of entities in the strict reading; None for relations.
        accuracy: share of posts whose relation is right, in [0, 1]; None for entities.
        by_type: counts of each type or relation, as ``micro``.
        counts: tp, fp, fn of each post, ``[posts 3]``.
        example_ids: the posts.
        evaluation: what `model.scoring.evaluation.Evaluation.to_json` says, but for how sure the
            run was.
    """

    task: str
    micro: Counts
    strict: Counts | None
    accuracy: float | None
    by_type: Mapping[str, Counts]
    counts: NDArray[np.int64]
    example_ids: tuple[str, ...]
    evaluation: Mapping[str, Any]


def scored(
    run: Path,
    store: Path,
    split: str,
    shown: EvidenceOf,
    *,
    device: str = "auto",
    progress: bool = False,
) -> Scored:
    """Return the test of ``run``, from its folder where it was tested so before.

    Raises:
        StoreMismatch: the posts of the store are not those that the run was tested on.
        InputError: the run cannot be loaded, or the split not scored.
        StoreError: the store cannot be used.
    """
    known = kept_score(run, read_manifest(store).fingerprint, split, shown)
    if known is not None:
        return known
    evaluation = evaluate(run, store, split, shown, device=device, progress=progress)
    content = {
        "format": FORMAT,
        "run": _digest(run),
        "store": read_manifest(store).fingerprint,
        "evaluation": _found(evaluation.to_json()),
        "example_ids": list(evaluation.example_ids),
        "counts": evaluation.counts.tolist(),
    }
    write_atomically(_path(run, split, shown), json.dumps(content).encode())
    return _scored(content)


def keep_score(run: Path, copy: Path, split: str, shown: EvidenceOf) -> None:
    """Write a test of ``run`` beside a copy of its description."""
    with _path(run, split, shown).open("rb") as file:
        content = json.loads(file.read(_MOST_BYTES))
    content |= {"run": _digest(copy), "evaluation": _found(content["evaluation"])}
    write_atomically(_path(copy, split, shown), json.dumps(content).encode())


def kept_score(run: Path, store: str, split: str, shown: EvidenceOf) -> Scored | None:
    """Return what is kept of an earlier test on the store of that fingerprint, or None.

    Whatever is not the record of this very test counts as none: it is made again.
    """
    try:
        with _path(run, split, shown).open("rb") as file:
            content = json.loads(file.read(_MOST_BYTES))
        asked = [FORMAT, _digest(run), store, split, shown]
        evaluation = content["evaluation"]
        kept = [content["format"], content["run"], content["store"]]
        if [*kept, evaluation["split"], evaluation["evidence"]] != asked:
            return None
        return _scored(content)
    except _NO_RECORD:
        return None


def same_posts(first: Scored, other: Scored) -> None:
    """Refuse to compare systems that were tested on different posts.

    Raises:
        StoreMismatch: they were.
    """
    if first.example_ids != other.example_ids:
        differ = len(set(first.example_ids) ^ set(other.example_ids))
        raise StoreMismatch(
            f"two systems were tested on different posts ({differ} differ), which makes no "
            "comparison. Build the stores of all rows from one data set."
        )


def _found(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was found, without how sure the run was of it."""
    return {key: value for key, value in evaluation.items() if key not in _HOW_SURE}


def _path(run: Path, split: str, shown: EvidenceOf) -> Path:
    return run / FOLDER / f"{split}-{shown}.json"


def _digest(run: Path) -> str:
    """Return what tells runs apart that lay in one folder one after the other."""
    with (run / DESCRIPTION).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scored(content: Mapping[str, Any]) -> Scored:
    evaluation = content["evaluation"]
    scores = evaluation["scores"]
    entities = evaluation["task"] == "entities"
    main = scores["lenient"] if entities else scores
    types = main["by_type"] if entities else main["by_relation"]
    counts = np.array(content["counts"], dtype=np.int64).reshape(-1, 3)
    ids = tuple(map(str, content["example_ids"]))
    if len(ids) != len(counts) or (counts < 0).any():
        raise ValueError(f"{len(counts)} rows for {len(ids)} posts, or less than none")
    micro = _counts(main)
    if counts.sum(axis=0).tolist() != [micro.tp, micro.fp, micro.fn]:
        raise ValueError("the counts of the posts do not add up to those of all")
    return Scored(
        task=evaluation["task"],
        micro=micro,
        strict=_counts(scores["strict"]) if entities else None,
        accuracy=None if entities else float(scores["accuracy"]),
        by_type={name: _counts(one) for name, one in types.items()},
        counts=counts,
        example_ids=ids,
        evaluation=_found(evaluation),
    )


def _counts(record: Mapping[str, Any]) -> Counts:
    return Counts(int(record["tp"]), int(record["fp"]), int(record["fn"]))
