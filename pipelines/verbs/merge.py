"""``ramie merge``: one store from stores that different people built."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.options import add_json, print_result

if TYPE_CHECKING:
    from pydantic import JsonValue

    from cache.operations.merge import MergeReport

HELP = "make one store of several: parts of one build, or stores of different builds"
EXAMPLE = "ramie merge data/stores/ours data/stores/mine data/stores/yours"
_SHOWN: Final = 10
_DIGITS: Final = 12
_CONFLICTS: Final = {
    "equal": "posts are in several stores with the same evidence",
    "evidence": "posts are in several stores with other evidence",
    "post": "ids have different posts in several stores",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the merged store")
    parser.add_argument(
        "stores", type=Path, metavar="STORE", nargs="+", help="folders; nothing is written there"
    )
    parser.add_argument(
        "--prefer",
        choices=("first", "latest"),
        help="whom to believe where an id has different posts: the store named first (it then "
        "wins wherever stores differ), or the one whose evidence was found last; without it such "
        "posts are refused, and other evidence is taken from where it was found last",
    )
    parser.add_argument(
        "--mixed", action="store_true", help="merge stores of different settings all the same"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Merge, and print what was taken from where."""
    from tqdm import tqdm

    from cache.operations.merge import merge_stores

    with tqdm(unit="shard", desc=options.out.name, disable=None) as bar:

        def done(finished: int, total: int) -> None:
            bar.total = total
            bar.update(finished - bar.n)

        report = merge_stores(
            options.out,
            options.stores,
            prefer=options.prefer,
            mixed=options.mixed,
            same_build=_same_build,
            done=done,
        )
    print_result(_json(options, report), "\n".join(_lines(options, report)), options.json)
    return 0


def _same_build(one: Mapping[str, JsonValue], other: Mapping[str, JsonValue]) -> bool:
    from retrieval.building.identity import compare

    # Without the fingerprints of a builder, every setting decides.
    if "fingerprints" in one and "fingerprints" in other:
        return compare(dict(one), other) == "same"
    return one == other


def _json(options: argparse.Namespace, report: MergeReport) -> dict[str, object]:
    manifest = report.manifest
    return {
        "out": str(options.out),
        "fingerprint": manifest.fingerprint,
        "posts": manifest.num_examples,
        "unfinished": list(manifest.unfinished),
        "withheld": list(manifest.withheld),
        "stores": [
            {"path": str(path), "fingerprint": name, "taken": report.num_taken[name]}
            for path, name in report.stores
        ],
        "differing": list(report.differing),
        "conflicts": [one._asdict() for one in report.conflicts],
        "feature_sets_left_out": dict(report.left_out),
        "finished_elsewhere": list(report.finished),
        "compared_alike": manifest.compared_alike,
        "recorded_answers": report.num_answers,
    }


def _lines(options: argparse.Namespace, report: MergeReport) -> Iterator[str]:
    manifest = report.manifest
    yield (
        f"{options.out}: {manifest.num_examples} posts in {len(manifest.shards)} shards, "
        f"{len(manifest.unfinished)} unfinished, {report.num_answers} recorded answers"
    )
    for path, name in report.stores:
        yield f"  {report.num_taken[name]} posts from {path} ({name[:_DIGITS]})"
    if report.differing:
        yield f"  settings differ: {', '.join(report.differing)}"
    yield from _conflicts(report)
    for name, why in report.left_out.items():
        yield f"  without the feature set {name}: {why}; build again to add it"
    if report.finished:
        yield f"  {len(report.finished)} posts that one store left unfinished are in another"
    if manifest.withheld:
        yield f"  no store has all of the {' and '.join(manifest.withheld)}"
    silent = [str(path) for path, _ in report.stores if not (path / "recordings").is_dir()]
    if silent and report.num_answers:
        yield f"  {', '.join(silent)} came without recordings; `ramie verify` says what is lacking"
    if not manifest.compared_alike:
        yield (
            "  the consistency of evidence was scored by different references; where all posts "
            "are of one recipe, `ramie build RECIPE --offline` on the merged store mends it"
        )


def _conflicts(report: MergeReport) -> Iterator[str]:
    counts = Counter[str](one.kind for one in report.conflicts)
    for kind, meaning in _CONFLICTS.items():
        if counts[kind]:
            yield f"  {counts[kind]} {meaning}"
    settled = [one for one in report.conflicts if one.kind != "equal"]
    for one in settled[:_SHOWN]:
        others = ", ".join(name[:_DIGITS] for name in one.stores if name != one.taken)
        yield f"    {one.example_id!r}: {one.kind} of {one.taken[:_DIGITS]}, not of {others}"
    if len(settled) > _SHOWN:
        yield f"    and {len(settled) - _SHOWN} more; --json names all of them"
