"""Where figures of a training are shown, beside the JSON lines of its run folder.

One function per tool; each takes a `Tracked` and returns a `Tracker`, and goes on with what the
tool already holds of that run. Tools are machine facts: nothing of them enters a description.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from cache.errors import InputError
from model.run import write_atomically

_log = logging.getLogger(__name__)
_PROJECT: Final = "ramie"
_IDENTITY: Final = "tracking.json"


@runtime_checkable
class Tracker(Protocol):
    """Anything that shows figures by step."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Take the figures of a step; steps rise, but may be logged several times."""
        ...

    def close(self) -> None:
        """Write what is left; no figure follows."""
        ...


@dataclass(frozen=True, slots=True)
class Tracked:
    """The run that is tracked.

    Attributes:
        folder: of the run.
        identity: the same for all sittings of a run, and for no other run.
        step: the last that was taken before; figures of later ones are logged again.
        settings: what the run is, flat, as ``train.seed``.
    """

    folder: Path
    identity: str
    step: int
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return what lists of runs show."""
        return f"{self.folder.name}-{self.identity[:6]}"


class _Calls:
    """A tracker made of two functions."""

    def __init__(
        self, log: Callable[[int, dict[str, float]], object], close: Callable[[], object]
    ) -> None:
        self._log, self._close = log, close

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._log(step, dict(figures))

    def close(self) -> None:
        self._close()


def _tensorboard(run: Tracked) -> Tracker:
    writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter(
        str(run.folder / "tensorboard"), purge_step=run.step + 1
    )

    def log(step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    return _Calls(log, writer.close)


def _wandb(run: Tracked) -> Tracker:
    tool: Any = importlib.import_module("wandb")
    session = tool.init(
        project=_PROJECT,
        id=run.identity,
        name=run.name,
        resume="allow",
        dir=str(run.folder),
        config=dict(run.settings),
    )
    return _Calls(lambda step, figures: session.log(figures, step=step), session.finish)


def _mlflow(run: Tracked) -> Tracker:
    tool: Any = importlib.import_module("mlflow")
    tool.set_experiment(_PROJECT)
    known = tool.search_runs(
        filter_string=f"tags.ramie_run = '{run.identity}'", output_format="list", max_results=1
    )
    tool.start_run(
        run_id=known[0].info.run_id if known else None,
        run_name=run.name,
        tags={"ramie_run": run.identity},
    )
    if not known:
        tool.log_params({name: str(value)[:500] for name, value in run.settings.items()})
    return _Calls(lambda step, figures: tool.log_metrics(figures, step=step), tool.end_run)


def _trackio(run: Tracked) -> Tracker:
    tool: Any = importlib.import_module("trackio")
    tool.init(
        project=_PROJECT, name=run.name, resume="allow", config=dict(run.settings), embed=False
    )
    return _Calls(lambda step, figures: tool.log(figures, step=step), tool.finish)


_TOOLS: Final[dict[str, Callable[[Tracked], Tracker]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
TOOLS: Final = tuple(_TOOLS)


def default_tools() -> tuple[str, ...]:
    """Return TensorBoard where it is installed."""
    return ("tensorboard",) if importlib.util.find_spec("tensorboard") else ()


def check_tools(tools: Sequence[str]) -> None:
    """Refuse tools that cannot be used, before any work is done.

    Raises:
        InputError: no such tool, or it is not installed.
    """
    for tool in tools:
        if tool not in _TOOLS:
            raise InputError(f"no tracker is called {tool!r}; known are {', '.join(TOOLS)}.")
        if importlib.util.find_spec(tool) is None:
            raise InputError(
                f"to track with {tool}, install it: pip install {tool}, or in a checkout of this "
                "project pip install '.[tracking]'. Figures are in metrics.jsonl in any case."
            )


def open_trackers(
    tools: Sequence[str], folder: Path, step: int, settings: Mapping[str, Any]
) -> list[Tracker]:
    """Return a tracker for each tool that can be opened; of the others, say why not.

    Args:
        tools: names that `check_tools` lets pass.
        folder: of the run.
        step: the last that was taken before.
        settings: what the run is; nested.
    """
    if not tools:
        return []
    run = Tracked(folder, _identity(folder), step, dict(_flat(settings)))
    opened = []
    for tool in tools:
        try:
            opened.append(_TOOLS[tool](run))
        except Exception as error:
            # Nobody is logged in, a server is down: no reason not to train.
            _log.warning("%s cannot be used and is left out: %s", tool, error)
    return opened


def _identity(folder: Path) -> str:
    """Return the identity that the folder was given at its first sitting."""
    path = folder / _IDENTITY
    try:
        return uuid.UUID(json.loads(path.read_text(encoding="utf-8"))["identity"]).hex
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        identity = uuid.uuid4().hex
        write_atomically(path, json.dumps({"identity": identity}).encode())
        return identity


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat.extend(_flat(value, f"{prefix}{name}."))
        else:
            flat.append((f"{prefix}{name}", value))
    return flat
