"""``ramie kb build``: turn a folder of documents into a knowledge base that can be asked."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import add_overrides, print_result
from retrieval.settings import ObserveSettings

HELP = "build a knowledge base from a folder with documents.jsonl and images"
EXAMPLE = "ramie kb build data/sample/kb data/kb/sample --recipe sample"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser(
        "build",
        help="index the documents of one or more FOLDERs into DIR",
        description="Index FOLDER/documents.jsonl and the images it names into DIR: a text index "
        "(BM25), and embeddings of texts and images by the recipe's encoder. Each line is a JSON "
        'object with "id" and any of "title", "text", "url", "image" (a path inside FOLDER).',
        epilog=f"Example: {EXAMPLE}",
    )
    build.add_argument(
        "folders", type=Path, nargs="+", metavar="FOLDER", help="holds documents.jsonl"
    )
    build.add_argument("out", type=Path, metavar="DIR", help="the knowledge base to write")
    build.add_argument(
        "--recipe", metavar="RECIPE", help="whose encoder to use (default: open_clip ViT-B-32)"
    )
    add_overrides(build)


def run(options: argparse.Namespace) -> int:
    """Build the knowledge base and print what went in and what did not."""
    from pipelines.config import load_observe
    from retrieval.kb.knowledge_base import build_kb

    observe: ObserveSettings = load_observe(options.recipe, options.set)
    report = build_kb(options.folders, options.out, observe, progress=True)
    result = {
        "path": str(report.path),
        "fingerprint": report.fingerprint,
        "documents": report.documents,
        "with_image": report.with_image,
        "problems": [problem._asdict() for problem in report.problems],
    }
    lines = [
        f"{report.path}: {report.documents} documents, {report.with_image} with an image",
        *(f"  {count} x {kind}" for kind, count in report.counts.items()),
        *(f"  line {problem.line}: {problem.message}" for problem in report.problems[:_SHOWN]),
    ]
    if len(report.problems) > _SHOWN:
        lines.append(f"  ... and {len(report.problems) - _SHOWN} more (--json lists all)")
    print_result(result, "\n".join(lines), options.json)
    return 0
