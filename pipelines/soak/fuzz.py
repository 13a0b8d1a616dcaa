"""Stores changed at random, with hashes that fit: none may do more than be refused.

What is tried runs in processes of its own: a decoder that dies, hangs or takes all memory is
seen, and the store that did it is kept with as few changes as do it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cache import RamieError, open_store, read_manifest, verify_store
from cache.card import data_card
from cache.store import ReaderName
from pipelines.options import note
from pipelines.soak.children import ended, fork
from pipelines.soak.mutants import Files, files_of, mutant, small_store
from pipelines.soak.outcome import add_options, conclude, working_folder

HELP = "change small stores at random, with hashes that fit, and read them in child processes"
_BATCH: Final = 400
_LIMIT_S: Final = 20
_MOST_BYTES: Final = 1 << 30
_ADDRESS_BYTES: Final = 6 << 30
_KEPT: Final = 20


@dataclass(slots=True, eq=False)
class Fuzzed:
    """What happened.

    Attributes:
        tried: stores.
        ends: how reading them ended, by what was said.
        most_bytes: of memory that one store took.
        most_seconds: that one store took.
        problems: what was no named error; each with the folder in which the store is kept.
    """

    tried: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    most_bytes: int = 0
    most_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "stores": self.tried,
            "ends": dict(self.ends.most_common()),
            "most MiB": self.most_bytes >> 20,
            "most seconds": round(self.most_seconds, 2),
            "problems": self.problems,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the soak takes."""
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz"), help="keeps stores that did harm (default: fuzz)"
    )
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Fuzz, and print what came of it; 1 where a store did more than be refused."""
    with working_folder(options.work) as folder:
        fuzzed = soak(folder, options.minutes * 60, options.seed, options.out, note)
    return conclude(fuzzed.as_json(), options.json)


def soak(folder: Path, seconds: float, seed: int, out: Path, say: Callable[[str], None]) -> Fuzzed:
    """Read changed stores below ``folder`` for some seconds, and keep in ``out`` what does harm.

    Args:
        folder: empty.
        seconds: how long; one store is tried in any case.
        seed: of the changes; store number n is the same in each run with it.
        out: made where something is kept.
        say: told now and then how far it is.
    """
    small_store(folder / "sound")
    sound, fuzzed = files_of(folder / "sound"), Fuzzed()
    # All that is imported by reading is imported before the children are made.
    attempt(folder / "sound")
    end = time.monotonic() + seconds
    while not fuzzed.tried or time.monotonic() < end:
        first = fuzzed.tried
        steps = [steps_of(seed, first + number) for number in range(_BATCH)]
        for one, what in _batch(folder, sound, steps, fuzzed, end):
            fuzzed.problems.append(_keep(folder, sound, one, what, out, fuzzed))
        say(f"{fuzzed.tried} stores, {len(fuzzed.problems)} problems")
    return fuzzed


def steps_of(seed: int, number: int) -> list[float]:
    """Return the changes that make store ``number``."""
    rng = random.Random(f"{seed} {number}")
    return [rng.random() for _ in range(rng.choice((1, 1, 1, 2, 3)))]


def attempt(store: Path) -> str:
    """Do to a store what is done to one that arrives; return how it ended."""
    said = verify_store(store).problems
    ends = ["sound" if not said else "named"]
    readers: tuple[ReaderName, ...] = ("parquet", "packed")
    for reader in readers:
        try:
            with open_store(store, reader=reader) as opened:
                for name in opened.example_ids():
                    stored = opened.read(name)
                    opened.features(name)
                    opened.dropped(name)
                    if stored.observation.photo_key:
                        opened.media(stored.observation.photo_key)
            ends.append("read")
        except RamieError as error:
            ends.append(type(error).__name__)
    with suppress(RamieError):
        data_card(read_manifest(store))
    return ", ".join(ends)


def _batch(
    folder: Path, sound: Files, steps: Sequence[list[float]], fuzzed: Fuzzed, end: float
) -> list[tuple[list[float], str]]:
    """Try changed stores in one child; return those that did harm, and what they did."""
    told = folder / "told"
    told.unlink(missing_ok=True)

    def work() -> int:
        # Killed by it, as by what the decoder may do: the parent sees both.
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, _ADDRESS_BYTES))
        with told.open("w") as log:
            for number, one in enumerate(steps):
                if number and time.monotonic() > end:
                    break
                log.write(json.dumps(_tried(folder / "store", sound, one)) + "\n")
                log.flush()
        return 0

    code = ended(fork(work, folder / "log"))
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    fuzzed.tried += len(lines) + (code != 0)
    harmful = []
    for one, line in zip(steps, lines, strict=False):
        fuzzed.ends[line["end"]] += 1
        fuzzed.most_bytes = max(fuzzed.most_bytes, line["bytes"])
        fuzzed.most_seconds = max(fuzzed.most_seconds, line["seconds"])
        if line["wrong"]:
            harmful.append((one, line["wrong"]))
    if code:
        harmful.append((steps[len(lines)], f"the process ended with {code}"))
    return harmful


def _tried(store: Path, sound: Files, steps: Sequence[float]) -> dict[str, Any]:
    write(store, mutant(sound, steps))
    Path("/proc/self/clear_refs").write_text("5")
    before, began = _memory("VmRSS"), time.monotonic()
    signal.alarm(_LIMIT_S)
    wrong = ""
    try:
        result = attempt(store)
    except Exception as error:
        result = f"{type(error).__name__}"
        wrong = f"{type(error).__name__}: {str(error)[:200]}"
    signal.alarm(0)
    taken = _memory("VmHWM") - before
    if taken > _MOST_BYTES:
        wrong = wrong or f"it took {taken >> 20} MiB"
    seconds = time.monotonic() - began
    return {"end": result, "wrong": wrong, "bytes": taken, "seconds": seconds}


def write(store: Path, files: Files) -> None:
    """Put files into a folder, and nothing else."""
    shutil.rmtree(store, ignore_errors=True)
    for name, data in files.items():
        path = store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _memory(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


def _keep(
    folder: Path, sound: Files, steps: list[float], what: str, out: Path, fuzzed: Fuzzed
) -> str:
    """Keep a store that does harm with as few changes as do it; return what is said of it."""
    for step in list(steps):
        fewer = [one for one in steps if one != step]
        if fewer and _batch(folder, sound, [fewer], Fuzzed(), time.monotonic() + _LIMIT_S):
            steps = fewer
    if len(fuzzed.problems) >= _KEPT:
        return f"{what} (steps {steps})"
    place = out / f"{len(fuzzed.problems):02d}-{os.getpid()}"
    write(place, mutant(sound, steps))
    return f"{what}: kept in {place} (steps {steps})"
