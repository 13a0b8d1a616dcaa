"""``ramie build``: observe, ask, curate, write; goes on where an earlier run stopped."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.options import add_recipe, note, print_result, read_recipe

if TYPE_CHECKING:
    from retrieval.building.report import BuildReport

HELP = "build the store of a recipe: observe, ask, curate, write; resumes"
EXAMPLE = "ramie build sample --set curate.keep_per_stream=3"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_recipe(parser)
    asking = parser.add_mutually_exclusive_group()
    asking.add_argument(
        "--offline",
        action="store_true",
        help="ask no live provider: recordings answer, and what they lack is counted",
    )
    asking.add_argument(
        "--refresh",
        type=_days,
        metavar="DAYS",
        help="ask live providers again for answers older than this",
    )
    asking.add_argument(
        "--recurate",
        action="store_true",
        help="only apply new [curate] settings to a finished store: ask, fetch, detect and embed "
        "nothing",
    )
    parser.add_argument(
        "--part",
        type=_part,
        metavar="K/N",
        help="build one of N parts and leave the other posts unfinished, for teammates who build "
        "the other parts; `ramie merge` makes one store of them",
    )
    parser.add_argument(
        "--max-queries", metavar="N", help="ask live providers at most N questions in this run"
    )
    parser.add_argument(
        "--max-minutes", metavar="M", help="ask live providers nothing later than after M minutes"
    )
    _add_engine(parser)


def run(options: argparse.Namespace) -> int:
    """Build, and print what was done; 1 where posts are left unfinished."""
    for name in ("max_queries", "max_minutes"):
        if getattr(options, name) is not None:
            options.set.append(f"ask.polite.{name}={getattr(options, name)}")
    if options.engine != "ray" and (stray := _given(options)):
        note(f"ramie build: {next(iter(stray))} is for a cluster; say --engine ray, too.")
        return 2
    recipe, store = read_recipe(options)
    # After the recipe was found right: what follows loads models.
    from pipelines.building import build_recipe
    from retrieval.asking.manner import AskingOptions
    from retrieval.engines.ray_engine import RayOptions

    asking = AskingOptions(options.offline, options.refresh, options.recurate, options.part)
    given = {name: getattr(options, name) for name in _given(options).values()}
    ray = RayOptions(**given) if options.engine == "ray" else None
    report = build_recipe(recipe, store, asking=asking, ray=ray)
    text = _text(str(store), report)
    if options.part is not None:
        text += "\nthe posts of the other parts are unfinished until `ramie merge` has all parts"
    print_result({"store": str(store), **report.as_json()}, text, options.json)
    return 1 if report.unfinished else 0


def _add_engine(parser: argparse.ArgumentParser) -> None:
    """Add where posts are looked at; none of it changes the store."""
    group = parser.add_argument_group("where models look at posts (no byte of the store changes)")
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="local: this machine (default); ray: a Ray cluster, by Ray Data (extra [ray])",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of a cluster that runs, or auto; without it, one is started on this machine",
    )
    group.add_argument(
        "--workers", type=int, metavar="N", help="processes that look (default: what has room)"
    )
    group.add_argument("--cpus", type=float, metavar="C", help="that each of them takes (1)")
    group.add_argument(
        "--gpus", type=float, metavar="G", help="that each takes; 0.5 puts two on one GPU (0)"
    )
    group.add_argument(
        "--ship-photos",
        action="store_true",
        default=None,
        help="send photos to the nodes; otherwise they read them under the same paths as here",
    )


def _given(options: argparse.Namespace) -> dict[str, str]:
    """Return the attribute of each option for a cluster that was given."""
    names = ("address", "workers", "cpus", "gpus", "ship_photos")
    return {f"--{n.replace('_', '-')}": n for n in names if getattr(options, n) is not None}


def _days(text: str) -> float:
    days = float(text)
    if not days >= 0:
        raise ValueError
    return days


def _part(text: str) -> tuple[int, int]:
    number, of = (int(one) for one in text.split("/"))
    if not 1 <= number <= of:
        raise ValueError
    return number, of


def _fetches(counts: Mapping[str, int]) -> list[str]:
    if not any(counts.values()):
        return []
    unavailable = counts["unavailable"]
    lines = [
        f"  pages and images fetched {counts['fetched']}, failed for good {counts['failed']}, "
        f"unavailable {unavailable}"
    ]
    if unavailable:
        lines.append(f"  {unavailable} pages and images have no recording; run again online")
    return lines


def _text(store: str, report: BuildReport) -> str:
    lines = [
        f"{store}: {report.action} in {report.wall_seconds:.1f} s",
        f"  questions asked {report.asked}, answered from recordings "
        f"{report.answered_from_recordings}, unavailable {report.unavailable} (blocked "
        f"{report.blocked})",
        *(
            f"  {number} questions to provider {name} have no recording; run without --offline"
            for name, number in report.missing.items()
        ),
        *_fetches(report.fetches),
        *(f"  arrays of {name}: {number}" for name, number in report.num_arrays.items()),
        *(f"  {name:<28} {count}" for name, count in report.counters.items()),
        *(f"  photo {reason}: {count}" for reason, count in report.photo_problems.items()),
    ]
    if report.seconds:
        shares = ", ".join(f"{name} {value:.0%}" for name, value in report.shares.items())
        lines.append(f"  where the time went (stages overlap): {shares}")
    if report.outdated:
        lines.append(f"  {report.outdated} older answers could not be renewed and are kept")
    for post in report.unfinished[:_SHOWN]:
        lines.append(f"  UNFINISHED {post.example_id}: {post.reason}")
    if report.unfinished:
        lines.append(
            f"{len(report.unfinished)} posts are unfinished: run the same command again to ask "
            "only what is missing."
        )
    return "\n".join(lines)
