"""``ramie kb``: turn documents or a dump into a knowledge base that can be asked, and check it."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.options import add_json, add_overrides, note, print_result

HELP = "build a knowledge base from documents and images, or from a MediaWiki dump"
EXAMPLE = "ramie kb build data/sample/kb data/kb/sample --recipe sample"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser(
        "build",
        help="index the documents of one or more SOURCEs into DIR",
        description="Index SOURCE into DIR: a text index (BM25), and embeddings of texts and "
        "images by the recipe's encoder. A SOURCE is a folder with documents.jsonl or "
        "documents.parquet, such a file itself, or a MediaWiki dump (.xml, .xml.bz2). Each "
        "document has an id and any of title, text, url and image (a path inside the folder). A "
        "build that was interrupted goes on when the same command is run again.",
        epilog=f"Example: {EXAMPLE}",
    )
    build.add_argument(
        "folders", type=Path, nargs="+", metavar="SOURCE", help="folder, file or dump to read"
    )
    build.add_argument("out", type=Path, metavar="DIR", help="the knowledge base to write")
    build.add_argument(
        "--recipe", metavar="RECIPE", help="whose encoder to use (default: open_clip ViT-B-32)"
    )
    build.add_argument(
        "--estimate", action="store_true", help="only tell what the build would take"
    )
    add_overrides(build)
    verify = actions.add_parser(
        "verify",
        help="read all of a knowledge base and compare it with what was built",
        description="Compare every file and image of DIR with its digest. Exit status 1: "
        "something is damaged.",
    )
    verify.add_argument("folder", type=Path, metavar="DIR", help="the knowledge base")
    add_json(verify)
    export = actions.add_parser(
        "export",
        help="write a knowledge base into a LanceDB table, for provider lancedb",
        description="Write DIR, with its vectors and images, into a table of the LanceDB at URI: "
        "a folder, or a place in an object store (s3://bucket/path), whose keys are read from "
        "the environment.",
        epilog="Example: ramie kb export data/kb/sample s3://bucket/kb",
    )
    export.add_argument("folder", type=Path, metavar="DIR", help="the knowledge base")
    export.add_argument("uri", metavar="URI", help="folder or address of the LanceDB")
    export.add_argument("--table", default="documents", metavar="NAME", help="(documents)")
    add_json(export)


def run(options: argparse.Namespace) -> int:
    """Build or verify, and print what went in and what did not."""
    actions = {"build": _build, "verify": _verify, "export": _export}
    return actions[options.action](options)


def _build(options: argparse.Namespace) -> int:
    from pipelines.config import load_observe
    from retrieval.kb.estimate import estimate_kb
    from retrieval.kb.knowledge_base import build_kb
    from retrieval.sight.observe import Observer

    observe = load_observe(options.recipe, options.set)
    observer = Observer(observe)
    estimate = estimate_kb(options.folders, options.out, observer)
    if options.estimate:
        print_result(vars(estimate), f"{options.out}: {estimate.told}", options.json)
        return 0
    note(f"{options.out}: {estimate.told}")
    report = build_kb(options.folders, options.out, observe, embedder=observer, progress=True)
    result = {
        "path": str(report.path),
        "fingerprint": report.fingerprint,
        "documents": report.documents,
        "with_image": report.with_image,
        "counts": report.counts,
        "problems": [problem._asdict() for problem in report.problems],
    }
    lines = [
        f"{report.path}: {report.documents} documents, {report.with_image} with an image",
        *(f"  {count} x {kind}" for kind, count in report.counts.items()),
        *(f"  line {problem.line}: {problem.message}" for problem in report.problems[:_SHOWN]),
    ]
    if len(report.problems) > _SHOWN:
        lines.append(f"  ... and more: {report.path / 'problems.jsonl'} lists all")
    print_result(result, "\n".join(lines), options.json)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from retrieval.kb.knowledge_base import open_kb
    from retrieval.kb.verifying import damages_of

    knowledge = open_kb(options.folder)
    damages = list(damages_of(knowledge))
    result = {"path": str(options.folder), "documents": knowledge.manifest.documents}
    text = f"{options.folder}: {knowledge.manifest.documents} documents, "
    text += "\n".join(["damaged", *(f"  {damage}" for damage in damages)]) if damages else "sound"
    print_result({**result, "damages": damages}, text, options.json)
    return 1 if damages else 0


def _export(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from cache.errors import InputError
    from retrieval.kb.knowledge_base import open_kb

    try:
        from retrieval.kb.lance_export import write_table
    except ModuleNotFoundError as error:
        raise InputError(
            f"exporting needs {error.name}, which is not installed. Install the extra: "
            "pip install '.[lancedb]'."
        ) from error
    knowledge = open_kb(options.folder)
    total = knowledge.manifest.documents
    with tqdm(total=total, unit="doc", desc="kb: export", disable=None) as bar:

        def told(num: int) -> None:
            bar.update(num)

        rows = write_table(knowledge, options.uri, options.table, told)
    place = f"{options.uri}/{options.table}"
    print_result({"table": place, "documents": rows}, f"{place}: {rows} documents", options.json)
    return 0
