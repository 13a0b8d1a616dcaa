"""The processes of one training: started by ``torchrun``, they take each step together.

Gradients are averaged by torch's `DistributedDataParallel`, over NCCL on GPUs and gloo on CPUs.
The little that is said beside (counts, failures, random states) goes over gloo as plain numbers
and bytes, never as pickled objects.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from types import FrameType
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cache.errors import InputError, RamieError

# The others wait this long for the first one while it evaluates; a process that ends is noticed
# at once, by its closed connections.
_PATIENCE: Final = timedelta(hours=2)

_AGAIN: Final = "Run the same command again: it goes on from the last checkpoint."


class EndedElsewhere(RamieError):
    """Another process said what is wrong; this one only ends with it."""


class Ranks:
    """The processes of one training, as one of them sees them. Alone, everything is local.

    Attributes:
        rank: of this process, from 0; the first one writes, evaluates and speaks.
        count: how many there are.
        local_rank: of this process among those on its machine, from 0.
    """

    def __init__(self, rank: int = 0, count: int = 1, local_rank: int = 0) -> None:
        self.rank, self.count, self.local_rank = rank, count, local_rank

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, evaluates and speaks."""
        return self.rank == 0

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return the network as it is called in training: its gradients are means over ranks."""
        if self.count == 1:
            return network
        with self._talking():
            # Posts without evidence leave parts of the network unused, in one process or in all.
            wrapped = DistributedDataParallel(
                network, find_unused_parameters=True, gradient_as_bucket_view=True
            )
            # Nothing changes buffers; and a forward pass that waits for the others could wait
            # forever for one that failed.
            wrapped.broadcast_buffers = False
        return wrapped

    def without_talking(self, network: nn.Module) -> AbstractContextManager[None]:
        """Return the context of a backward pass whose gradients only this process adds up."""
        if isinstance(network, DistributedDataParallel):
            context: AbstractContextManager[None] = network.no_sync()
            return context
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Compute gradients, and average them over all processes."""
        with self._talking():
            loss.backward()  # type: ignore[no-untyped-call]

    def totals(self, values: Sequence[float]) -> list[float]:
        """Return the sum of each value over all processes, in double precision."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(list(values), dtype=torch.float64)
        with self._talking():
            dist.all_reduce(sums)
        totals: list[float] = sums.tolist()
        return totals

    def of_all(self, values: Tensor) -> list[Tensor]:
        """Return the ``values`` (bytes, of the same shape everywhere) of each process."""
        if self.count == 1:
            return [values]
        found = [torch.empty_like(values) for _ in range(self.count)]
        with self._talking():
            dist.all_gather(found, values)
        return found

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do something in every process; what fails in one of them ends all.

        Raises:
            RamieError: in the first process, what went wrong in any.
            EndedElsewhere: in the others.
        """
        if self.count == 1:
            yield
            return
        failure: RamieError | None = None
        try:
            yield
        except RamieError as error:
            failure = error
        messages = self._messages("" if failure is None else str(failure))
        if not any(messages):
            return
        if not self.first:
            self._let_the_first_speak()
            raise EndedElsewhere("the first process says what is wrong.") from failure
        if failure is not None:
            raise failure
        which = next(rank for rank, message in enumerate(messages) if message)
        raise RamieError(f"process {which + 1} of {self.count}: {messages[which]}")

    @staticmethod
    def _let_the_first_speak() -> None:
        """Wait until the first process is gone: torchrun ends the others when one has ended."""
        with suppress(RuntimeError):
            dist.recv(torch.empty(1), src=0)

    def _messages(self, mine: str) -> list[str]:
        data = mine.encode()[:10_000]
        lengths = [int(length) for length in self.of_all(torch.tensor([len(data)]))]
        if not any(lengths):
            return [""] * self.count
        padded = torch.tensor(list(data.ljust(max(lengths), b"\0")), dtype=torch.uint8)
        return [
            bytes(found[:length].tolist()).decode(errors="replace")
            for found, length in zip(self.of_all(padded), lengths, strict=True)
        ]

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if self.count > 1 and _is_lost(error):
                raise RamieError(
                    "another process of this training ended, so this one cannot go on; its own "
                    f"message says why. {_AGAIN}"
                ) from error
            raise


def _is_lost(error: RuntimeError) -> bool:
    """Return whether the other side of a connection went away."""
    text = str(error)
    lost = ("gloo", "Connection closed", "Connection reset", "Broken pipe", "NCCL", "Socket")
    return isinstance(error, dist.DistError) or any(word in text for word in lost)


@contextmanager
def joined(cuda: bool) -> Iterator[Ranks]:
    """Meet the other processes that ``torchrun`` started; without it, this process is alone.

    Args:
        cuda: whether gradients are on GPUs.

    Raises:
        InputError: the environment is not what torchrun sets, or the others cannot be met.
    """
    rank, count, local_rank = _whole("RANK", 0), _whole("WORLD_SIZE", 1), _whole("LOCAL_RANK", 0)
    if count == 1:
        yield Ranks()
        return
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"process {rank + 1} of {count} cannot meet the others: {error}. Start all of them "
            "with torchrun, e.g. torchrun --nproc-per-node 2 -m pipelines.cli train RECIPE."
        ) from error
    try:
        with _told_to_end():
            yield Ranks(rank, count, local_rank)
    finally:
        dist.destroy_process_group()


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Say why this process ends where torchrun ends it.

    Torchrun notices within a tenth of a second that a process ended, which may be before this one
    has anything to say to it.
    """
    if threading.current_thread() is not threading.main_thread():  # no place for signal handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, _told)
    try:
        yield
    except BaseException as error:
        # It ends anyway, and has to say why: torchrun kills it only after half a minute.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not isinstance(error, _Told):
            raise
        raise RamieError(
            "torchrun told this process to end (SIGTERM), because another process of this "
            f"training ended, whose message says why, or because torchrun was stopped. {_AGAIN}"
        ) from None
    signal.signal(signal.SIGTERM, before)


class _Told(BaseException):
    """SIGTERM came; as Ctrl-C, nothing that goes on after errors may go on after it."""


def _told(_number: int, _frame: FrameType | None) -> None:
    raise _Told


def _whole(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise InputError(
            f"the environment says {name}={text!r}, which is no number; unset it, or start with "
            "torchrun."
        )
    return int(text)
