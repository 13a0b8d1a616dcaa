"""What ``ramie push`` and ``ramie pull`` take and say alike."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.sharing.agreed import Travelled


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-recordings``, ``--replace`` and ``--threads``."""
    parser.add_argument(
        "--no-recordings", action="store_true", help="leave out the raw answers of providers"
    )
    parser.add_argument(
        "--replace", action="store_true", help="put the store in the place of another one"
    )
    parser.add_argument(
        "--threads", type=_number, default=4, metavar="N", help="files at once (default: 4)"
    )


def as_json(done: Travelled, store: str, url: str) -> dict[str, object]:
    """Return the result for a machine."""
    return {"store": store, "url": url, **asdict(done)}


def as_text(done: Travelled, what: str, where: str) -> str:
    """Return the result for a person.

    Args:
        done: what moved.
        what: "pushed X to Y".
        where: others push to.
    """
    seconds = max(done.seconds, 1e-3)
    lines = [
        f"{what}: {done.sent} of {done.files} files travelled, {done.sent_bytes / 1e6:,.1f} of "
        f"{done.store_bytes / 1e6:,.1f} MB, in {done.seconds:.1f} s "
        f"({done.sent_bytes / 1e6 / seconds:,.1f} MB/s); every file was compared"
    ]
    if done.changed_meanwhile:
        lines.append(
            f"somebody else pushed to {where} meanwhile: run the same command again to see what "
            "is there now. The files of both stores are whole."
        )
    return "\n".join(lines)


def _number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 64:
        raise ValueError
    return number
