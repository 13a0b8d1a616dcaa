"""Fusion systems by name. A system turns word states and evidence into fused word states."""

from __future__ import annotations

from typing import Final

from cache.errors import InputError
from cache.records import FeatureSet
from model.batch import EvidenceUse
from model.encoders import TextEncoder
from model.fusion.base import Fusion, FusionSize
from model.fusion.hvpnet import HVPNeT
from model.fusion.ifaformer import IFAformer
from model.fusion.joint import Joint
from model.fusion.mega import Mega
from model.fusion.more import MoRe
from model.fusion.synthesis import Synthesis
from model.fusion.text_only import TextOnly

SYSTEMS: Final[dict[str, type[Fusion]]] = {
    "text_only": TextOnly,
    "synthesis": Synthesis,
    "joint": Joint,
    "more": MoRe,
    "hvpnet": HVPNeT,
    "ifaformer": IFAformer,
    "mega": Mega,
}


def make_fusion(name: str, size: FusionSize, encoder: TextEncoder) -> Fusion:
    """Return a new system.

    Args:
        name: of the system.
        size: of its surroundings.
        encoder: of the network; a system may start an encoder of its own from it.

    Raises:
        InputError: no system of that name, or sizes that it cannot have.
    """
    system = _system(name)
    if size.dim % size.heads:
        raise InputError(
            f"the encoder's dimension {size.dim} is not divisible by {size.heads} heads; "
            "set model.heads to a divisor."
        )
    return system(size, encoder)


def needs_of(name: str) -> tuple[FeatureSet, ...]:
    """Return the feature sets that a system reads; raises like `make_fusion`."""
    return _system(name).needs


def evidence_of(name: str) -> EvidenceUse:
    """Return how a system reads textual evidence; raises like `make_fusion`."""
    return _system(name).evidence


def weighs_consistency(name: str) -> bool:
    """Return whether a system can weigh evidence by consistency; raises like `make_fusion`."""
    return _system(name).weighs_consistency


def _system(name: str) -> type[Fusion]:
    if name not in SYSTEMS:
        raise InputError(
            f"no fusion system is called {name!r}; set model.fusion to one of: "
            f"{', '.join(sorted(SYSTEMS))}."
        )
    return SYSTEMS[name]
