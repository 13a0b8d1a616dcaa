"""``ramie migrate``: a store of an older schema, written anew in this one."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import add_json, print_result

HELP = "write a store of an older schema anew in the present one; nobody is asked"
EXAMPLE = "ramie migrate data/stores/old data/stores/new"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument(
        "store", type=Path, metavar="STORE", help="folder of the store; nothing is written there"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the new store")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Write the new store and print what it holds."""
    from cache.operations.migrate import migrate_store

    manifest = migrate_store(options.store, options.out)
    result = {
        "store": str(options.store),
        "out": str(options.out),
        "posts": manifest.num_examples,
        "fingerprint": manifest.fingerprint,
        "schema_version": manifest.schema_version,
        "migrated_from": manifest.identity["migrated_from"],
    }
    text = (
        f"{options.out}: {manifest.num_examples} posts of {options.store}, now in schema "
        f"{manifest.schema_version}\n  What the older schema did not know is empty; "
        "building again from the recordings would fill it."
    )
    print_result(result, text, options.json)
    return 0
