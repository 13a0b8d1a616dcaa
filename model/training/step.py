"""One step of training: a global batch, taken in parts by processes and one after the other.

The losses of all parts are divided by the counts of the whole batch (the task's by its posts, the
consistency's by its evidence items), so that the step is the same however it is divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cache.errors import RamieError
from cache.records import STREAMS
from model.batch import Batch
from model.device import autocast
from model.network import Extractor, Losses
from model.settings import TrainSettings
from model.training.ranks import Ranks


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some posts of a global batch; with ``counts`` False they only stand in for none."""

    batch: Batch
    counts: bool = True


class Stepper:
    """Takes steps with one network and optimizer, together with the other processes."""

    def __init__(
        self,
        network: Extractor,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        device: torch.device,
        *,
        bfloat16: bool,
        ranks: Ranks,
    ) -> None:
        self.called = ranks.wrapped(network)
        self.network, self.optimizer, self.settings = network, optimizer, settings
        self.device, self.bfloat16, self.ranks = device, bfloat16, ranks

    def take(self, parts: Sequence[Part], posts: int, step: int) -> float:
        """Take one step; return the task's loss of the whole global batch.

        Args:
            parts: this process's part of the global batch, at least one.
            posts: in the global batch.
            step: its number, from 1, for messages.

        Raises:
            RamieError: loss or gradient are not finite, or there is too little memory; the
                message names the posts or the size of the batch.
        """
        items = self.ranks.totals([float(sum(_num_items(p.batch) for p in parts if p.counts))])[0]
        self.optimizer.zero_grad(set_to_none=True)
        task = 0.0
        with self.ranks.together():
            for part in parts[:-1]:
                with self.ranks.without_talking(self.called), enough_memory(part.batch):
                    loss, part_task = self._forward(part, posts, items, step)
                    loss.backward()  # type: ignore[no-untyped-call]
                task += part_task
            with enough_memory(parts[-1].batch):
                loss, part_task = self._forward(parts[-1], posts, items, step)
            task += part_task
        with enough_memory(parts[-1].batch):
            self.ranks.backward(loss)
        with self.ranks.together(), enough_memory(parts[-1].batch):
            self._clip(parts, step)
            # The first time it makes room for two more copies of all weights.
            self.optimizer.step()
        return self.ranks.totals([task])[0]

    def _forward(self, part: Part, posts: int, items: float, step: int) -> tuple[Tensor, float]:
        """Return the part's share of the loss, ready for backward, and of the task's loss."""
        with autocast(self.device, self.bfloat16):
            losses: Losses = self.called(part.batch.to(self.device))
        task = losses.task * (len(part.batch.posts) / posts)
        loss = task
        if losses.consistency is not None:
            consistency = losses.consistency * (losses.judged / items if items else 0.0)
            loss = loss + self.settings.consistency_weight * consistency
        check_finite(f"step {step} has a loss", loss, _ids(part.batch))
        if not part.counts:
            loss, task = 0.0 * loss, 0.0 * task
        # Gradients are averaged over processes, but the losses of all parts are to be added up.
        return loss * self.ranks.count, task.item()

    def _clip(self, parts: Sequence[Part], step: int) -> None:
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.max_grad_norm)
        ids = [name for part in parts for name in _ids(part.batch)]
        check_finite(f"step {step} has a gradient", norm, ids)


def parts_of_step(indices: Sequence[int], costs: Sequence[int], count: int) -> list[list[int]]:
    """Return ``indices`` in ``count`` parts of similar cost, each in the order it came in.

    The costliest goes first, always to the part that has least so far; a part may be empty. With
    one part nothing is moved.
    """
    if count == 1:
        return [list(indices)]
    loads, parts = [0] * count, [set[int]() for _ in range(count)]
    for at in sorted(range(len(indices)), key=lambda at: (-costs[indices[at]], at)):
        least = min(range(count), key=lambda part: (loads[part], len(parts[part]), part))
        loads[least] += costs[indices[at]]
        parts[least].add(at)
    return [[indices[at] for at in sorted(part)] for part in parts]


def _num_items(batch: Batch) -> int:
    """Return how many retrieved items, over all windows, are shown and so are judged."""
    images = batch.visual_mask & (batch.visual_stream < len(STREAMS))
    return int(batch.text_mask.sum() + images.sum())


def _ids(batch: Batch) -> list[str]:
    """Return the ids of the posts, each once, however often a post is shown."""
    return list(dict.fromkeys(post.example.post.example_id for post in batch.posts))


def check_finite(what: str, figure: Tensor, ids: Sequence[str]) -> None:
    """Refuse to go on with a figure that is no number.

    Args:
        what: has it, as "step 3 has a loss".
        figure: a scalar.
        ids: of all posts that it was computed from.

    Raises:
        RamieError: it is infinite or NaN; the message names the posts.
    """
    if not torch.isfinite(figure):
        raise RamieError(
            f"{what} that is not finite ({figure.item()}), with the posts {', '.join(ids)}. Look "
            "at these posts, lower train.learning_rate or train.head_learning_rate, or set "
            "train.precision to float32, and run again."
        )


@contextmanager
def enough_memory(batch: Batch, *, in_parts: bool = True) -> Iterator[None]:
    """Name the batch's size and the switches that help where memory ran out.

    Args:
        batch: that is computed.
        in_parts: whether the training knows ``accumulate`` and ``checkpointing``.

    Raises:
        RamieError: memory ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise
        windows, pieces = batch.pieces.shape
        rows = sum(len(group.pieces) for group in batch.groups)
        cheaper = (
            "Set train.accumulate=2 (or more: the same step in parts) or "
            "train.checkpointing=true, which an unfinished run may go on with; or lower"
        )
        longest = max((group.pieces.shape[1] for group in batch.groups), default=0)
        raise RamieError(
            f"out of memory with {len(_ids(batch))} posts ({windows} windows of {pieces} pieces) "
            f"and {rows} evidence texts (up to {longest} pieces). "
            f"{cheaper if in_parts else 'Lower'} train.batch_size, model.max_evidence or "
            "model.max_evidence_pieces."
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    # On CPU, and where cuBLAS finds no room of its own, torch has no class for it.
    said = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in said)
