"""Where a training stands, as one safetensors file: weights, optimizer, random state, position."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from cache.errors import InputError
from model.run import Run, read_tensors, write_tensors
from model.training.ranks import Ranks
from model.training.same_run import refuse_other

_MODEL: Final = "model."
_OPTIMIZER: Final = "optimizer."
_RANDOM: Final = "random."


@dataclass(frozen=True, slots=True)
class Progress:
    """Position and scores; with seed and settings it fixes everything that follows.

    Early stopping needs no more than ``best_epoch``: how long ago it was is a matter of ``step``.

    Attributes:
        step: optimizer steps taken; with seed and settings it is the place in the order of posts.
        loss_sum: since the last evaluation, in double precision.
        loss_steps: how many are in ``loss_sum``.
        dev_f1: of the last evaluation.
        best_f1: of the best.
        best_epoch: which, from 1; 0 before the first.
        codes: what commits of the code took the steps, in order, as far as it is known.
    """

    step: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    dev_f1: float = 0.0
    best_f1: float = 0.0
    best_epoch: int = 0
    codes: tuple[str, ...] = ()

    @property
    def mean_loss(self) -> float:
        """Mean loss since the last evaluation."""
        return self.loss_sum / max(1, self.loss_steps)

    def after_step(self, loss: float, code: str = "") -> Progress:
        """Return the position one step on, that ``code`` took."""
        known = not code or code in self.codes
        return dataclasses.replace(
            self,
            step=self.step + 1,
            loss_sum=self.loss_sum + loss,
            loss_steps=self.loss_steps + 1,
            codes=self.codes if known else (*self.codes, code),
        )

    def after_best(self, f1: float, epoch: int) -> Progress:
        """Return the position with a new best epoch."""
        return dataclasses.replace(self, best_f1=f1, best_epoch=epoch)

    def after_epoch(self, f1: float) -> Progress:
        """Return the position at the start of the epoch after an evaluation."""
        return dataclasses.replace(self, dev_f1=f1, loss_sum=0.0, loss_steps=0)


def random_states(device: torch.device, ranks: Ranks) -> dict[str, Tensor]:
    """Return the random states of all processes: ``cpu`` of the first, ``cpu.1`` of the next."""
    mine = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        mine["cuda"] = torch.cuda.get_rng_state(device)
    return {
        _of_rank(kind, rank): state
        for kind, own in mine.items()
        for rank, state in enumerate(ranks.of_all(own))
    }


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    run: Run,
    states: dict[str, Tensor],
) -> None:
    """Write everything that `restore` needs, atomically; ``states`` are of `random_states`.

    Raises:
        InputError: it cannot be written; the checkpoint before is untouched.
    """
    tensors: dict[str, Tensor] = {_MODEL + n: t for n, t in network.state_dict().items()}
    for index, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{_OPTIMIZER}{index}.{name}"] = torch.as_tensor(value)
    tensors |= {_RANDOM + name: state for name, state in states.items()}
    note = {"progress": dataclasses.asdict(progress), "run": run.model_dump(mode="json")}
    write_tensors(path, tensors, note)


def restore(
    path: Path,
    run: Run,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    rank: int = 0,
) -> tuple[dict[str, Tensor], Progress]:
    """Fill the optimizer, set the random state, and return weights and position.

    Raises:
        InputError: this is not a checkpoint of that run and optimizer.
    """
    tensors, note = read_tensors(path)
    try:
        progress, held = _read_note(note)
        if held is not None:
            refuse_other(path, held, run)
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(_OPTIMIZER):
                index, key = name.removeprefix(_OPTIMIZER).split(".")
                states.setdefault(int(index), {})[key] = tensor
        for place, parameter in enumerate(_parameters(optimizer)):
            if place in states:
                optimizer.state[parameter] = _placed(states[place], parameter)
        _set_random_state(tensors, device, rank)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} is not a checkpoint of this training ({error}). Delete it to start over."
        ) from error
    weights = {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
    return weights, progress


def _read_note(note: Any) -> tuple[Progress, Run | None]:
    """Return position and description; older checkpoints hold no description."""
    if "progress" not in note:
        return _position(note), None
    return _position(note["progress"]), Run.model_validate(note["run"])


def _position(content: Any) -> Progress:
    content = dict(content)
    codes = tuple(content.pop("codes", ()))
    if not all(isinstance(code, str) for code in codes):
        raise ValueError("its commits are no texts")
    progress = Progress(**content, codes=codes)
    counts = (progress.step, progress.loss_steps, progress.best_epoch)
    figures = (progress.loss_sum, progress.dev_f1, progress.best_f1)
    if not all(type(count) is int and 0 <= count < 1 << 53 for count in counts):
        raise ValueError(f"it stands at {counts}")
    if not all(math.isfinite(figure) for figure in figures):
        raise ValueError(f"its loss and scores are {figures}")
    return progress


def _set_random_state(tensors: dict[str, Tensor], device: torch.device, rank: int) -> None:
    """Set what this process had; a process that did not exist then goes on as it was seeded."""
    cpu, cuda = (tensors.get(_RANDOM + _of_rank(kind, rank)) for kind in ("cpu", "cuda"))
    if cpu is not None:
        torch.set_rng_state(cpu)
    elif rank == 0:
        raise KeyError(_RANDOM + "cpu")
    if cuda is not None and device.type == "cuda":
        torch.cuda.set_rng_state(cuda, device)


def _of_rank(kind: str, rank: int) -> str:
    return f"{kind}.{rank}" if rank else kind


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _placed(state: dict[str, Tensor], parameter: Tensor) -> dict[str, Any]:
    for name, tensor in state.items():
        if tensor.ndim and tensor.shape != parameter.shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}")
    return {name: tensor.to(parameter.device) for name, tensor in state.items()}
