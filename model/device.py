"""Where and how precisely to compute: found out from the machine, the same code everywhere."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

from cache.errors import InputError

Precision = Literal["auto", "float32", "bfloat16"]


def choose_device(name: str = "auto", local_rank: int | None = None) -> torch.device:
    """Return the device of that name; ``auto`` is CUDA where there is one.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:NUMBER``.
        local_rank: of this process among those on this machine that train together: each has a
            GPU of its own; None where it is alone.

    Raises:
        InputError: no such device on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"{name!r} is no device; use auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("this machine has no CUDA device that torch can use; set device to cpu.")
    if device.type == "cuda" and local_rank is not None:
        found = torch.cuda.device_count()
        if local_rank >= found:
            raise InputError(
                f"torchrun started a process number {local_rank + 1} here, but torch sees {found} "
                f"GPUs; call it with --nproc-per-node {found}, or train with --device cpu."
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    return device


def resolved(precision: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return what ``precision`` is on this device; ``auto`` depends on its hardware."""
    return "bfloat16" if uses_bfloat16(precision, device) else "float32"


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Return whether to compute in bfloat16: as asked, or where the device has it in hardware."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Without AVX512-BF16, autocast on CPU is slower than float32.
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device, bfloat16: bool) -> AbstractContextManager[None]:
    """Return the context in which the network is run."""
    context: AbstractContextManager[None] = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=bfloat16
    )
    return context
