"""A run folder: what was trained, on what, and how to load it without a hub.

``run.json`` (description), ``encoder/`` (configuration and tokenizer), ``model.safetensors`` (the
weights that did best on dev), ``checkpoint.safetensors`` (where to go on), ``metrics.jsonl``.
Nothing in it is code or pickle: a run folder from a stranger can be wrong, but not run anything.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from cache.errors import InputError
from cache.records import FeatureSet
from model.data import MAX_LABELS, Task
from model.settings import ModelSettings, TrainSettings

DESCRIPTION: Final = "run.json"
ENCODER: Final = "encoder"
WEIGHTS: Final = "model.safetensors"
CHECKPOINT: Final = "checkpoint.safetensors"
METRICS: Final = "metrics.jsonl"
_LIBRARIES: Final = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
_MAX_JSON_BYTES: Final = 16 << 20


class FeatureShape(BaseModel):
    """What a feature set of the store looks like, and what made it.

    Attributes:
        dims: sizes of all axes but the first.
        stages: channels of each stage of an image tower, which stand side by side; or none.
        source: what made it, as the store says; empty in runs of earlier versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dims: tuple[Annotated[int, Field(ge=1, le=1 << 16)], ...] = Field(default=(), max_length=8)
    stages: tuple[Annotated[int, Field(ge=1, le=1 << 16)], ...] = Field(default=(), max_length=64)
    source: str = Field(default="", max_length=500)


class SecondTask(BaseModel):
    """What a network does beside the task of its run.

    Attributes:
        task: what else was trained.
        labels: of that task, in the order of the network's outputs.
        store: fingerprint of the store of its posts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    labels: tuple[str, ...] = Field(min_length=1, max_length=MAX_LABELS)
    store: str


class Run(BaseModel):
    """What decides a run; two runs with the same description are the same training.

    Attributes:
        format: of the run folder.
        task: what was trained.
        labels: BIO labels or relations, in the order of the network's outputs.
        visual_dim: of the store's image embeddings; 0 where it has none.
        shapes: of the feature sets that the model reads.
        store: fingerprint of the store.
        encoder: digest of the files of the text encoder that it started from; empty where that
            is known by name alone, and in runs of earlier versions.
        second: the other task of a network that does both; None for all others.
        mismatch_beside: whether posts were shown again with another's evidence, beside their own
            (`model.training.plan`). Earlier versions showed it instead, and have it False.
        precision: what ``train.precision`` was on the device that it was trained on; empty in
            runs of earlier versions.
        model: settings of the network.
        train: settings of the training.
        code_version: of this code.
        libraries: versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    task: Task
    labels: tuple[str, ...] = Field(min_length=1, max_length=MAX_LABELS)
    visual_dim: int = Field(ge=0, le=1 << 16)
    shapes: dict[FeatureSet, FeatureShape] = Field(default_factory=dict)
    store: str
    encoder: str = ""
    second: SecondTask | None = None
    mismatch_beside: bool = False
    precision: Literal["", "float32", "bfloat16"] = ""
    model: ModelSettings
    train: TrainSettings
    code_version: str
    libraries: dict[str, str]


def code_version() -> str:
    """Return the version of the installed distribution."""
    try:
        return metadata.version("ramie")
    except metadata.PackageNotFoundError:
        return "unknown"


def library_versions() -> dict[str, str]:
    """Return the versions of what results depend on."""
    return {name: metadata.version(name) for name in _LIBRARIES}


def write_run(folder: Path, run: Run) -> None:
    """Write ``run.json``."""
    write_atomically(folder / DESCRIPTION, (run.model_dump_json(indent=1) + "\n").encode())


def read_run(folder: Path) -> Run:
    """Return the description of a run.

    Raises:
        InputError: there is none, or it does not follow the format.
    """
    path = folder / DESCRIPTION
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_JSON_BYTES)
        return Run.model_validate_json(data)
    except OSError as error:
        raise InputError(
            f"{folder} is no run folder: {path.name} cannot be read ({error.strerror}). "
            "Give the folder that `ramie train` wrote."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path} is not a run of this version: {where or 'the file'}: {first['msg']}. "
            "Train again, or use the code version that wrote it."
        ) from error


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], note: object = None) -> None:
    """Write tensors, with ``note`` as JSON in the header, atomically."""
    header = None if note is None else {"note": json.dumps(note, sort_keys=True)}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, header))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], object]:
    """Return what `write_tensors` wrote.

    Raises:
        InputError: no such file, or not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            note = (file.metadata() or {}).get("note")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, None if note is None else json.loads(note)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} cannot be read as safetensors ({error}). Copy the run folder again, "
            "or train again."
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that at any moment it is the old one or the new one, whole.

    Raises:
        InputError: the disk is full or may not be written; the old file is untouched.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}. Make room or choose another folder; "
            "what was saved before is untouched, and the same command goes on from there."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
