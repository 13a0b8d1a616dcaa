"""Run by test_training_*: trains in a process of its own, that may be killed or one of several."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from model_helpers import MemoryStore, evidence, model_settings, stored, train_settings

from cache.errors import RamieError
from cache.records import Span
from model.training import train
from model.training.ranks import EndedElsewhere

# Exit codes of a process that says nothing because the first one does.
SILENT = 3


def store_of(posts: int = 22, longest: int = 9) -> MemoryStore:
    """Return posts of 3 to ``longest`` words with 0 to 3 texts and maybe a photo; two labels."""
    made = []
    for number in range(posts + 8):
        split = "train" if number < posts else "dev"
        name = "".join(chr(97 + (number * step + step) % 26) for step in (3, 5, 7))
        words = ["the", name, "sings", *["river"] * (number % (longest - 2))]
        kept = [
            evidence("sentence", "text", rank, f"{name} is a person", number + rank)
            for rank in range(number % 4)
        ]
        if number % 3 == 0:
            kept.append(evidence("image", "image", 0, seed=number))
        made.append(
            stored(
                f"{split}-{number:03}",
                words,
                kept=kept,
                photo=number % 5 == 0,
                entities=(Span(1, 2, ("PER", "LOC")[number % 2]),),
                split=split,
            )
        )
    return MemoryStore(made)


def relations_of(posts: int = 10) -> MemoryStore:
    """Return posts of a relation or none, for a system of both tasks."""
    made = [
        stored(
            f"relation-{number}",
            [chr(97 + number), ("in", "sings")[number % 2], "tamber"],
            kept=[evidence("sentence", "text", 0, "tamber is a place", number)],
            relation=("in", "None")[number % 2],
            mentions=(Span(0, 1), Span(2, 3)),
            split="train" if number < posts else "dev",
        )
        for number in range(posts + 2)
    ]
    return MemoryStore(made)


def run(order: dict[str, Any]) -> None:
    """Train as ordered."""
    store = store_of(**order.get("store", {}))
    if "die_at" in order:
        _die_at(order["die_at"], order.get("busy_s", 0.0))
    if "rests" in order:
        _rest_at(dict(order["rests"]))
    if "room_mb" in order:
        _leave_room(order["room_mb"])
    report = train(
        store,
        "entities",
        model_settings(**order.get("model", {})),
        train_settings(**order.get("train", {})),
        Path(order["out"]),
        second=relations_of() if order.get("second") else None,
        device="cpu",
        save_every_s=order.get("save_every_s", 120.0),
        trackers=order.get("trackers", ()),
    )
    if report.first:
        print(json.dumps({"steps": report.steps, "best_f1": report.best_f1}))


def _die_at(step: int, busy_s: float) -> None:
    """Have the second process killed when it begins a step; the first is busy for so long."""
    import model.training.plan

    parts = model.training.plan.Plan.parts

    def disturbed(self: Any, at: int, ranks: Any) -> Any:
        if at == step:
            if ranks.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(busy_s)
        return parts(self, at, ranks)

    model.training.plan.Plan.parts = disturbed  # type: ignore[method-assign,assignment]


def _rest_at(rests: dict[int, float]) -> None:
    """Have the training do nothing for so many seconds where a step begins, by its number."""
    import model.training.plan

    parts = model.training.plan.Plan.parts

    def resting(self: Any, at: int, ranks: Any) -> Any:
        time.sleep(rests.get(at, 0.0))
        return parts(self, at, ranks)

    model.training.plan.Plan.parts = resting  # type: ignore[method-assign,assignment]


def _leave_room(megabytes: int) -> None:
    """Let this process have so much more memory than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    try:
        run(json.loads(sys.argv[1]))
    except EndedElsewhere:
        sys.exit(SILENT)
    except RamieError as error:
        print(f"ERROR {error}", file=sys.stderr, flush=True)
        sys.exit(1)
