"""``ramie bench``: how efficient retrieval is, how fast all else, and what evidence is worth."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pipelines.options import add_json, note, print_result

HELP = "measure retrieval, reading, training (ratios within one run) and evidence"
EXAMPLE = "ramie bench build scale --quick"
_EFFICIENCY: Final = (
    *("starting", "build", "observing", "downloading", "searching", "engines"),
    *("curation", "scale"),
)
_OTHERS: Final = ("read", "train", "evidence", "store")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument(
        "part",
        nargs="*",
        metavar="PART",
        help=f"any of {', '.join(_EFFICIENCY)} (default: these, hours; with --quick minutes; a "
        "table of what was asked ends them), read, train, evidence (up to an hour), store "
        "(a quarter of an hour)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WHAT",
        help="evidence: texts, images, noise, consistency, leaks, storage, speed, asking or "
        "robustness; observing: backends, loop or decoding; scale: growth, metadata, "
        "agreement or far; store: writing, reading, loader, "
        "cold, verify, open, scale, building, size or sharing; train: step, padding, ddp, or with "
        "other lengths of texts names or long (default: the first three); repeatable (default: "
        "all)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("data/bench"),
        metavar="DIR",
        help="evidence: folder for what takes long; finished work in it is taken as it is; "
        "store, searching, scale: folder, on a disk, for what is removed afterwards; downloading: "
        "img2dataset is looked for in it",
    )
    parser.add_argument(
        "--posts",
        type=int,
        help="posts to build (60), to observe (48), to download (1000), to spread over workers "
        "(240), documents to search (1000000), posts to curate, to read, or of the store (20000); "
        "train: of a batch (16)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smallest sizes, to see that all of it runs here; the figures then mean little; not "
        "for read, train, evidence and store",
    )
    parser.add_argument(
        "--sizes",
        type=_numbers,
        default=(),
        metavar="N,N,...",
        help="scale: posts of the builds whose growth is measured (1000,3000,10000,30000,100000)",
    )
    parser.add_argument("--seed", type=int, help="of what is made up (0; evidence: 21 to 23)")
    parser.add_argument(
        "--recipe",
        help="build: this recipe's data and models, not the sample world with models of full "
        "size; train: whose store and text encoder padding is counted with "
        "(twitter2017-recorded)",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="train: the store (default: data/stores/NAME); starting: the store that is verified "
        "(default: data/stores/sample)",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON to FILE")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, and print a table of every figure."""
    others = {"read": _read, "train": _train, "evidence": _evidence, "store": _store}
    unknown = sorted(set(options.part) - {*_EFFICIENCY, *others})
    if unknown:
        known = ", ".join((*_EFFICIENCY, *others))
        note(f"ramie bench: unknown part {unknown[0]!r}; known are {known}.")
        return 2
    parts = options.part or _EFFICIENCY
    if options.quick and (usual := [part for part in parts if part in others]):
        note(f"ramie bench: --quick does nothing for {usual[0]!r}; leave it out of this call.")
        return 2
    result: dict[str, object] = {}
    for part in parts:
        if part in others:
            note(f"measuring {part} ...")
            result[part] = others[part](options)
    if efficiency := [part for part in parts if part in _EFFICIENCY]:
        result |= _measure(efficiency, options)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    # All other rows were printed as they came.
    lines = [f"read   {name:<32} {value:,.2f}" for name, value in _figures(result.get("read"))]
    if lines or options.json:
        print_result(result, "\n".join(lines), options.json)
    return 0


def _figures(read: object) -> Iterable[tuple[str, float]]:
    return read.items() if isinstance(read, Mapping) else ()


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(one) for one in text.split(","))
    if min(numbers) < 1:
        raise ValueError
    return numbers


def _measure(parts: Sequence[str], options: argparse.Namespace) -> dict[str, object]:
    from pipelines.bench.efficiency import Options, bench_efficiency

    asked = Options(
        work=options.work,
        quick=options.quick,
        seed=options.seed or 0,
        posts=options.posts,
        only=tuple(options.only),
        sizes=options.sizes,
        store=options.store or Path("data/stores/sample"),
        recipe=options.recipe,
        overrides=tuple(options.set),
    )
    return bench_efficiency(parts, asked, note if options.json else print)


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
