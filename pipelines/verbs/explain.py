"""``ramie explain``: which evidence mattered to a run, and which errors it makes."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import add_run, add_task, note, print_result

HELP = "show which evidence mattered to a trained run, and analyse its errors"
EXAMPLE = "ramie explain runs/sample --split test --html sample-explained.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_run(parser)
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="default: the store it was trained on"
    )
    add_task(parser)
    parser.add_argument("--split", default="test", choices=("train", "dev", "test"))
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="withhold evidence from N posts only, drawn at random (default: all of the split)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write one HTML page")
    parser.add_argument(
        "--show", type=int, default=50, metavar="N", help="posts on the page (default: 50)"
    )


def run(options: argparse.Namespace) -> int:
    """Explain, print the summary, and write the page."""
    from cache import open_store
    from pipelines.explaining.explanation import explain
    from pipelines.explaining.page import write_page
    from pipelines.explaining.report import report
    from pipelines.runs import store_of_run

    store = options.store or store_of_run(options.run_folder, options.task)
    found = explain(
        options.run_folder,
        store,
        options.split,
        task=options.task,
        limit=options.limit,
        seed=options.seed,
        device=options.device,
        progress=True,
    )
    if options.html is not None:
        with open_store(store, reader="parquet") as source:
            shown = write_page(found, source, options.html, options.show)
        note(f"{options.html}: {shown} posts")
    print_result(found.to_json(), report(found), options.json)
    return 0
