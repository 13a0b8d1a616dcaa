"""What every stage costs for so many posts and hits; each size in a process of its own."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from pipelines.bench.scaling.made_up import settings_of, write_posts

STAGES: Final = (
    *("read", "look", "ask", "opening", "curate", "write", "closing", "open", "verify"),
)
"""In the order in which they come. ``look`` has no models here: what is seen is that there is no
photo. ``opening`` learns what evidence is compared with, and all posts, to know copies of them."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured for one size.

    Attributes:
        posts: built.
        hits: that answers named, of all posts.
        seconds: wall time by stage.
        cpu_seconds: the same of the processor's time, whatever else the machine does.
        memory_bytes: the most that the process ever had.
        store_bytes: of the files.
    """

    posts: int
    hits: int
    seconds: dict[str, float]
    cpu_seconds: dict[str, float]
    memory_bytes: int
    store_bytes: int

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as JSON."""
        return {
            "posts": self.posts,
            "hits": self.hits,
            "seconds": dict(self.seconds),
            "cpu_seconds": dict(self.cpu_seconds),
            "memory_bytes": self.memory_bytes,
            "store_bytes": self.store_bytes,
        }


def measure_cost(folder: Path, posts: int, kb: Path | None, hits: int, seed: int) -> Cost:
    """Build, open and verify ``posts`` posts in a new process; what it wrote is removed.

    Args:
        folder: made, and removed.
        posts: how many.
        kb: knowledge base that is asked; None asks nobody, and builds metadata alone.
        hits: per question.
        seed: of the posts.
    """
    command = [sys.executable, "-m", __name__, str(folder), "--posts", str(posts)]
    command += ["--hits", str(hits), "--seed", str(seed)]
    command += [] if kb is None else ["--kb", str(kb)]
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Cost(**json.loads(done.stdout))


def _cost(folder: Path, posts: int, kb: Path | None, hits: int, seed: int) -> Cost:
    from cache.checking.verify import verify_store
    from cache.store import open_store
    from pipelines.bench.figures import peak_bytes
    from pipelines.planning.sample_build import StageTimes, build_sample, folder_bytes
    from pipelines.sources import make_providers
    from retrieval.datasets import read_dataset
    from retrieval.sight.observe import Observer

    write_posts(folder / "posts", posts, seed)
    settings = settings_of(folder / "posts", kb, hits)
    watch = StageTimes()
    with watch.stage("read"):
        dataset = read_dataset(settings.dataset)
    observer = Observer(settings.observe)
    providers = make_providers(settings.ask, observer)
    store = folder / "store"
    built = build_sample(settings, store, dataset, observer, providers)
    watch.seconds |= built.seconds
    watch.cpu_seconds |= built.cpu_seconds
    del dataset
    with watch.stage("open"), open_store(store, reader="parquet") as reader:
        reader.read(reader.example_ids()[-1])
    with watch.stage("verify"):
        report = verify_store(store)
    if not report.ok or report.counts["examples rows"] != posts:
        raise RuntimeError(f"the store is not what was built: {report.problems[:3]}")
    sizes = sum(folder_bytes(store).values())
    return Cost(posts, built.hits, watch.seconds, watch.cpu_seconds, peak_bytes(), sizes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one size, and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--posts", type=int, required=True)
    parser.add_argument("--kb", type=Path)
    parser.add_argument("--hits", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args(arguments)
    cost = _cost(options.folder, options.posts, options.kb, options.hits, options.seed)
    print(json.dumps(cost.as_json()))


if __name__ == "__main__":
    main()
