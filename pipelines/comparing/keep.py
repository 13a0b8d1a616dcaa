"""What tables and figures are made of, without the weights: small enough for version control.

Of each finished run: its description, the commit of its code, its learning curve and its tests.
A comparison whose ``--out`` is such a folder takes these runs as finished, on any machine that has
the same stores; what was not tested then cannot be tested without the weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cache.errors import InputError
from cache.files import make_folder
from model.encoder_identity import encoder_name
from model.order import EvidenceOf
from model.run import CHECKPOINT, METRICS, WEIGHTS, read_run, write_atomically, write_run
from pipelines.comparing.compare import Compared, Grid
from pipelines.comparing.curves import MOST_BYTES
from pipelines.comparing.jobs import Job, is_finished, result_of
from pipelines.comparing.scored import keep_score
from pipelines.runs import RECIPE_FILE, commit_of_run


def keep(done: Compared, grid: Grid, folder: Path) -> int:
    """Write the table and what it is made of into ``folder``; return how many runs that are.

    Runs that are kept there already are written again; others in it are left alone.

    Raises:
        InputError: see `refuse_to_keep`.
    """
    refuse_to_keep(grid, folder)
    kept = 0
    for job in grid.jobs():
        shown = tuple(one for one in job.shown if result_of(job, one))
        if shown:
            _keep_run(job, shown, _kept(job, grid, folder))
            kept += 1
    write_atomically(folder / "compare.md", (done.table() + "\n").encode())
    return kept


def refuse_to_keep(grid: Grid, folder: Path) -> None:
    """Refuse a folder in which something else would be lost; to be asked before any training.

    Raises:
        InputError: the folder is the grid's own or has runs with weights, or another run by the
            name of one of these.
    """
    if folder.resolve() == grid.out.resolve():
        raise InputError(f"--keep {folder} is where the runs are. Choose another folder for it.")
    for job in grid.jobs():
        kept = _kept(job, grid, folder)
        if any((kept / name).exists() for name in (WEIGHTS, CHECKPOINT)):
            raise InputError(
                f"{kept} is a run with its weights, over which none is kept. Choose another "
                "folder for --keep."
            )
        is_finished(job.model_copy(update={"run": kept}))  # raises where another run was kept


def _kept(job: Job, grid: Grid, folder: Path) -> Path:
    return folder / job.run.relative_to(grid.out)


def _keep_run(job: Job, tests: Sequence[EvidenceOf], folder: Path) -> None:
    make_folder(folder)
    run = read_run(job.run)
    name = encoder_name(run.model.text_encoder)
    write_run(
        folder,
        run.model_copy(update={"model": run.model.model_copy(update={"text_encoder": name})}),
    )
    if (job.run / METRICS).is_file():
        with (job.run / METRICS).open("rb") as file:
            write_atomically(folder / METRICS, file.read(MOST_BYTES))
    for shown in tests:
        keep_score(job.run, folder, job.split, shown)
    # Last, for it says that a run is finished.
    commit = {"commit": commit_of_run(job.run)}
    write_atomically(folder / RECIPE_FILE, (json.dumps(commit) + "\n").encode())
