"""The training loop. A position in it is a step number: resuming is exact, to the bit."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from tqdm import tqdm

from cache.errors import InputError, RamieError
from model.build import Parts, load_weights, new_parts, place
from model.checkpoint import Progress, restore, save_checkpoint
from model.collate import Shown
from model.data import ExampleSource, PreparedPost, Task, label_set, read_split
from model.device import autocast, choose_device, uses_bfloat16
from model.evaluation import evaluate_posts, opened
from model.order import batches_of_epoch, shown_evidence, with_mismatch
from model.run import (
    CHECKPOINT,
    DESCRIPTION,
    METRICS,
    WEIGHTS,
    Run,
    code_version,
    library_versions,
    read_run,
    read_tensors,
    write_atomically,
    write_run,
    write_tensors,
)
from model.settings import ModelSettings, TrainSettings

_SAVE_EVERY_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came out of a training.

    Attributes:
        run: its folder.
        best_f1: on dev, in [0, 1].
        best_epoch: which reached it, from 1; 0 if none was finished.
        steps: taken in total, over all sittings.
        finished: False where ``stop_after`` ended it.
        seconds: of this sitting.
        posts_per_second: in training, without evaluation.
    """

    run: Path
    best_f1: float
    best_epoch: int
    steps: int
    finished: bool
    seconds: float
    posts_per_second: float


def train(
    store: Path | str | ExampleSource,
    task: Task,
    model: ModelSettings,
    settings: TrainSettings,
    out: Path | str,
    *,
    device: str = "auto",
    progress: bool = False,
    stop_after: int | None = None,
) -> TrainReport:
    """Train on ``store`` and write the run folder ``out``; an unfinished run there is continued.

    Args:
        store: folder of a store, or an open reader.
        task: entities or relations.
        model: the network.
        settings: the training.
        out: run folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show bars where the output is a terminal.
        stop_after: end after this many steps in total, with a checkpoint to go on from.

    Raises:
        InputError: store, settings or folder do not allow it; the message says what to do.
        StoreError: the store cannot be used.
    """
    folder = Path(out)
    target = choose_device(device)
    with opened(store) as source:
        parts, splits = _begin(source, task, model, settings, folder, progress)
    place(parts, target)
    return _Training(parts, splits["train"], splits["dev"], folder, target).run(
        progress=progress, stop_after=stop_after
    )


def _begin(
    source: ExampleSource,
    task: Task,
    model: ModelSettings,
    settings: TrainSettings,
    folder: Path,
    progress: bool,
) -> tuple[Parts, dict[str, list[PreparedPost]]]:
    read = {split: read_split(source, split) for split in ("train", "dev")}
    manifest: Any = getattr(source, "manifest", None)
    run = Run(
        task=task,
        labels=label_set((post.example for post in read["train"]), task),
        visual_dim=(manifest.embedding_dim or 0) if manifest is not None else 0,
        store=manifest.fingerprint if manifest is not None else "",
        model=model,
        train=settings,
        code_version=code_version(),
        libraries=library_versions(),
    )
    _check_same(folder, run)
    parts = new_parts(run, folder)
    write_run(folder, run)
    posts = [(split, post) for split, all_posts in read.items() for post in all_posts]
    prepared: dict[str, list[PreparedPost]] = {split: [] for split in read}
    for split, post in tqdm(posts, "tokenise", unit="post", disable=None if progress else True):
        prepared[split].append(parts.preparer.prepare(post))
    return parts, prepared


def _check_same(folder: Path, run: Run) -> None:
    """Refuse to continue another training.

    Raises:
        InputError: the folder holds a run with another description.
    """
    if not (folder / DESCRIPTION).exists():
        return
    theirs, ours = read_run(folder).model_dump(mode="json"), run.model_dump(mode="json")
    differ = sorted(_differing(ours, theirs))
    if differ:
        raise InputError(
            f"{folder} holds another run: {', '.join(differ[:6])} differ. "
            "Choose another --out folder, or delete that one."
        )


