"""``ramie bench``: how fast building, reading and training are, and what evidence is worth."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from pipelines.options import add_json, note, print_result

HELP = "measure building, reading, training (ratios within one run) and evidence"
EXAMPLE = "ramie bench evidence --only texts --only images"
PARTS = ("build", "read", "train")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument(
        "part",
        nargs="*",
        metavar="PART",
        help=f"any of {', '.join(PARTS)} (default: these), evidence (takes half an hour), "
        "store (takes a quarter of an hour)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WHAT",
        help="evidence: texts, images, noise, consistency, leaks, storage, speed, asking or "
        "robustness; store: writing, reading, loader, cold, verify, open, scale, building, "
        "size or sharing; train: step, padding, ddp, or with other lengths of texts names or "
        "long (default: the first three); "
        "repeatable (default: all)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("data/bench"),
        metavar="DIR",
        help="evidence: folder for what takes long; finished work in it is taken as it is; "
        "store: folder, on a disk, for what is removed afterwards",
    )
    parser.add_argument(
        "--posts",
        type=int,
        help="posts to build (60), to read, or of the store (20000); train: of a batch (16)",
    )
    parser.add_argument("--seed", type=int, help="of what is made up (0; evidence: 21 to 23)")
    parser.add_argument(
        "--recipe",
        help="build: this recipe's data and models, not the sample world with models of full "
        "size; train: whose store and text encoder padding is counted with "
        "(twitter2017-recorded)",
    )
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="train: the store (default: data/stores/NAME)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON to FILE")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, and print a table of every figure."""
    measure = {
        "build": _build,
        "read": _read,
        "train": _train,
        "evidence": _evidence,
        "store": _store,
    }
    unknown = sorted(set(options.part) - set(measure))
    if unknown:
        note(f"ramie bench: unknown part {unknown[0]!r}; known are {', '.join(measure)}.")
        return 2
    result: dict[str, Mapping[str, object]] = {}
    for part in options.part or PARTS:
        note(f"measuring {part} ...")
        result[part] = measure[part](options)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    lines = [
        f"{part:<6} {name:<32} {value:,.2f}"
        if isinstance(value, float)
        else f"{part:<6} {name:<32} {value}"
        for part, figures in result.items()
        if part not in ("evidence", "store", "train")  # their rows were printed as they came
        for name, value in figures.items()
    ]
    print_result(result, "\n".join(lines), options.json)
    return 0


def _build(options: argparse.Namespace) -> Mapping[str, object]:
    from pipelines.bench.build import bench_build
    from pipelines.config import load_recipe

    recipe = load_recipe(options.recipe, options.set) if options.recipe else None
    return bench_build(options.posts or 60, options.seed or 0, recipe)


def _read(options: argparse.Namespace) -> Mapping[str, object]:
    from pipelines.bench.read import bench_read

    return bench_read(options.posts or 20_000, options.seed or 0)


def _evidence(options: argparse.Namespace) -> Mapping[str, object]:
    from pipelines.bench.evidence import FIRST_SEED, bench_evidence

    say = note if options.json else print
    seed = FIRST_SEED if options.seed is None else options.seed
    return bench_evidence(options.only, seed, options.work, say)


def _store(options: argparse.Namespace) -> Mapping[str, object]:
    from pipelines.bench.store import bench_store

    say = note if options.json else print
    posts = 20_000 if options.posts is None else options.posts
    return bench_store(options.only, posts, options.seed or 0, options.work, say)


def _train(options: argparse.Namespace) -> Mapping[str, object]:
    from pipelines.bench.train import Subject, bench_train
    from pipelines.config import load_recipe

    recipe = load_recipe(options.recipe or "twitter2017-recorded", options.set)
    posts = recipe.train.batch_size if options.posts is None else options.posts
    store = options.store or recipe.store_path()
    subject = Subject(store, recipe.model, posts, options.seed or 0)
    return bench_train(options.only, subject, note if options.json else print)
