"""The training loop. A position in it is a step number: resuming is exact, to the bit."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from tqdm import tqdm

from cache.errors import InputError
from cache.writing.lock import WriterLock
from model.build import load_weights, place, text_encoders
from model.data import ExampleSource, Task
from model.device import choose_device
from model.run import CHECKPOINT, WEIGHTS, write_run, write_tensors
from model.scoring.evaluation import Evaluation, evaluate_posts, opened
from model.settings import ModelSettings, TrainSettings
from model.training.beginning import Beginning, Sources, begin
from model.training.checkpoint import Progress, random_states, restore, save_checkpoint
from model.training.journal import Journal, forget_after
from model.training.optimizer import make_optimizer, rate_at, set_rates
from model.training.plan import Plan, mismatch_of
from model.training.ranks import Ranks, joined
from model.training.step import Stepper
from model.training.switches import set_switches
from model.training.trackers import check_tools, open_trackers

__all__ = ["TrainReport", "make_optimizer", "rate_at", "train"]

_SAVE_EVERY_S: Final = 120.0
_LOCK: Final = "train.lock"
# Dropout differs between processes: the first draws as a process alone does.
_SEED_STEP: Final = 7919


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came out of a training.

    Attributes:
        run: its folder.
        best_f1: on dev, in [0, 1].
        best_epoch: which reached it, from 1; 0 if none was evaluated.
        steps: taken in total, over all sittings.
        finished: False where ``stop_after`` ended it; early stopping is a way to finish.
        seconds: of this sitting.
        posts_per_second: in training, without evaluation, over all processes.
        codes: the commits that took the steps, as they were told, in order.
        first: False in the processes beside the first, which have written nothing.
    """

    run: Path
    best_f1: float
    best_epoch: int
    steps: int
    finished: bool
    seconds: float
    posts_per_second: float
    codes: tuple[str, ...] = ()
    first: bool = True


def train(
    store: Path | str | ExampleSource,
    task: Task,
    model: ModelSettings,
    settings: TrainSettings,
    out: Path | str,
    *,
    second: Path | str | ExampleSource | None = None,
    device: str = "auto",
    progress: bool = False,
    stop_after: int | None = None,
    save_every_s: float = _SAVE_EVERY_S,
    trackers: Sequence[str] = (),
    code: str = "",
) -> TrainReport:
    """Train on ``store`` and write the run folder ``out``; an unfinished run there is continued.

    Started by ``torchrun``, the processes take each step together and the first one writes; the
    folder must be one that all of them see.

    Args:
        store: folder of a store, or an open reader.
        task: entities or relations.
        model: the network.
        settings: the training.
        out: run folder.
        second: a store of the other task, for a system that does both.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show bars where the output is a terminal.
        stop_after: end after this many steps in total, with a checkpoint to go on from.
        save_every_s: seconds between checkpoints.
        trackers: tools of `model.training.trackers` that are shown figures.
        code: the commit of the code that is running, to be told in the report.

    Raises:
        InputError: store, settings or folder do not allow it; the message says what to do.
        StoreError: the store cannot be used, or another process trains in that folder.
        RamieError: a step failed (not finite, out of memory), or another process did.
    """
    folder = Path(out)
    check_tools(trackers)
    with joined(choose_device(device).type == "cuda") as ranks, _alone(folder, ranks):
        progress = progress and ranks.first
        with ranks.together():
            target = choose_device(device, ranks.local_rank if ranks.count > 1 else None)
            with opened(store) as first, _opened_if_any(second) as other:
                sources = Sources(first, task, other)
                beginning = begin(
                    sources, model, settings, folder, ranks=ranks, device=target, progress=progress
                )
            place(beginning.parts, target)
            for encoder in text_encoders(beginning.parts.network):
                set_switches(encoder, settings, target)
            training = _Training(beginning, folder, target, ranks, code)
            if ranks.first:  # nothing is refused any more
                write_run(folder, beginning.parts.run)
        return training.run(progress, stop_after, save_every_s, trackers)


@contextmanager
def _alone(folder: Path, ranks: Ranks) -> Iterator[None]:
    """Hold the right to write into the run folder: the first process does, for all of them."""
    lock: WriterLock | None = None
    with ranks.together():
        if ranks.first:
            lock = WriterLock(folder / _LOCK)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
            with suppress(OSError):  # what was refused leaves no empty folder
                folder.rmdir()


