"""A disk that is full: the build says so, and with more room the same command finishes it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from cache.errors import InputError
from cache.store import open_store
from pipelines.options import note
from pipelines.soak.children import answer
from pipelines.soak.outcome import add_options, conclude, working_folder
from pipelines.soak.stories import Story, stories

HELP = "build onto small disks of many sizes, make room, build on, and compare"
_PAGE_BYTES: Final = 4096
_ROOM: Final = "64m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the soak takes."""
    parser.add_argument("--sizes", type=int, default=30, help="disks (default: %(default)s)")
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Fill disks, and print what came of it; 1 where something was not as it must be."""
    with working_folder(options.work) as folder:
        result = soak(folder, options.sizes, note)
    return conclude(result, options.json)


def soak(folder: Path, sizes: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Build onto disks from one page to just enough, and read from the last ones.

    Args:
        folder: empty.
        sizes: how many of them, for every story.
        say: told how far it is.

    Raises:
        InputError: nothing may be mounted here, or a step of the soak itself failed.
    """
    filled: Counter[str] = Counter()
    problems: list[str] = []
    with stories(folder) as told:
        for story in told[:2]:
            first = 0 if story.start is None else _num_pages(story.start)
            last = first + _num_pages(folder / story.name.replace(" ", "-"))
            for place in range(sizes):
                pages = first + 1 + (last - first) * place // (sizes - 1)
                with disk(folder / "disk", pages) as store:
                    full, found = _fill(story, store)
                filled["full" if full else "enough"] += 1
                problems += [f"{pages} pages, {problem}" for problem in found]
                say(f"{story.name}, {pages} of {last} pages, {len(problems)} problems")
        found, derived = _derive(folder / "fresh", folder / "disk", sizes)
    problems += found
    return {"disks": filled, "disks for derived files": derived, "problems": problems}


@contextmanager
def disk(folder: Path, pages: int) -> Iterator[Path]:
    """Yield a folder on a file system of so many pages, mounted at ``folder``.

    Raises:
        InputError: nothing may be mounted here.
    """
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={pages * _PAGE_BYTES}", "none", str(folder))
    try:
        yield folder / "store"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_room(folder: Path) -> None:
    """Give the file system at ``folder`` all that is needed."""
    _mount("-o", f"remount,size={_ROOM}", str(folder))


def _fill(story: Story, store: Path) -> tuple[bool, list[str]]:
    """Return whether the disk was too small, and what was not as it must be."""
    # What builds say has to have room elsewhere.
    log = store.parent.with_suffix(".log")
    if story.start is not None:
        shutil.copytree(story.start, store)
    log.write_bytes(b"")
    code = story.build(store, log)
    said = log.read_text(errors="replace")
    problems = [f"ended with {code}"] if code not in (0, 1) else []
    if "Traceback" in said or (code and "Free some space" not in said):
        problems.append("is not explained")
    make_room(store.parent)
    return code == 1, [*problems, *story.finish(store, log)]


def _derive(built: Path, place: Path, sizes: int) -> tuple[list[str], Counter[str]]:
    """Read a store with too little room for the files that are derived from it."""
    problems: list[str] = []
    derived: Counter[str] = Counter()
    log, local = place.with_suffix(".log"), built / "local"
    first = _num_pages(built)
    whole = answer(lambda: _read(built), log)
    last = first + _num_pages(local)
    shutil.rmtree(local)
    for nth in range(sizes):
        pages = first + 1 + (last - first) * nth // (sizes - 1)
        with disk(place, pages) as store:
            shutil.copytree(built, store)
            if answer(partial(_read, store), log) != whole:
                problems.append(f"{pages} pages: something else is read")
            made = any(store.glob("local/features-*"))
            derived["derived" if made else "read from the shards"] += 1
    return problems, derived


def _read(store: Path) -> list[str]:
    # Nowhere else to derive files to.
    os.environ["XDG_CACHE_HOME"] = str(store)
    with open_store(store) as reader:
        return [repr(reader.read(name)) for name in reader.example_ids()]


def _num_pages(folder: Path) -> int:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(-(-size // _PAGE_BYTES) for size in sizes)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(
            f"no small disk can be mounted here ({done.stderr.strip()}). Run the soak where one "
            "can: `unshare --map-root-user --mount python -m pipelines.soak full-disk`."
        )
