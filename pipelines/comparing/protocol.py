"""Under which protocol a figure was obtained, and whether it is to be believed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cache import open_store
from cache.errors import InputError
from cache.manifest import read_manifest
from pipelines.runs import recipe_of_run
from retrieval.datasets.protocol import CONTAMINATED, is_contaminated, protocol_of


class Stated(NamedTuple):
    """What must stand beside a figure.

    Attributes:
        protocol: which posts, labels and objects; empty for data of one's own.
        contaminated: why the figure is not to be believed; empty where it may.
    """

    protocol: str
    contaminated: str

    def line(self) -> str:
        """Return both in one line; empty where there is nothing to say."""
        told = (("protocol", self.protocol), ("CONTAMINATED", self.contaminated))
        return "; ".join(f"{subject}: {text}" for subject, text in told if text)


def stated_by(store: Path, run: Path) -> Stated:
    """Return what is to be said of figures of ``run`` on ``store``.

    Raises:
        StoreError: the store cannot be used.
    """
    protocol = protocol_of_store(store)
    learned = ""
    with suppress(InputError):  # without its recipe, nobody knows what the run learned from
        learned = recipe_of_run(run)[0].dataset.protocol or ""
    reason = ""
    if is_contaminated(protocol):
        reason = CONTAMINATED
    elif is_contaminated(learned):
        reason = f"the run learned under {learned}: {CONTAMINATED}"
    # Written by whoever built the store: one line, whatever it is.
    return Stated(" ".join(protocol.split()), reason)


def protocol_of_store(store: Path) -> str:
    """Return what the store states; an older one is asked by its posts.

    Raises:
        StoreError: the store cannot be used.
    """
    manifest = read_manifest(store)
    value: object = manifest.identity
    for key in ("settings", "dataset"):
        value = value.get(key) if isinstance(value, dict) else None
    settings = value if isinstance(value, dict) else {}
    named = settings.get("protocol")
    if isinstance(named, str):
        return named
    with open_store(store, reader="parquet") as reader:
        examples = [reader.features(name).example for name in reader.example_ids("test")]
    return protocol_of(str(settings.get("reader", "")), None, examples)
