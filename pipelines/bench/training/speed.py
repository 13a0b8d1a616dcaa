"""What a device could compute, and what the network must."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch

from model.batch import Batch
from model.encoders import TextEncoder

# Large enough to saturate the device, small enough to be quick.
_SIDE: Final = {"cpu": 1536, "cuda": 8192}
_REPEATS: Final = 5


def finish(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return operations per second of a large matrix product, the best of a few."""
    side = _SIDE[device.type]
    left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    seconds = []
    for _ in range(_REPEATS):
        finish(device)
        began = time.perf_counter()
        left @ right
        finish(device)
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds)


def training_flops(encoder: TextEncoder, batch: Batch) -> float:
    """Return operations of the encoder's forward and backward pass over the real pieces.

    Two for each weight and piece, and in attention four times layers x dim x length for each
    piece; the backward pass is twice that (Kaplan et al. 2020). Padding counts for nothing.
    """
    weights = sum(p.numel() for n, p in encoder.named_parameters() if "embeddings" not in n)
    layers = int(encoder.config.num_hidden_layers)
    return sum(
        3 * length * (2 * weights + 4 * layers * encoder.dim * length)
        for length in _lengths(batch)
    )


def kept_bytes(encoder: TextEncoder, pieces: int, longest: int) -> int:
    """Return about how much memory a step keeps for its backward pass, in float32.

    For each piece and layer: its state at nine places, twice four times as wide inside the
    feed-forward part, and a row of attention in each head.
    """
    heads = int(encoder.config.num_attention_heads)
    each = 17 * encoder.dim + heads * longest
    return 4 * pieces * int(encoder.config.num_hidden_layers) * each


def free_bytes() -> int | None:
    """Return how much memory this machine could still give; None where it does not say."""
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    lines = dict(line.split(":", 1) for line in path.read_text(encoding="ascii").splitlines())
    return 1024 * int(lines["MemAvailable"].split()[0])


def _lengths(batch: Batch) -> Iterator[int]:
    for mask in (batch.mask, *(group.mask for group in batch.groups)):
        yield from mask.sum(dim=1).tolist()
