"""Several runs side by side, each in a process of its own with one thread.

A tiny model gains next to nothing from a second thread, so that on few cores runs side by side
finish sooner than one after the other. And a process that dies takes no other run with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

import torch

from cache.errors import InputError, RamieError
from cache.files import make_folder
from pipelines.comparing.jobs import Job, do_job

LOG: Final = "compare.log"
_POLL_S: Final = 0.05
_PATIENCE_S: Final = 20.0
_MOST_SHOWN: Final = 600
_ONE_THREAD: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


class Failure(NamedTuple):
    """A run that came to nothing: why, and where more is said."""

    name: str
    reason: str
    log: Path | None

    def __str__(self) -> str:
        return self.reason + (f" (see {self.log})" if self.log is not None else "")

    def to_json(self) -> dict[str, object]:
        """Return every field by name."""
        log = None if self.log is None else str(self.log)
        return {"run": self.name, "reason": self.reason, "log": log}


Done = Callable[[Job, Failure | None], None]


def check_workers(workers: int) -> None:
    """Refuse a number of workers that would train nothing, and never end.

    Raises:
        InputError: fewer than one.
    """
    if workers < 1:
        raise InputError(f"--workers {workers} would train nothing; give 1 or more.")


def do_jobs(jobs: Sequence[Job], workers: int, done: Done) -> None:
    """Do every job, ``workers`` at a time; one that fails costs no other.

    Args:
        jobs: in the order in which they begin.
        workers: 1 does them here, with all threads and with bars where there is a terminal.
        done: told of each that ended, in the order in which they do.
    """
    check_workers(workers)
    if workers == 1:
        for job in jobs:
            done(job, _here(job))
        return
    waiting = list(jobs)
    running: list[_Worker] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                slot = min(set(range(workers)) - {worker.slot for worker in running})
                _begin(waiting.pop(0), slot, running, done)
            ended = [worker for worker in running if worker.process.poll() is not None]
            for worker in ended:
                running.remove(worker)
                done(worker.job, worker.failure())
            if not ended:
                time.sleep(_POLL_S)
    finally:
        _stop(running)


def environment(slot: int) -> dict[str, str]:
    """Return the environment of the worker in a slot (from 0): one thread, one GPU of several.

    GPUs are dealt out in turn, those that this process may see.
    """
    told = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    count = torch.cuda.device_count()
    if count > 1:
        named = told.get(_VISIBLE)
        gpus = [str(index) for index in range(count)] if named is None else named.split(",")
        told[_VISIBLE] = gpus[slot % count]
    return told


def _begin(job: Job, slot: int, running: list[_Worker], done: Done) -> None:
    """Start a worker; one that cannot be started (a full disk) costs no other."""
    try:
        running.append(_Worker(job, slot))
    except OSError as error:
        done(job, Failure(job.name, str(error), None))


def _here(job: Job) -> Failure | None:
    try:
        do_job(job, progress=True)
    except RamieError as error:
        return Failure(job.name, str(error), None)
    except Exception as error:  # a fault of ours, or a full disk: it costs no other run
        return Failure(job.name, _traced(job, error), job.run / LOG)
    return None


def _traced(job: Job, error: Exception) -> str:
    """Write beside the run where an error came from, as a worker does; return its last line."""
    trace = traceback.format_exception(error)
    with suppress(OSError):
        make_folder(job.run)
        (job.run / LOG).write_text("".join(trace), encoding="utf-8")
    return trace[-1].strip()


class _Worker:
    """A process at work on a job."""

    def __init__(self, job: Job, slot: int) -> None:
        self.job, self.slot = job, slot
        job.run.mkdir(parents=True, exist_ok=True)
        self.log = job.run / LOG
        # Behind what is there: another process may be at this very run, and say something.
        with self.log.open("ab") as log:
            self.began = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.comparing.worker"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(slot),
                # Ctrl-C reaches us alone, and we pass it on: once.
                start_new_session=True,
            )
        self.input: IO[bytes] | None = self.process.stdin
        assert self.input is not None
        with suppress(BrokenPipeError):  # it is dead already, and its log says why
            self.input.write(job.model_dump_json().encode() + b"\n")
            self.input.flush()

    def failure(self) -> Failure | None:
        """Return why the ended process failed, or None."""
        self._close()
        code = self.process.returncode
        if code == 0:
            return None
        with self.log.open("rb") as log:
            log.seek(self.began)
            said = log.read().decode(errors="replace").strip()[-_MOST_SHOWN:]
        last = said.splitlines()[-1] if said else f"the process ended with {code}"
        if code < 0:
            last = f"killed by signal {-code}" + (f"; last it said: {last}" if said else "")
        return Failure(self.job.name, last, self.log)

    def stop(self, how: signal.Signals) -> None:
        """Send a signal to a process that may have ended."""
        if self.process.poll() is None:
            self.process.send_signal(how)

    def wait(self, seconds: float) -> None:
        """Wait for the end, and kill what does not end in time."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.input is not None:
            with suppress(BrokenPipeError):
                self.input.close()
            self.input = None


def _stop(running: Sequence[_Worker]) -> None:
    """Interrupt what still runs and wait for it; what does not end in time is killed."""
    for worker in running:
        worker.stop(signal.SIGINT)
    deadline = time.monotonic() + _PATIENCE_S
    for worker in running:
        worker.wait(deadline - time.monotonic())
