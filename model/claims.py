"""What a run folder claims to be, compared with the weights that it has, before memory is taken.

A configuration is a few numbers, and a stranger's may ask for a billion layers. So numbers that
lead to loops are bounded, the network is laid out without memory first (torch's ``meta`` device),
and only one that is no larger than the weights beside it is built.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from torch import nn

from cache.errors import InputError

_MAX_CONFIG_BYTES: Final = 1 << 20
# Several times the tokenizer of 256,000 pieces.
_MAX_FILE_BYTES: Final = 128 << 20
# Rows of a table of word pieces, and more than any other number of a configuration.
_MOST: Final = 1 << 24
# Of layers, heads and the like, each of which is an object.
_MOST_PARTS: Final = 1 << 9
# Numbers that a network has beside its weights: places, masks.
_DERIVED: Final = 1 << 24
_PARTS: Final = re.compile(r"layer|head|group|block|expert|depth|stage|repeat|level")
# Names of code, of kernels to be fetched, of other weights: none of it is needed, nor believed.
_IGNORED: Final = (
    "auto_map",
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "_experts_implementation",
    "custom_pipelines",
    "quantization_config",
    "_name_or_path",
)


def check_files(folder: Path, encoder: Path) -> None:
    """Refuse what would be read without end, or would wait for a writer that never comes.

    Args:
        folder: of the run; a link to a file is as good as the file.
        encoder: folder in it, whose files are read as a whole by libraries.

    Raises:
        InputError: something in one of them is a pipe or a device, or is too large.
    """
    for path in (*sorted(folder.glob("*")), *sorted(encoder.glob("*"))):
        try:
            status = path.stat()
        except OSError:
            continue  # whoever needs it will say so
        regular = stat.S_ISREG(status.st_mode)
        too_large = path.parent == encoder and status.st_size > _MAX_FILE_BYTES
        if too_large or not (regular or stat.S_ISDIR(status.st_mode)):
            what = f"has {status.st_size:,} bytes" if regular else "is no file"
            raise InputError(
                f"{path} {what}, which nothing is that `ramie train` writes there. Remove it, or "
                "copy the whole run folder again."
            )


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration of an encoder, without what would run or fetch something.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, no object, too large, or has a number that no encoder has.
    """
    with path.open("rb") as file:
        data = file.read(_MAX_CONFIG_BYTES + 1)
    if len(data) > _MAX_CONFIG_BYTES:
        raise ValueError(f"{path.name} has more than {_MAX_CONFIG_BYTES:,} bytes.")
    raw = json.loads(data)
    if not isinstance(raw, dict):
        raise ValueError(f"{path.name} is not an object.")
    for name, number in _numbers("", raw):
        most = _MOST_PARTS if _PARTS.search(name) and "size" not in name else _MOST
        if abs(number) > most:
            raise ValueError(f"{name[:40]} = {str(number)[:20]} is more than any encoder has.")
    return {name: value for name, value in raw.items() if name not in _IGNORED}


def check_claim(network: nn.Module, weights: Path) -> None:
    """Refuse a network that is larger than the weights that it is to have.

    Args:
        network: laid out on the ``meta`` device.
        weights: the file; no more than its header is read.

    Raises:
        InputError: it is, or the file cannot be read.
    """
    claimed = sum(tensor.numel() for tensor in (*network.parameters(), *network.buffers()))
    try:
        with safe_open(weights, framework="pt") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(
            f"{weights} cannot be read as safetensors ({error}). Copy the run folder again, "
            "or train again."
        ) from error
    held = sum(prod(shape) for shape in shapes)
    if claimed > held + _DERIVED:
        raise InputError(
            f"the weights in {weights} do not fit the run beside them: it asks for {claimed:,} "
            f"numbers, and there are {held:,}. Copy the whole run folder, or train again."
        )


def _numbers(name: str, value: Any) -> Iterator[tuple[str, int]]:
    """Yield every whole number of a configuration with the name that it stands under."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(str(key), inner)
    elif isinstance(value, list):
        # What is made for each of a list's items is made as often as it is long.
        yield name, len(value)
        for inner in value:
            yield from _numbers(name, inner)
    elif isinstance(value, int):
        yield name, value
