"""How far what detector and encoder compute may be from torch in float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from retrieval.settings import ObserveSettings

# Goes up when the same backend is given something else to compute.
_TRANSLATION_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Bound:
    """What a deviation from torch in float32 must not exceed.

    Attributes:
        number: of any number of a unit vector.
        cosine: the least cosine of a vector and its reference.
        box_px: of nine in ten boxes, in pixels of the detector's square input. Not of all: in
            eight bits a single box jumps where two are about as likely, and another one of the
            same object stays.
        score: of the scores of nine in ten boxes.
    """

    number: float
    cosine: float
    box_px: float
    score: float

    def as_json(self) -> dict[str, float]:
        """Return the bound as JSON."""
        return asdict(self)


_EXACT: Final = Bound(number=1e-4, cosine=0.99999, box_px=0.1, score=1e-3)
# Eight bits of mantissa: one part in 256 in each step, and steps that mostly cancel out.
_HALF: Final = Bound(number=0.05, cosine=0.99, box_px=15.0, score=0.03)
BOUNDS: Final[Mapping[tuple[str, str], Bound]] = {
    ("torch", "bfloat16"): _HALF,
    ("torch", "float16"): Bound(number=0.005, cosine=0.9995, box_px=4.0, score=0.01),
    ("openvino", "float32"): _EXACT,
    ("openvino", "bfloat16"): _HALF,
    ("onnxruntime", "float32"): _EXACT,
}
"""By backend and dtype; torch in float32 is what all others are compared with."""


def bound_of(settings: ObserveSettings) -> Bound:
    """Return how far detector and encoder of ``settings`` may be from torch in float32."""
    return BOUNDS[settings.backend, settings.dtype]


def backend_identity(settings: ObserveSettings) -> dict[str, object]:
    """Return what a backend adds to a fingerprint; nothing for torch, as before there were others.

    Not what it deviates from torch, which differs by machine, but the bound that it is held to.
    """
    if settings.backend == "torch":
        return {}
    return {
        "backend": settings.backend,
        "bound": bound_of(settings).as_json(),
        "rule": _TRANSLATION_VERSION,
    }


def backend_library(settings: ObserveSettings) -> dict[str, object]:
    """Return the version of a backend's library, which may change the last bits."""
    if settings.backend == "torch":
        return {}
    try:
        return {settings.backend: version(settings.backend)}
    except PackageNotFoundError:
        return {settings.backend: ""}
