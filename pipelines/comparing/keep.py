"""What tables and figures are made of, without the weights: small enough for version control.

Of each finished run: its description, the commit of its code, its learning curve and its tests.
A comparison whose ``--out`` is such a folder takes these runs as finished, on any machine that has
the same stores.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cache.errors import InputError
from cache.files import make_folder
from model.run import METRICS, read_run, write_atomically, write_run
from pipelines.comparing.compare import Compared, Grid
from pipelines.comparing.jobs import Job, is_finished, result_of
from pipelines.comparing.scored import keep_score
from pipelines.runs import RECIPE_FILE, commit_of_run, encoder_name


def keep(done: Compared, grid: Grid, folder: Path) -> int:
    """Write the table and what it is made of into ``folder``; return how many runs that are.

    Runs that are kept there already are written again; others in it are left alone.

    Raises:
        InputError: the folder is that of the runs themselves, or holds another run by that name.
    """
    if folder.resolve() == grid.out.resolve():
        raise InputError(f"--keep {folder} is where the runs are. Choose another folder.")
    jobs = [one for one in grid.jobs() if all(result_of(one, shown) for shown in one.shown)]
    for job in jobs:
        _keep_run(job, folder / job.run.relative_to(grid.out))
    write_atomically(folder / "compare.md", (done.table() + "\n").encode())
    return len(jobs)


def _keep_run(job: Job, folder: Path) -> None:
    is_finished(job.model_copy(update={"run": folder}))  # raises where another run was kept
    make_folder(folder)
    run = read_run(job.run)
    name = encoder_name(run.model.text_encoder)
    write_run(
        folder,
        run.model_copy(update={"model": run.model.model_copy(update={"text_encoder": name})}),
    )
    commit = {"commit": commit_of_run(job.run)}
    write_atomically(folder / RECIPE_FILE, (json.dumps(commit) + "\n").encode())
    if (job.run / METRICS).is_file():
        shutil.copyfile(job.run / METRICS, folder / METRICS)
    for shown in job.shown:
        keep_score(job.run, folder, job.split, shown)