class _Training:
    """One training, as one of its processes does it."""

    def __init__(
        self,
        beginning: Beginning,
        folder: Path,
        device: torch.device,
        ranks: Ranks,
        code: str,
    ) -> None:
        parts = self.parts = beginning.parts
        self.dev, self.folder = beginning.dev, folder
        self.device, self.ranks, self.code = device, ranks, code
        self.settings = parts.run.train
        self.optimizer = make_optimizer(parts.network, self.settings)
        mismatch = mismatch_of(parts.run.model, self.settings)
        self.plan = Plan(beginning.train, parts.collator, self.settings, mismatch)
        self.state = Progress()
        self.journal = Journal(folder, ())

    def run(
        self,
        progress: bool,
        stop_after: int | None,
        save_every_s: float,
        trackers: Sequence[str],
    ) -> TrainReport:
        """Train to the end, or to ``stop_after`` steps."""
        torch.manual_seed(self.settings.seed + _SEED_STEP * self.ranks.rank)
        with self.ranks.together():
            self._resume()
        with self.ranks.together():
            self._check_position()
            if self.ranks.first:
                settings = self.parts.run.model_dump(mode="json")
                opened = open_trackers(trackers, self.folder, self.state.step, settings)
                self.journal = Journal(self.folder, opened)
        try:
            return self._run(progress, stop_after, save_every_s)
        finally:
            self.journal.close()

    def _run(self, progress: bool, stop_after: int | None, save_every_s: float) -> TrainReport:
        stepper = Stepper(
            self.parts.network,
            self.optimizer,
            self.settings,
            self.device,
            bfloat16=self.parts.run.precision == "bfloat16",
            ranks=self.ranks,
        )
        self.parts.network.train()
        began, trained, posts_seen = time.monotonic(), 0.0, 0
        saved, begun_at = began, self.state.step
        last = self.plan.total if stop_after is None else min(stop_after, self.plan.total)
        bar = tqdm(
            total=self.plan.total,
            initial=self.state.step,
            desc="train",
            unit="step",
            disable=None if progress else True,
        )
        with bar:
            while self.state.step < last and not self._stops_early():
                started = time.monotonic()
                posts_seen += self._step(stepper)
                trained += time.monotonic() - started
                bar.update()
                rate, best = posts_seen / trained, False
                loss = self.state.mean_loss  # an evaluation begins a new mean
                if self._has_dev_after(self.state.step):
                    best = self._end_epoch(progress, rate)
                    if progress and bar.disable:
                        seconds = (time.monotonic() - began) / (self.state.step - begun_at)
                        self._say(loss, rate, seconds)
                bar.set_postfix_str(self._figures(loss, rate), refresh=False)
                # Best weights and the position that knows of them belong together: steps that are
                # taken again, after a kill, by other processes or on a GPU, may go another way.
                if self._is_due(best or time.monotonic() - saved > save_every_s):
                    self._save()
                    saved = time.monotonic()
        if posts_seen:
            self._save()
        return TrainReport(
            run=self.folder,
            best_f1=self.state.best_f1,
            best_epoch=self.state.best_epoch,
            steps=self.state.step,
            finished=self.state.step == self.plan.total or self._stops_early(),
            seconds=time.monotonic() - began,
            posts_per_second=posts_seen / trained if trained else 0.0,
            codes=self.state.codes,
            first=self.ranks.first,
        )

    def _step(self, stepper: Stepper) -> int:
        """Take one step; return how many posts it saw, over all processes."""
        step = self.state.step
        share = set_rates(self.optimizer, step, self.plan.total, self.settings.warmup)
        posts = len(self.plan.turns(step))
        loss = stepper.take(self.plan.parts(step, self.ranks), posts, step + 1)
        self.state = self.state.after_step(loss, self.code)
        self.journal.figures(self.state.step, {"train/loss": loss, "train/rate": share})
        return posts

    def _has_dev_after(self, step: int) -> bool:
        """Return whether an epoch ends here that is evaluated; the last one is."""
        epoch, place = divmod(step, self.plan.steps_per_epoch)
        last = step == self.plan.total
        return not place and (last or epoch % self.settings.evaluate_every == 0)

    def _stops_early(self) -> bool:
        """Return whether an epoch has been evaluated that was the last to wait for."""
        waited = self.state.step // self.plan.steps_per_epoch - self.state.best_epoch
        long_enough = bool(self.settings.patience) and waited >= self.settings.patience
        return long_enough and self._has_dev_after(self.state.step)

    def _end_epoch(self, progress: bool, rate: float) -> bool:
        """Evaluate in the first process; keep the weights, and return True, if they are the best.

        Of two tasks, the mean of their F1 decides.
        """
        epoch = self.state.step // self.plan.steps_per_epoch
        evaluations: list[Evaluation] = []
        with self.ranks.together():
            if self.ranks.first:
                evaluations = [
                    evaluate_posts(
                        view,
                        posts,
                        "dev",
                        self.settings.evidence,
                        device=self.device,
                        progress=progress,
                    )
                    for view, posts in self.dev
                ]
        mean = sum(evaluation.f1 for evaluation in evaluations) / len(self.dev)
        (f1,) = self.ranks.totals([mean])
        is_best = f1 > self.state.best_f1 or not self.state.best_epoch
        if is_best:
            self.state = self.state.after_best(f1, epoch)
        if evaluations:
            self._write_epoch(epoch, f1, evaluations, is_best, rate)
        self.state = self.state.after_epoch(f1)
        return is_best

    def _write_epoch(
        self, epoch: int, f1: float, evaluations: list[Evaluation], is_best: bool, rate: float
    ) -> None:
        by_task = {f"dev_f1_{found.task}": found.f1 for found in evaluations}
        if is_best:
            write_tensors(self.folder / WEIGHTS, dict(self.parts.network.state_dict()))
        self.journal.epoch(
            {
                "step": self.state.step,
                "epoch": epoch,
                "train_loss": self.state.mean_loss,
                "dev_f1": f1,
                "best_f1": self.state.best_f1,
                "unseen_labels": {k: n for e in evaluations for k, n in e.unseen_labels.items()},
                **(by_task if len(by_task) > 1 else {}),
            }
        )
        figures = {
            "train/mean_loss": self.state.mean_loss,
            "train/posts_per_second": rate,
            "dev/f1": f1,
            "dev/best_f1": self.state.best_f1,
        }
        self.journal.figures(self.state.step, figures)

    def _figures(self, loss: float, rate: float) -> str:
        """Return what the bar and the lines of a log file say; before an evaluation, no F1."""
        dev = f"{100 * self.state.dev_f1:.1f}" if self.state.best_epoch else "-"
        return f"loss {loss:.3f}, dev F1 {dev}, {rate:.0f} posts/s"

    def _say(self, loss: float, rate: float, seconds_per_step: float) -> None:
        """Say where it stands, after an evaluation: in a log file no bar can be shown."""
        step, total = self.state.step, self.plan.total
        left = tqdm.format_interval((total - step) * seconds_per_step)
        tqdm.write(
            f"train: step {step} of {total}, epoch {step // self.plan.steps_per_epoch}, "
            f"{self._figures(loss, rate)}, {left} left",
            file=sys.stderr,
        )

    def _is_due(self, mine: bool) -> bool:
        """Return what the clock of the first process says, in all."""
        return bool(self.ranks.totals([float(mine and self.ranks.first)])[0])

    def _save(self) -> None:
        states = random_states(self.device, self.ranks)
        with self.ranks.together():
            if self.ranks.first:
                save_checkpoint(
                    self.folder / CHECKPOINT,
                    self.parts.network,
                    self.optimizer,
                    self.state,
                    self.parts.run,
                    states,
                )

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if path.exists():
            weights, self.state = restore(
                path, self.parts.run, self.optimizer, self.device, self.ranks.rank
            )
            load_weights(self.parts.network, weights, path)
        if self.ranks.first:
            forget_after(self.folder, self.state.step)

    def _check_position(self) -> None:
        (steps,) = self.ranks.totals([float(self.state.step)])
        if steps != self.ranks.count * self.state.step:
            raise InputError(
                f"the processes do not read the same {self.folder / CHECKPOINT}; choose an --out "
                "folder on a disk that all machines share."
            )


def _opened_if_any(
    store: Path | str | ExampleSource | None,
) -> AbstractContextManager[ExampleSource | None]:
    return nullcontext() if store is None else opened(store)
