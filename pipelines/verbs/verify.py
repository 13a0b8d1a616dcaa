"""``ramie verify``: check every byte of a store against its manifest, and repair it on request."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cache.errors import InputError, StoreDamaged
from pipelines.options import add_overrides, note, print_result

if TYPE_CHECKING:
    from cache.checking.copies import Copy
    from cache.checking.repair import RepairReport
    from cache.checking.verify import VerifyReport
    from cache.checking.verify_findings import Look

HELP = "check every byte of a store against its manifest; --repair mends it"
EXAMPLE = "ramie verify data/stores/sample --repair --from /mnt/team/sample"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="bring back what is damaged; what is in the way is moved to STORE.damaged-1, never "
        "deleted",
    )
    parser.add_argument(
        "--from",
        dest="copies",
        action="append",
        default=[],
        metavar="COPY",
        help="repair: folder or URL that may hold files of the store, of any version; repeatable",
    )
    parser.add_argument(
        "--recipe",
        metavar="RECIPE",
        help="repair: build damaged shards again from recordings and local posts, asking nobody",
    )
    parser.add_argument(
        "--bytes",
        action="store_true",
        help="only compare every file with its hash, fast: finds damage, but not what somebody "
        "wrote wrong on purpose",
    )
    add_overrides(parser)


def run(options: argparse.Namespace) -> int:
    """Print what was checked, and each problem with its consequence; 1 where there is one."""
    with _seldom_collecting():
        return _verify(options)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for garbage in cycles seldom: there is next to none, and looking is a tenth of all."""
    before = gc.get_threshold()
    gc.set_threshold(100 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _verify(options: argparse.Namespace) -> int:
    if not options.repair and (options.copies or options.recipe or options.set):
        raise InputError("--from, --recipe and --set tell how to repair. Add --repair.")
    _spare_pandas()
    from cache import read_manifest, verify_store

    repaired = _repair(options) if options.repair else None
    # A store of another version is not damaged: it says what to do with it.
    with suppress(StoreDamaged):
        read_manifest(options.store)
    look = _look()
    if options.bytes:
        from cache.checking.verify_bytes import verify_bytes

        report = verify_bytes(options.store, progress=True)
    else:
        report = verify_store(options.store, look=look, progress=True)
    result: dict[str, object] = {
        "store": str(options.store),
        "counts": dict(report.counts),
        "problems": list(report.problems),
    }
    if repaired is not None:
        result["repair"] = {
            "repaired": repaired.repaired,
            "aside": repaired.aside,
            "lost": repaired.lost,
        }
    lines = [*_told(repaired), *_found(options.store, report)]
    if look is None and not options.bytes:
        lines.append("images were not compared with what is said of them: Pillow is missing")
    print_result(result, "\n".join(lines), options.json)
    return 1 if report.problems else 0


def _spare_pandas() -> None:
    """Import pyarrow without pandas, which it looks for at its first array: a third of a second.

    It looks again where somebody wants a data frame. A process that has either is left as it is.
    """
    if "pyarrow" in sys.modules or "pandas" in sys.modules:
        return
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        import pyarrow

        pyarrow.array([0])
    finally:
        sys.meta_path.remove(absent)


class _Absent:
    """Says that pandas is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("not needed here", name=name)


def _look() -> Look | None:
    """Return what looks at the headers of images; None without Pillow."""
    try:
        from retrieval.sight.headers import wrong_claim
    except ImportError:
        return None
    return wrong_claim


def _repair(options: argparse.Namespace) -> RepairReport:
    from cache import verify_store
    from cache.checking.repair import repair_store

    copies = [_copy(place) for place in options.copies]
    report = repair_store(options.store, copies)
    if options.recipe and (report.lost or not verify_store(options.store).ok):
        # Here, for what follows loads models.
        from pipelines.building import build_recipe
        from pipelines.config import load_recipe
        from pipelines.repairing import repair_by_building
        from retrieval.asking.manner import AskingOptions

        note("building again what no copy holds ...")
        recipe = load_recipe(options.recipe, options.set)
        build = partial(build_recipe, recipe, asking=AskingOptions(offline=True))
        more = repair_by_building(options.store, build)
        report.repaired += more.repaired
        report.aside += more.aside
        report.lost = more.lost
    return report


def _copy(place: str) -> Copy:
    """Return a folder by itself, so that files in it may have any name; anything else by URL."""
    from cache.checking.copies import FolderCopy

    if "://" not in place:
        if not Path(place).is_dir():
            raise InputError(f"--from {place}: there is no such folder. Check the path.")
        return FolderCopy(Path(place))
    from pipelines.sharing.place import open_source

    return open_source(place)


def _told(report: RepairReport | None) -> list[str]:
    if report is None:
        return []
    return [
        *(f"  REPAIRED {what}" for what in report.repaired),
        *(f"  SET ASIDE {what}" for what in report.aside),
        *(f"  NOT REPAIRED {what}" for what in report.lost),
    ]


def _found(store: Path, report: VerifyReport) -> list[str]:
    counted = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    problems = [f"  DAMAGED {problem}" for problem in report.problems]
    last = "every file is what the manifest promises"
    if problems:
        last = (
            f"Repair it from a copy (`ramie verify {store} --repair --from COPY`) or by building "
            "the damaged shards again, asking nobody (`--repair --recipe RECIPE`)."
        )
    return [f"{store}: {counted}", *problems, last]
