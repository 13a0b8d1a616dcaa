"""Where models run, and how long: shared by the detector and the encoder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


def pick_device(name: str | None = None) -> torch.device:
    """Return the device called ``name``; without a name CUDA where there is one, else the CPU."""
    if name is not None:
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class ForwardClock:
    """Adds up the wall time inside forward passes."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._device = device

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Run a forward pass, without gradients, and count its time."""
        self._wait()
        start = time.perf_counter()
        try:
            with torch.inference_mode():
                yield
            self._wait()
        finally:
            self.seconds += time.perf_counter() - start

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def padded_batches(
    items: Sequence[Item], prepare: Callable[[Sequence[Item]], Tensor], batch_size: int
) -> Iterator[tuple[Tensor, int]]:
    """Yield ``(batch, num_real)``; a batch always has ``batch_size`` rows, zeros at its end.

    A kernel may sum in another order for another batch size, so all batches have the same one:
    what comes out for an item then does not depend on how many items came with it. The next
    batch is prepared while the caller works on this one.
    """
    chunks = [items[start : start + batch_size] for start in range(0, len(items), batch_size)]
    if not chunks:
        return
    with ThreadPoolExecutor(max_workers=1) as ahead:
        pending = ahead.submit(prepare, chunks[0])
        for index, chunk in enumerate(chunks):
            rows = pending.result()
            if index + 1 < len(chunks):
                pending = ahead.submit(prepare, chunks[index + 1])
            if len(chunk) < batch_size:
                padding = rows.new_zeros((batch_size - len(chunk), *rows.shape[1:]))
                rows = torch.cat([rows, padding])
            yield rows, len(chunk)
