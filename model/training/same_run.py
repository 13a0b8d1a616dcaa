"""Whether a folder holds the training that is asked for; if not, what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cache.errors import InputError
from model.encoder_identity import EncoderIdentity
from model.run import DESCRIPTION, Run, read_run
from model.training.switches import COST_ONLY

_SHOWN: Final = 6
_LONGEST: Final = 60


def check_same_run(folder: Path, run: Run) -> None:
    """Refuse to continue another training.

    Raises:
        InputError: the folder holds a run with another description; the message says which
            settings differ, and how.
    """
    if (folder / DESCRIPTION).exists():
        refuse_other(folder, read_run(folder), run)


def refuse_other(where: Path, held: Run, asked: Run) -> None:
    """Refuse ``held`` where it is not the training that is ``asked`` for.

    Raises:
        InputError: they differ in more than what they cost.
    """
    encoders = [EncoderIdentity(run.model.text_encoder, run.encoder) for run in (held, asked)]
    same_encoder = encoders[0].is_same(encoders[1])
    if not held.precision:  # an earlier version did not say
        asked = asked.model_copy(update={"precision": ""})
    there, wanted = (_described(run, same_encoder=same_encoder) for run in (held, asked))
    differ = list(differences(there, wanted))
    if differ:
        more = f"; and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        raise InputError(
            f"{where} holds another run: {'; '.join(differ[:_SHOWN])}{more} (there -> asked for). "
            "Choose another --out folder, or delete that one."
        )


def _described(run: Run, *, same_encoder: bool) -> dict[str, Any]:
    described = run.model_dump(mode="json")
    for shape in described["shapes"].values():
        del shape["source"]  # earlier versions did not say; the store's fingerprint stands for it
    if same_encoder:  # where it lies does not matter
        del described["encoder"], described["model"]["text_encoder"]
    for name in COST_ONLY:
        described["train"].pop(name)
    return described


def differences(held: Any, asked: Any, name: str = "") -> Iterator[str]:
    """Say of every setting that is not the same in both what it was and what it is to be."""
    if isinstance(held, dict) and isinstance(asked, dict):
        for key in sorted({*held, *asked}):
            inner = f"{name}.{key}" if name else key
            yield from differences(held.get(key), asked.get(key), inner)
    elif held != asked:
        both_lists = isinstance(held, list) and isinstance(asked, list)
        yield f"{name} {_of_lists(held, asked) if both_lists else _change(held, asked)}"


def _change(held: Any, asked: Any) -> str:
    return f"{_short(held)} -> {_short(asked)}"


def _of_lists(held: Sequence[Any], asked: Sequence[Any]) -> str:
    """Say what two lists, such as label sets, do not share."""
    gone = [str(value) for value in held if value not in asked]
    new = [str(value) for value in asked if value not in held]
    said = [f"without {', '.join(gone[:_SHOWN])}"] if gone else []
    said += [f"with {', '.join(new[:_SHOWN])}"] if new else []
    if not said:
        return "in another order"
    return f"{len(held)} -> {len(asked)} values, {' and '.join(said)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None or value == "" else str(value)
    return text if len(text) <= _LONGEST else f"{text[:12]}..."
