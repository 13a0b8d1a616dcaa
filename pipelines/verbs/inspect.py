"""``ramie inspect``: one self-contained HTML page that shows what a store holds."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write one HTML page with posts, photos, kept and dropped evidence"
EXAMPLE = "ramie inspect data/stores/sample --html sample.html --limit 20"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    parser.add_argument("--html", type=Path, metavar="FILE", help="default: STORE's name + .html")
    parser.add_argument("--limit", type=int, default=50, help="posts shown (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="which posts are drawn (default: 0)")
    parser.add_argument("--post", action="append", metavar="ID", help="show this post; repeatable")


def run(options: argparse.Namespace) -> int:
    """Write the page and print its path."""
    from cache import open_store
    from pipelines.page.page import write_page

    page = options.html or Path(f"{options.store.name}.html")
    with open_store(options.store, reader="parquet") as store:
        write_page(store, page, example_ids=options.post, limit=options.limit, seed=options.seed)
    print(page)
    return 0
