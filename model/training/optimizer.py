"""AdamW with a learning rate for each part of the network, and how the rates rise and fall."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import torch
from torch import nn

from cache.errors import InputError
from model.settings import TrainSettings

_TEXT_ENCODER: Final = "encoder."
# The first number in a parameter's name is its layer, in every encoder of transformers.
_LAYER: Final = re.compile(r"\.(\d+)\.")


def make_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """Return AdamW; every trainable parameter is in exactly one group, by its peak rate.

    Raises:
        InputError: a name in ``train.rates`` begins no parameter's name.
    """
    named = {n: p for n, p in network.named_parameters() if p.requires_grad}
    rates = peak_rates(named, settings, pretrained_prefixes(network))
    # Text encoder first, then the rest: the order in which checkpoints number the parameters.
    ordered = sorted(named, key=lambda name: not name.startswith(_TEXT_ENCODER))
    by_rate: dict[float, list[nn.Parameter]] = {}
    for name in ordered:
        by_rate.setdefault(rates[name], []).append(named[name])
    groups = [{"params": held, "lr": rate, "peak": rate} for rate, held in by_rate.items()]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    # The authors' code trains with classifier and attentions outside of the optimizer.
    assert sorted(held) == sorted(id(p) for p in named.values()), "a parameter is not in one group"
    return optimizer


def pretrained_prefixes(network: nn.Module) -> tuple[str, ...]:
    """Return how names of pretrained parameters begin: text encoder, and parts of the fusion."""
    fusion = getattr(network, "fusion", None)
    own: tuple[str, ...] = getattr(fusion, "pretrained", ())
    return (_TEXT_ENCODER, *(f"fusion.{prefix}." for prefix in own))


def peak_rates(
    names: Iterable[str], settings: TrainSettings, pretrained: tuple[str, ...]
) -> dict[str, float]:
    """Return the highest learning rate of each parameter.

    Pretrained parts learn at ``learning_rate`` in their top layer and ``layer_decay`` slower with
    every layer below, embeddings below them all; everything else at ``head_learning_rate``.

    Raises:
        InputError: a name in ``train.rates`` begins no parameter's name.
    """
    names = list(names)
    rates = dict.fromkeys(names, settings.head_learning_rate)
    for prefix in pretrained:
        layers = {n: _layer(n.removeprefix(prefix)) for n in names if n.startswith(prefix)}
        top = max((layer for layer in layers.values() if layer is not None), default=0)
        for name, layer in layers.items():
            below = 0 if layer is None else top - layer
            rates[name] = settings.learning_rate * settings.layer_decay**below
    return rates | _chosen(names, settings.rates)


def _layer(name: str) -> int | None:
    """Return the layer of a pretrained parameter: -1 for embeddings, None above all layers."""
    found = _LAYER.search(f".{name}")
    if found:
        return int(found[1])
    return -1 if "embed" in name else None


def _chosen(names: list[str], rates: Mapping[str, float]) -> dict[str, float]:
    chosen: dict[str, float] = {}
    for prefix in sorted(rates, key=len):  # the longest is the most exact, and comes last
        part = [name for name in names if f"{name}.".startswith(f"{prefix}.")]
        if not part:
            parts = sorted({".".join(name.split(".")[:2]) for name in names})
            raise InputError(
                f"train.rates names {prefix!r}, but no parameter's name begins so; "
                f"parts are {', '.join(parts)}."
            )
        chosen.update(dict.fromkeys(part, rates[prefix]))
    return chosen


def rate_at(step: int, total: int, warmup: float) -> float:
    """Return the share of the peak rate at ``step``: linear up, then linear down to zero."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (total - step) / max(1, total - rise))


def set_rates(optimizer: torch.optim.Optimizer, step: int, total: int, warmup: float) -> float:
    """Give every group its rate at ``step``, a share of its peak; return the share."""
    share = rate_at(step, total, warmup)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    return share
