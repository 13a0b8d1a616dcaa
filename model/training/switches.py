"""Switches that change what a training costs, not what it learns."""

from __future__ import annotations

import os
import shutil
from typing import Any, Final

import torch

from cache.errors import InputError
from model.encoders import TextEncoder
from model.settings import TrainSettings

# Settings that an unfinished run may go on with changed: its steps are the same to rounding.
COST_ONLY: Final = ("accumulate", "checkpointing", "compile")


def set_switches(encoder: TextEncoder, settings: TrainSettings, device: torch.device) -> None:
    """Turn on checkpointing and compilation of the encoder, as the settings say.

    Raises:
        InputError: the encoder, or this machine, cannot do it.
    """
    if settings.checkpointing:
        _checkpoint(encoder)
    if settings.compile:
        _check_compiler(device)
        # Lengths differ between batches; in place, so that names of parameters stay.
        encoder.compile(dynamic=True)


def _checkpoint(encoder: TextEncoder) -> None:
    backbone: Any = encoder.backbone
    if not getattr(backbone, "supports_gradient_checkpointing", False):
        raise InputError(
            f"train.checkpointing is set, but the text encoder {encoder.config.model_type!r} "
            "cannot be computed in pieces; set it to false, and train.accumulate to save memory."
        )
    enable = getattr(backbone, "activation_checkpointing_enable", None)
    if enable is None:  # transformers before 5.20 or so call it otherwise
        enable = backbone.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _check_compiler(device: torch.device) -> None:
    """Refuse what would fail in the first step, deep inside torch.

    Raises:
        InputError: this machine has no compiler for that device.
    """
    if device.type == "cuda" and not torch.utils._triton.has_triton():
        raise InputError(
            "train.compile is set, but torch finds no Triton for this GPU; install the triton "
            "that belongs to this torch, or set train.compile to false."
        )
    wanted = os.environ.get("CXX")
    names = [wanted] if wanted else ["g++", "clang++", "c++"]
    if not any(shutil.which(name) for name in names):
        raise InputError(
            f"train.compile is set, but no C++ compiler is here (looked for {', '.join(names)}); "
            "install one, e.g. apt-get install g++, name it in CXX, or set train.compile to false."
        )
