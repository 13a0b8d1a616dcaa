"""Builds a store until it is interrupted: ``python build_child.py STORE DATA HOW``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from builder_helpers import SETTINGS, CountingObserver, make_dataset
from live_helpers import LivePlayer

from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.settings import PoliteSettings


def build(store: Path, data: Path, how: str) -> BuildReport:
    """Build; ``ask`` hangs at the third question, ``observe`` at the last post, ``""`` nowhere."""
    asked: list[str] = []

    def hang(what: str) -> None:
        asked.append(what)
        if len(asked) == 3 if how == "ask" else what == "observe e4":
            print("hangs", flush=True)
            time.sleep(300)

    ask = SETTINGS.ask.model_copy(update={"polite": PoliteSettings(rest_s=0)})
    return build_store(
        SETTINGS.model_copy(update={"ask": ask}),
        store,
        dataset=make_dataset(data),
        observer=CountingObserver(before=hang if how == "observe" else lambda what: None),
        providers=[LivePlayer(before=hang if how == "ask" else lambda text: None)],
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