def _differing(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted({*ours, *theirs}):
        one, other = ours.get(key), theirs.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differing(one, other, f"{prefix}{key}.")
        elif one != other:
            yield f"{prefix}{key}"


def make_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """Return AdamW with one group for the text encoder and one for what starts from random."""
    named = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    encoder = [p for name, p in named if name.startswith("encoder.")]
    fresh = [p for name, p in named if not name.startswith("encoder.")]
    groups = [
        {"params": encoder, "lr": settings.learning_rate, "peak": settings.learning_rate},
        {"params": fresh, "lr": settings.head_learning_rate, "peak": settings.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    # The authors' code trains with classifier and attentions outside of the optimizer.
    assert sorted(held) == sorted(id(p) for _, p in named), "a parameter is not in one group"
    return optimizer


def rate_at(step: int, total: int, warmup: float) -> float:
    """Return the share of the peak rate at ``step``: linear up, then linear down to zero."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (total - step) / max(1, total - rise))


class _Training:
    """One training on one device."""

    def __init__(
        self,
        parts: Parts,
        posts: list[PreparedPost],
        dev: list[PreparedPost],
        folder: Path,
        device: torch.device,
    ) -> None:
        self.parts, self.posts, self.dev = parts, posts, dev
        self.folder, self.device = folder, device
        self.settings = parts.run.train
        self.optimizer = make_optimizer(parts.network, self.settings)
        self.bfloat16 = uses_bfloat16(self.settings.precision, device)
        self.state = Progress()
        reads = parts.collator.reads_evidence
        self.costs = [p.cost(joint=parts.collator.joint, reads_evidence=reads) for p in posts]
        self.shown = shown_evidence(posts, self.settings.evidence, self.settings.seed)
        self.steps_per_epoch = -(-len(posts) // self.settings.batch_size)
        self.total = self.steps_per_epoch * self.settings.epochs

    def run(self, *, progress: bool, stop_after: int | None) -> TrainReport:
        """Train to the end, or to ``stop_after`` steps."""
        torch.manual_seed(self.settings.seed)
        self._resume()
        self.parts.network.train()
        began, trained, posts_seen = time.monotonic(), 0.0, 0
        saved = began
        last = self.total if stop_after is None else min(stop_after, self.total)
        bar = tqdm(
            total=self.total,
            initial=self.state.step,
            desc="train",
            unit="step",
            disable=None if progress else True,
        )
        with bar:
            while self.state.step < last:
                started = time.monotonic()
                posts_seen += self._step()
                trained += time.monotonic() - started
                bar.update()
                self._show(bar, posts_seen / trained)
                if self.state.step % self.steps_per_epoch == 0:
                    self._end_epoch(progress)
                if time.monotonic() - saved > _SAVE_EVERY_S:
                    self._save()
                    saved = time.monotonic()
        if posts_seen:
            self._save()
        return TrainReport(
            run=self.folder,
            best_f1=self.state.best_f1,
            best_epoch=self.state.best_epoch,
            steps=self.state.step,
            finished=self.state.step == self.total,
            seconds=time.monotonic() - began,
            posts_per_second=posts_seen / trained if trained else 0.0,
        )

    def _step(self) -> int:
        """Take one step; return how many posts it saw."""
        epoch, place = divmod(self.state.step, self.steps_per_epoch)
        batches, shown = self._epoch(epoch)
        indices = batches[place]
        batch = self.parts.collator([self.posts[i] for i in indices], [shown[i] for i in indices])
        share = rate_at(self.state.step, self.total, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        with autocast(self.device, self.bfloat16):
            losses = self.parts.network(batch.to(self.device))
        loss = losses.task
        if losses.consistency is not None:
            loss = loss + self.settings.consistency_weight * losses.consistency
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(
            self.parts.network.parameters(), self.settings.max_grad_norm
        )
        if not torch.isfinite(norm):
            raise RamieError(
                f"step {self.state.step + 1} has a gradient that is not finite; lower "
                "train.learning_rate or set train.precision to float32, and train again."
            )
        self.optimizer.step()
        self.state = self.state.after_step(float(losses.task.detach()))
        return len(indices)

    def _epoch(self, epoch: int) -> tuple[list[list[int]], list[Shown]]:
        """Return order and evidence of an epoch; remembered, because every step asks."""
        if getattr(self, "_remembered", (None,))[0] != epoch:
            seed = self.settings.seed
            batches = batches_of_epoch(self.costs, self.settings.batch_size, seed, epoch)
            mismatch = self.settings.mismatch if self.parts.collator.reads_evidence else 0.0
            shown = with_mismatch(self.posts, self.shown, mismatch, seed, epoch)
            self._remembered = (epoch, batches, shown)
        return self._remembered[1], self._remembered[2]

    def _end_epoch(self, progress: bool) -> None:
        epoch = self.state.step // self.steps_per_epoch
        evaluation = evaluate_posts(
            self.parts,
            self.dev,
            "dev",
            self.settings.evidence,
            device=self.device,
            progress=progress,
        )
        if evaluation.f1 > self.state.best_f1 or not self.state.best_epoch:
            self.state = self.state.after_best(evaluation.f1, epoch)
            write_tensors(self.folder / WEIGHTS, dict(self.parts.network.state_dict()))
        self._log(
            {
                "step": self.state.step,
                "epoch": epoch,
                "train_loss": self.state.mean_loss,
                "dev_f1": evaluation.f1,
                "best_f1": self.state.best_f1,
                "unseen_labels": evaluation.unseen_labels,
            }
        )
        self.state = self.state.after_epoch(evaluation.f1)

    def _show(self, bar: Any, rate: float) -> None:
        if not bar.disable:
            dev = f"{100 * self.state.dev_f1:.1f}" if self.state.best_epoch else "-"
            text = f"loss {self.state.mean_loss:.3f}, dev F1 {dev}, {rate:.0f} posts/s"
            bar.set_postfix_str(text, refresh=False)

    def _save(self) -> None:
        save_checkpoint(
            self.folder / CHECKPOINT, self.parts.network, self.optimizer, self.state, self.device
        )

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if path.exists():
            tensors, note = read_tensors(path)
            weights, self.state = restore(path, tensors, note, self.optimizer, self.device)
            load_weights(self.parts.network, weights, path)
        self._forget_metrics_after(self.state.step)

    def _log(self, record: dict[str, object]) -> None:
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, sort_keys=True) + "\n")

    def _forget_metrics_after(self, step: int) -> None:
        """Drop lines of steps that will be taken again (the run was killed between two saves)."""
        path = self.folder / METRICS
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 1 << 62  # a line cut by a crash: drop it
