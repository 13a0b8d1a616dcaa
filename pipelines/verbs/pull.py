"""``ramie pull``: fetch a store; only what is missing travels, and all of it is compared."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import add_json, print_result
from pipelines.recipe_files import RecipeError
from pipelines.sharing.report import add_common, as_json, as_text

HELP = "fetch a store: from a folder, s3://, https://, or what else fsspec knows"
EXAMPLE = "ramie pull s3://team/sample data/stores/sample"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("url", metavar="URL", help="where `ramie push` put it, or a web server")
    parser.add_argument("store", type=Path, metavar="STORE", help="folder to put the store into")
    parser.add_argument(
        "--dataset",
        type=Path,
        metavar="ROOT",
        help="fill in posts and photos that were left out, from this copy of the raw data set; "
        "what was pulled is kept in STORE.evidence, so that the next pull goes on from there",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="with --dataset: folder of its photos (default: where the format has them)",
    )
    add_common(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Pull, and print what travelled; 1 where posts could not be filled in."""
    from pipelines.sharing.pull import PullOptions, pull

    if options.photos is not None and options.dataset is None:
        raise RecipeError("--photos goes with --dataset. Add it.")
    target: Path = options.store
    if options.dataset is not None:
        target = target.with_name(f"{target.name}.evidence")
    how = PullOptions(
        recordings=not options.no_recordings, replace=options.replace, threads=options.threads
    )
    done = pull(options.url, target, how)
    result = as_json(done, str(options.store), options.url)
    lines = [as_text(done, f"pulled {options.url} into {target}", options.url)]
    code = 0
    if options.dataset is not None:
        joined, said, code = _join(options, target)
        result["joined"] = joined
        lines += said
    lines.append(f"`ramie verify {options.store}` checks what the files say.")
    print_result(result, "\n".join(lines), options.json)
    return code


def _join(options: argparse.Namespace, evidence: Path) -> tuple[object, list[str], int]:
    """Fill in posts and photos; return the report, what to say of it, and the exit code."""
    from cache import read_manifest
    from pipelines.sharing.join import dataset_settings, join_dataset
    from retrieval.datasets import read_dataset

    settings = dataset_settings(read_manifest(evidence), options.dataset, options.photos)
    report = join_dataset(evidence, options.store, read_dataset(settings))
    whole = " (the store that things were left out of)" if report.restored else ""
    lines = [f"joined into {options.store}: {len(report.filled)} posts filled in{whole}"]
    for what, names in (
        ("posts that differ here, left out", report.differing),
        ("posts that are missing here, left out", report.missing),
        ("posts that only the data set has", report.extra),
        ("photos that differ here", report.photos_differing),
        ("photos that are missing here", report.photos_missing),
    ):
        if names:
            more = ", ..." if len(names) > _SHOWN else ""
            lines.append(f"  {what}: {len(names)} ({', '.join(names[:_SHOWN])}{more})")
    return report.as_json(), lines, 1 if report.differing or report.missing else 0
