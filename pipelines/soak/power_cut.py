"""After a power cut: killed, and what was written last is cut, zeroed, or has lost its name."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cache.files import TEMPORARY
from cache.writing.journal import JOURNAL_NAME
from cache.writing.lock import LOCK_NAME
from pipelines.options import note
from pipelines.soak.kill import killed
from pipelines.soak.outcome import add_options, conclude, working_folder
from pipelines.soak.stories import stories

HELP = "kill a build, cut or zero what it wrote last, let it go on, and compare"
_LAST_FILES: Final = 6
_DAMAGES: Final = (
    "emptied",
    "cut",
    "lacks a byte",
    "zeros at its end",
    "zeros after it",
    "unnamed",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the soak takes."""
    parser.add_argument("--times", type=int, default=100, help="cuts (default: %(default)s)")
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Cut, and print what came of it; 1 where something was not as it must be."""
    with working_folder(options.work) as folder:
        result = soak(folder, options.times, options.seed, note)
    return conclude(result, options.json)


def soak(folder: Path, times: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Kill builds, damage what they wrote last, and compare what the next run makes of it.

    Answers that are lost are asked again where a shard still needs them, and missing otherwise:
    so the recordings are not compared.

    Args:
        folder: empty.
        times: stores.
        seed: of moments, files and damage.
        say: told how far it is.

    Raises:
        InputError: a step of the soak itself failed.
    """
    rng, store = random.Random(seed), folder / "store"
    damages: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    problems: list[str] = []
    with stories(folder) as told:
        while damages.total() < times:
            story = told[damages.total() % 2]
            log = story.begin(store)
            old = set(_files(store))
            child = killed(story, store, log, rng)
            written = sorted(set(_files(store)) - old, key=lambda path: path.stat().st_mtime_ns)
            if not written:
                continue
            path = rng.choice(written[-_LAST_FILES:])
            damage = rng.choice(_DAMAGES)
            # What was synced before a manifest named it keeps its length and its content.
            if damage == "zeros at its end" and not (store / JOURNAL_NAME).exists():
                damage = "cut"
            _damage(path, damage, rng)
            damages[damage] += 1
            kind = path.parent.name if path.parent != store else path.name
            kinds[kind] += 1
            found = story.finish(store, log, answers=False)
            problems += [f"{kind} {damage}: {problem} ({child.phase})" for problem in found]
            say(f"{damages.total()} of {times} cuts, {len(problems)} problems")
    return {"cuts": damages.total(), "by damage": damages, "by file": kinds, "problems": problems}


def _files(store: Path) -> list[Path]:
    """Return what a power cut may take and somebody would miss: no lock, nothing half-written."""
    files = (path for path in store.rglob("*") if path.is_file())
    return [p for p in files if p.name != LOCK_NAME and not p.name.startswith(TEMPORARY)]


def _damage(path: Path, damage: str, rng: random.Random) -> None:
    data = path.read_bytes()
    some = rng.randint(1, max(len(data) - 1, 1))
    match damage:
        case "emptied":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[:-some])
        case "lacks a byte":
            path.write_bytes(data[:-1])
        case "zeros at its end":
            path.write_bytes(data[:-some] + bytes(some))
        case "zeros after it":
            path.write_bytes(data + bytes(some))
        case "unnamed":
            path.rename(path.with_name(f"{TEMPORARY}1-{path.name}"))
