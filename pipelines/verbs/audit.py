"""``ramie audit``: does anything about the evidence give the labels away?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.options import add_json, print_result

if TYPE_CHECKING:
    from pipelines.audit.probes import Finding
    from pipelines.audit.store import AuditReport

HELP = "check that numbers about the evidence do not give the labels away, and what splits share"
EXAMPLE = "ramie audit data/stores/sample"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation (5)")
    parser.add_argument("--seed", type=int, default=0, help="of the folds (0)")
    parser.add_argument(
        "--margin",
        type=float,
        help="gain in accuracy over what the post itself tells that is forgiven (0.02)",
    )
    parser.add_argument(
        "--strict-overlap",
        action="store_true",
        help="also fail when splits share photos, sentences or evidence",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print what was found; 1 where a field gives labels away."""
    from pipelines.audit.store import MARGIN, audit_store

    report = audit_store(
        options.store,
        folds=options.folds,
        seed=options.seed,
        margin=MARGIN if options.margin is None else options.margin,
        progress=True,
    )
    failed = bool(report.leaks) or (options.strict_overlap and bool(report.overlaps))
    result: dict[str, object] = {"store": str(options.store), "failed": failed, **report.as_json()}
    print_result(result, "\n".join(_lines(options.store, report)), options.json)
    return 1 if failed else 0


def _lines(store: Path, report: AuditReport) -> Iterator[str]:
    fields = {one.field for one in report.findings}
    yield f"{store}: {report.posts} posts, {len(fields)} fields probed"
    for target in dict.fromkeys(one.target for one in report.findings):
        best = max((o for o in report.findings if o.target == target), key=lambda one: one.gain)
        yield (
            f"  {target:<22} commonest label {best.majority:.3f}, by {best.beside} "
            f"{best.known:.3f}; most by {_what(best)}: {_gain(best)}"
        )
    for found in report.leaks[:_SHOWN]:
        yield (
            f"  LEAK {_what(found)} tells {found.target!r} in {found.accuracy:.3f} of "
            f"{found.posts} posts: {_gain(found)}"
        )
    for overlap in report.overlaps:
        pairs = ", ".join(f"{one} and {other}" for one, other in overlap.examples)
        yield (
            f"  {overlap.posts} posts of {overlap.split} share {overlap.what} with "
            f"{overlap.other}: {pairs}"
        )
    yield f"  looks of {report.photos_compared} photos compared"
    yield _verdict(report)


def _what(found: Finding) -> str:
    column = f" ({found.column})" if found.column else ""
    return f"{found.field}{column}, {found.probe}"


def _gain(found: Finding) -> str:
    return f"{found.gain:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _verdict(report: AuditReport) -> str:
    if not report.leaks:
        return f"no field tells {report.margin:g} more, for sure, than may be known without it"
    return (
        f"{report.leaks[0].field!r} gives the label away: it cannot have been made from posts "
        "alone. Look for annotations in the queries, the object files or the evidence that was "
        "imported, and build the store again without them; a figure measured on it says nothing."
    )
