"""Fusion systems by name. A system turns word states and evidence into fused word states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cache.errors import InputError
from model.fusion.base import Fusion, FusionSize
from model.fusion.synthesis import Synthesis
from model.fusion.text_only import TextOnly

SYSTEMS: Final[dict[str, Callable[[FusionSize], Fusion]]] = {
    "text_only": TextOnly,
    "synthesis": Synthesis,
}


def make_fusion(name: str, size: FusionSize) -> Fusion:
    """Return a new system.

    Raises:
        InputError: no system of that name, or sizes that it cannot have.
    """
    if name not in SYSTEMS:
        raise InputError(
            f"no fusion system is called {name!r}; set model.fusion to one of: "
            f"{', '.join(sorted(SYSTEMS))}."
        )
    if size.dim % size.heads:
        raise InputError(
            f"the encoder's dimension {size.dim} is not divisible by {size.heads} heads; "
            "set model.heads to a divisor."
        )
    return SYSTEMS[name](size)
