"""Where models run, how many rows at a time, and how long: for the detector and the encoder."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

import torch
from torch import Tensor

from cache.errors import InputError
from retrieval.settings import ObserveSettings

Item = TypeVar("Item")

# On two cores, more rows than these are no faster in any model, and slower in a detector.
_CPU_ROWS: Final = 8
_MOST_ROWS: Final = 256
# Batches that are prepared side by side for a GPU, which is faster than one thread is.
_MOST_AHEAD: Final = 8
_CPU: Final = torch.device("cpu")
_DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

_log = logging.getLogger(__name__)


def pick_device(name: str | None = None, backend: str = "torch") -> torch.device:
    """Return the device called ``name``; without a name CUDA where there is one, else the CPU.

    Raises:
        InputError: ``backend`` does not run there.
    """
    if backend == "torch":
        return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    if torch.device(name or "cpu").type != "cpu":
        raise InputError(
            f"backend {backend} runs on the CPU, not on {name}. Set observe.backend=torch."
        )
    return _CPU


def pick_dtype(settings: ObserveSettings, device: torch.device) -> torch.dtype:
    """Return the type of weights; it decides what comes out, so it is never another one.

    Raises:
        InputError: ``device`` cannot compute in it.
    """
    if settings.dtype == "float16" and device.type == "cpu":
        raise InputError(
            "observe.dtype=float16 is for CUDA. Set observe.dtype=float32, or bfloat16 on a CPU "
            "that has it."
        )
    if settings.dtype == "bfloat16" and device.type == "cpu" and not cpu_has_bfloat16():
        _log.warning("this CPU has no bfloat16 of its own: float32 would be faster here")
    return _DTYPES[settings.dtype]


def cpu_has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 in hardware; True where torch cannot tell."""
    tell = getattr(torch.cpu, "get_capabilities", None)
    return tell is None or any(able for name, able in tell().items() if "bf16" in name)


class ForwardClock:
    """Adds up the wall time inside forward passes, at most ``streams`` of which run at a time.

    Attributes:
        seconds: so far; of each pass the part that its stream is of all. So passes that had no
            company count for less than they took: the sum is what all of them take at best.
    """

    def __init__(self, device: torch.device, streams: int = 1) -> None:
        self.seconds = 0.0
        self._device = device
        self._streams = streams
        self._turns = threading.BoundedSemaphore(streams)
        self._adding = threading.Lock()

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Run a forward pass, without gradients, and count its time."""
        with self._turns:
            self._wait()
            start = time.perf_counter()
            try:
                with torch.inference_mode():
                    yield
                self._wait()
            finally:
                took = time.perf_counter() - start
                with self._adding:
                    self.seconds += took / self._streams

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def padded_batches(
    items: Sequence[Item],
    prepare: Callable[[Sequence[Item]], Tensor],
    batch_size: int,
    device: torch.device = _CPU,
) -> Iterator[tuple[Tensor, int]]:
    """Yield ``(batch, num_real)``; a batch always has ``batch_size`` rows, zeros at its end.

    A kernel may sum in another order for another batch size, so all batches have the same one:
    what comes out for an item then does not depend on how many items came with it. The next
    batches are prepared, and moved to ``device``, while the caller works on this one.
    """
    chunks = _chunks(items, batch_size)
    ahead = 1 if device.type == "cpu" else min(os.cpu_count() or 1, _MOST_AHEAD)
    with ThreadPoolExecutor(ahead, "prepare") as pool:
        ready = _in_order(
            pool, lambda chunk: _moved(_padded(prepare(chunk), batch_size), device), chunks, ahead
        )
        for rows, chunk in zip(ready, chunks, strict=True):
            yield rows, len(chunk)


def forwarded(
    items: Sequence[Item],
    prepare: Callable[[Sequence[Item]], Tensor],
    forward: Callable[[Tensor], Tensor],
    batch_size: int,
    device: torch.device = _CPU,
    streams: int = 1,
) -> Iterator[Tensor]:
    """Yield what ``forward`` makes of the items of each of `padded_batches`, in their order.

    Args:
        items: any number.
        prepare: makes a batch of some of them.
        forward: the forward pass.
        batch_size: rows of a batch.
        device: where it runs.
        streams: batches, of a CPU, that are prepared and computed side by side. Cores then wait
            neither for each other nor for what prepares the next batch.
    """
    if streams == 1:
        for batch, num_real in padded_batches(items, prepare, batch_size, device):
            yield forward(batch)[:num_real]
        return
    with ThreadPoolExecutor(streams, "forward") as pool:
        yield from _in_order(
            pool,
            lambda chunk: forward(_padded(prepare(chunk), batch_size))[: len(chunk)],
            _chunks(items, batch_size),
            streams + 1,
        )


def _chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _padded(rows: Tensor, batch_size: int) -> Tensor:
    if len(rows) == batch_size:
        return rows
    return torch.cat([rows, rows.new_zeros((batch_size - len(rows), *rows.shape[1:]))])


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Tensor], items: Sequence[Item], ahead: int
) -> Iterator[Tensor]:
    """Yield what comes of each item; work on at most ``ahead`` is begun before it is asked for."""
    pending = deque(pool.submit(work, item) for item in items[:ahead])
    for index in range(len(items)):
        done = pending.popleft().result()
        if index + ahead < len(items):
            pending.append(pool.submit(work, items[index + ahead]))
        yield done


def _moved(rows: Tensor, device: torch.device) -> Tensor:
    # From pinned memory a GPU copies by itself, while it computes.
    return rows.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else rows


def rows_of_batch(
    settings: ObserveSettings, device: torch.device, forward: Callable[[int], object]
) -> int:
    """Return how many rows a batch has; ``forward`` runs the model on so many."""
    if settings.batch_size:
        return settings.batch_size
    if device.type != "cuda":
        return _CPU_ROWS
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    forward(_CPU_ROWS)
    used = torch.cuda.max_memory_allocated(device) - before
    free, _ = torch.cuda.mem_get_info(device)
    return rows_that_fit(used / _CPU_ROWS, free / 2)


def rows_that_fit(bytes_per_row: float, room: float) -> int:
    """Return the largest power of two of rows, from 8 to 256, that takes at most ``room`` bytes.

    A power of two, so that a little more or less free memory mostly changes nothing.
    """
    rows = _CPU_ROWS
    while rows < _MOST_ROWS and 2 * rows * bytes_per_row <= room:
        rows *= 2
    return rows
