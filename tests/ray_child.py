"""Builds with a Ray cluster of two processors: ``python ray_child.py FOLDER``, in its own process.

Prints what came of each build as one line of JSON; the stores stay in the folder.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from builder_helpers import SETTINGS, CountingObserver, CountingProvider, make_dataset
from test_build_overlap import many_posts

from cache.errors import InputError
from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.engines.ray_engine import RayEngine, RayOptions, join_cluster
from retrieval.sight.look import PostObserver

# Few posts of reference, for those come first and in large batches: each worker is to get some.
FEW: Final = SETTINGS.model_copy(
    update={"curate": SETTINGS.curate.model_copy(update={"reference_posts": 2})}
)


def never(what: str) -> None:
    """Fail: the observer of whoever builds must not be used where others look."""
    raise AssertionError(f"nobody was to {what} here")


def killed_once(marker: Path) -> PostObserver:
    """Return an observer whose process is killed at one post, the first time."""

    def before(what: str) -> None:
        if what == "observe m007" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return CountingObserver(before=before)


def other_weights() -> PostObserver:
    """Return an observer that is not the one of whoever builds."""
    return CountingObserver(fingerprint="other weights")


def last_json(printed: str) -> dict[str, Any]:
    """Return what such a process told; Ray, too, prints a line now and then."""
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    told: dict[str, Any] = json.loads(lines[-1])
    return told


def build(store: Path, dataset: Dataset, engine: RayEngine) -> BuildReport:
    """Build with plain settings."""
    return build_store(
        FEW,
        store,
        dataset=dataset,
        observer=CountingObserver(before=never),
        providers=[CountingProvider()],
        engine=engine,
    )


def run(folder: Path) -> dict[str, object]:
    """Build the stores ``shipped`` and ``killed``, and two that cannot be."""
    few, many = make_dataset(folder / "few"), many_posts(folder / "many", 16)
    told: dict[str, object] = {}
    join_cluster(None, 2)
    engines = {
        "shipped": RayEngine(RayOptions(workers=2, ship_photos=True), CountingObserver),
        "killed": RayEngine(RayOptions(workers=2), partial(killed_once, folder / "marker")),
    }
    for (name, engine), dataset in zip(engines.items(), (few, many), strict=True):
        told[name] = build(folder / name, dataset, engine).as_json()
    refused = {
        "other": RayEngine(RayOptions(workers=1), other_weights),
        "no room": RayEngine(RayOptions(workers=99), CountingObserver),
    }
    for name, engine in refused.items():
        try:
            build(folder / "refused", few, engine)
        except InputError as problem:
            told[name] = str(problem)
    told["usage"] = os.environ["RAY_USAGE_STATS_ENABLED"]
    return told


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
