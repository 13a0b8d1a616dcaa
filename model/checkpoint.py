"""Where a training stands, as one safetensors file: weights, optimizer, random state, position."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from cache.errors import InputError
from model.run import write_tensors

_MODEL: Final = "model."
_OPTIMIZER: Final = "optimizer."
_RANDOM: Final = "random."


@dataclass(frozen=True, slots=True)
class Progress:
    """Position and scores; with seed and settings it fixes everything that follows.

    Attributes:
        step: optimizer steps taken.
        loss_sum: of this epoch, in double precision.
        loss_steps: how many are in ``loss_sum``.
        dev_f1: of the last finished epoch.
        best_f1: of the best.
        best_epoch: which, from 1; 0 before the first.
    """

    step: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    dev_f1: float = 0.0
    best_f1: float = 0.0
    best_epoch: int = 0

    @property
    def mean_loss(self) -> float:
        """Mean loss of this epoch so far."""
        return self.loss_sum / max(1, self.loss_steps)

    def after_step(self, loss: float) -> Progress:
        """Return the position one step on."""
        return dataclasses.replace(
            self,
            step=self.step + 1,
            loss_sum=self.loss_sum + loss,
            loss_steps=self.loss_steps + 1,
        )

    def after_best(self, f1: float, epoch: int) -> Progress:
        """Return the position with a new best epoch."""
        return dataclasses.replace(self, best_f1=f1, best_epoch=epoch)

    def after_epoch(self, f1: float) -> Progress:
        """Return the position at the start of the next epoch."""
        return dataclasses.replace(self, dev_f1=f1, loss_sum=0.0, loss_steps=0)


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    device: torch.device,
) -> None:
    """Write everything that `restore` needs, atomically.

    Raises:
        InputError: it cannot be written; the checkpoint before is untouched.
    """
    tensors: dict[str, Tensor] = {_MODEL + n: t for n, t in network.state_dict().items()}
    for index, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{_OPTIMIZER}{index}.{name}"] = torch.as_tensor(value)
    tensors[_RANDOM + "cpu"] = torch.get_rng_state()
    if device.type == "cuda":
        tensors[_RANDOM + "cuda"] = torch.cuda.get_rng_state(device)
    write_tensors(path, tensors, dataclasses.asdict(progress))


def restore(
    path: Path,
    tensors: dict[str, Tensor],
    note: object,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> tuple[dict[str, Tensor], Progress]:
    """Fill the optimizer, set the random state, and return weights and position.

    Raises:
        InputError: this is not a checkpoint of that optimizer.
    """
    try:
        progress = Progress(**note)  # type: ignore[arg-type]
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(_OPTIMIZER):
                index, key = name.removeprefix(_OPTIMIZER).split(".")
                states.setdefault(int(index), {})[key] = tensor
        for place, parameter in enumerate(_parameters(optimizer)):
            if place in states:
                optimizer.state[parameter] = _placed(states[place], parameter)
        torch.set_rng_state(tensors[_RANDOM + "cpu"])
        if device.type == "cuda" and _RANDOM + "cuda" in tensors:
            torch.cuda.set_rng_state(tensors[_RANDOM + "cuda"], device)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} is not a checkpoint of this training ({error}). Delete it to start over."
        ) from error
    weights = {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
    return weights, progress


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _placed(state: dict[str, Tensor], parameter: Tensor) -> dict[str, Any]:
    for name, tensor in state.items():
        if tensor.ndim and tensor.shape != parameter.shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}")
    return {name: tensor.to(parameter.device) for name, tensor in state.items()}
