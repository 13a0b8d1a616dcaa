"""The seam of backends: a torch model, translated for another library and compared with torch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from cache.errors import InputError
from retrieval.settings import ObserveSettings

Forward = Callable[[Tensor], Tensor]
# Each holds the numbers between the layers of a whole batch.
_MOST_STREAMS: Final = 4


def num_streams(settings: ObserveSettings) -> int:
    """Return how many forward passes of one model run side by side, sharing the threads of torch.

    Threads that compute one batch together wait for each other after every layer.
    """
    if settings.backend == "torch":
        return 1
    threads = torch.get_num_threads()
    # As many for each.
    return max(one for one in range(1, _MOST_STREAMS + 1) if threads % one == 0)


class Translate(Protocol):
    """Makes a torch model one of another library, in memory."""

    def __call__(self, model: nn.Module, example: Tensor, dtype: str, streams: int) -> Forward:
        """Return what computes ``model`` on the CPU, for batches like ``example`` alone.

        Args:
            model: takes one tensor and gives one, in float32.
            example: a batch; shape and type of all later ones.
            dtype: of weights and arithmetic; what comes out is float32 in any case.
            streams: threads that may call it at a time.

        Raises:
            InputError: this CPU cannot compute in ``dtype``.
        """
        ...


class Calling(nn.Module):
    """A model of which one method, from a tensor to a tensor, is the forward pass."""

    def __init__(self, model: nn.Module, method: Forward) -> None:
        super().__init__()
        self.model = model
        self._method = method

    def forward(self, batch: Tensor) -> Tensor:
        """Return what the method gives."""
        return self._method(batch)


def translate(
    settings: ObserveSettings, model: nn.Module, example: Tensor, streams: int
) -> Forward:
    """Return what computes ``model`` with the backend of ``settings``, see `Translate`.

    Raises:
        InputError: the backend is not installed, or cannot compute this model.
    """
    name = settings.backend
    try:
        translator = _translator(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"backend {name} needs {error.name}, which is not installed. Install the extra "
            f"[{name}] (pip install '.[{name}]'), or set observe.backend=torch."
        ) from error
    try:
        with _plain_torch():
            return translator(model.eval(), example, settings.dtype, streams)
    except InputError:
        raise
    except Exception as error:  # translators raise anything
        raise InputError(
            f"backend {name} cannot compute this model ({type(error).__name__}: "
            f"{str(error)[:500]}). Set observe.backend=torch."
        ) from error


def _translator(name: str) -> Translate:
    if name == "openvino":
        # When it is imported it reports so to its makers, unless what reports is not there.
        with _without("openvino_telemetry"):
            from retrieval.sight.backend_openvino import translate_openvino
        return translate_openvino
    from retrieval.sight.backend_onnx import translate_onnx

    return translate_onnx


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let ``module`` be as if it were not installed."""
    modules: dict[str, Any] = sys.modules
    before = {name: modules.pop(name) for name in [*modules] if name.split(".")[0] == module}
    modules[module] = None
    try:
        yield
    finally:
        del modules[module]
        modules.update(before)


@contextmanager
def _plain_torch() -> Iterator[None]:
    """Let attention be made of operations that every translator knows, and warnings pass."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
