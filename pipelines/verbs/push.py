"""``ramie push``: hand a store on; only what is missing travels."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.options import add_json, print_result
from pipelines.recipe_files import RecipeError
from pipelines.sharing.report import add_common, as_json, as_text

if TYPE_CHECKING:
    from pipelines.sharing.agreed import Travelled

HELP = "hand a store on: to a folder, s3://, or what else fsspec knows"
EXAMPLE = "ramie push data/stores/sample s3://team/sample"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    parser.add_argument(
        "url",
        metavar="URL",
        help="folder, s3://BUCKET/FOLDER, or another scheme with its fsspec package (hf, gs); "
        "endpoint and keys come from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...)",
    )
    parser.add_argument(
        "--evidence-only",
        action="store_true",
        help="leave out posts, image bytes and recordings; who has the posts fills them in again "
        "with `ramie pull --dataset`",
    )
    parser.add_argument(
        "--leave-out-texts-of",
        action="append",
        default=[],
        metavar="PROVIDER",
        help="with --evidence-only: leave out what this provider says, too; repeatable",
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove shards that the new manifest does not name, and recordings where posts are "
        "left out",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="read back what is there already, and send again what is wrong",
    )
    add_common(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Push, and print what travelled."""
    if options.leave_out_texts_of and not options.evidence_only:
        raise RecipeError("--leave-out-texts-of goes with --evidence-only. Add it.")
    done = _push_evidence(options) if options.evidence_only else _push(options, options.store)
    text = as_text(done, f"pushed {options.store} to {options.url}", options.url)
    print_result(as_json(done, str(options.store), options.url), text, options.json)
    return 0


def _push_evidence(options: argparse.Namespace) -> Travelled:
    from cache.operations.withhold import withhold_store

    # Recordings quote the posts in their queries, and hold the images.
    options.no_recordings = True
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "store"
        withhold_store(options.store, out, texts_of=options.leave_out_texts_of)
        return _push(options, out)


def _push(options: argparse.Namespace, store: Path) -> Travelled:
    from pipelines.sharing.push import PushOptions, push

    how = PushOptions(
        recordings=not options.no_recordings,
        replace=options.replace,
        prune=options.prune,
        check=options.check,
        threads=options.threads,
    )
    return push(store, options.url, how)
