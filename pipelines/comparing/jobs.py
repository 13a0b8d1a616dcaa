"""One run of the grid: trained, or taken as it is, and tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from cache.errors import InputError, StoreMismatch
from cache.manifest import read_manifest
from cache.writing.lock import WriterLock
from model.encoder_identity import EncoderIdentity, identity_of
from model.order import EvidenceOf
from model.run import DESCRIPTION, Run, read_run
from model.training import train
from model.training.plan import mismatch_of
from model.training.switches import COST_ONLY
from pipelines.comparing.scored import Scored, kept_score, scored
from pipelines.config import Recipe
from pipelines.runs import RECIPE_FILE, code_commit, write_recipe
from pipelines.tasks import model_task

_LOCK: Final = "compare.lock"
_SHOWN: Final = 12


class Job(BaseModel):
    """What a worker is told.

    Attributes:
        name: what people are told.
        recipe: with the model and the training of this run.
        store: what is read.
        fingerprints: of that store, and of the one of the other task if the system reads one,
            when the grid was made.
        run: folder of the run.
        split: what is scored.
        shown: whose evidence it is shown at the test; a test for each.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    recipe: Recipe
    store: Path
    fingerprints: dict[Path, str]
    run: Path
    split: str = "test"
    shown: tuple[EvidenceOf, ...] = ("own",)
    device: str = "auto"


def do_job(job: Job, *, progress: bool = False) -> None:
    """Train what is missing and test it; raises what training and evaluation raise.

    Raises:
        StoreError: another process is at this run, or the store is not what it was any more.
    """
    lock = WriterLock(job.run / _LOCK)
    try:
        _refuse_other_stores(job)
        if not is_finished(job):
            report = train(
                job.store,
                model_task(job.recipe),
                job.recipe.model,
                job.recipe.train,
                job.run,
                second=job.recipe.second_store(),
                device=job.device,
                progress=progress,
                # Asked before it: what is committed meanwhile is not the code of this sitting.
                code=code_commit(),
            )
            if not report.finished:
                raise InputError(f"{job.run} was stopped early. Run the same command again.")
            write_recipe(job.run, job.recipe, job.store, report.codes)
        _refuse_other_stores(job)
        for shown in job.shown:
            scored(job.run, job.store, job.split, shown, device=job.device, progress=progress)
    finally:
        lock.release()


def result_of(job: Job, shown: EvidenceOf) -> Scored | None:
    """Return the test of a finished run, or None where there is none yet.

    Raises:
        InputError: the folder holds another run.
    """
    if not is_finished(job):
        return None
    return kept_score(job.run, job.fingerprints[job.store], job.split, shown)


def is_finished(job: Job) -> bool:
    """Return whether the run is there and done.

    The code version and the libraries that it was trained by are not asked for here: what is
    finished is taken as it is, and the table names them.

    Raises:
        InputError: the folder holds a run of another description.
    """
    if not (job.run / DESCRIPTION).is_file():
        return False
    if differ := _differences(job, read_run(job.run)):
        built = " Or build the store as it was." if "store" in differ else ""
        raise InputError(
            f"{job.run} holds another run: {', '.join(differ[:6])} differ. Choose another --out "
            f"folder (or --keep, if it is there), or delete that run.{built}"
        )
    return (job.run / RECIPE_FILE).is_file()


def _refuse_other_stores(job: Job) -> None:
    """Refuse stores that were built anew since the grid was made: its runs are in one table.

    Raises:
        StoreMismatch: one was.
    """
    for store, was in job.fingerprints.items():
        found = read_manifest(store).fingerprint
        if was and found != was:
            raise StoreMismatch(
                f"{store} was built anew while systems were compared on it: its fingerprint was "
                f"{was[:_SHOWN]} and is {found[:_SHOWN]}. Build it as it was, or compare on the "
                "new one with another --out."
            )


def _differences(job: Job, there: Run) -> list[str]:
    second = None if there.second is None else there.second.store
    mismatch = mismatch_of(job.recipe.model, job.recipe.train)
    return [
        *_differing("model.", job.recipe.model.model_dump(), there.model.model_dump()),
        *([] if _same_encoder(job, there) else ["model.text_encoder"]),
        *_differing("train.", job.recipe.train.model_dump(), there.train.model_dump()),
        *(["mismatch_beside"] if there.mismatch_beside != (mismatch > 0) else []),
        *(["task"] if there.task != model_task(job.recipe) else []),
        *(["store"] if there.store != job.fingerprints[job.store] else []),
        *(["partner_store"] if second != _second_store(job) else []),
    ]


def _second_store(job: Job) -> str | None:
    """Return the fingerprint of the store of the other task; None for a system that reads none."""
    second = job.recipe.second_store()
    return None if second is None else job.fingerprints[second]


def _same_encoder(job: Job, there: Run) -> bool:
    ours = identity_of(job.recipe.model.text_encoder)
    return ours.is_same(EncoderIdentity(there.model.text_encoder, there.encoder))


def _differing(prefix: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Sequence[str]:
    """Return which settings differ, but for those of cost alone and the encoder's place."""
    left = (key for key in ours if key not in (*COST_ONLY, "text_encoder"))
    return [f"{prefix}{key}" for key in left if ours[key] != theirs[key]]
