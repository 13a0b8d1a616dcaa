"""``ramie diff``: what changed between two stores."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cache import RamieError
from pipelines.options import add_json, note, print_result

if TYPE_CHECKING:
    from cache.operations.diff import PostChange, StoreDiff

HELP = (
    "say what changed between two stores; exit code 0: nothing, 1: something, 2: they cannot be "
    "compared"
)
EXAMPLE = "ramie diff data/stores/before data/stores/after --posts 3"
_POSTS: Final = 5
_HITS: Final = 8
_SHOWN: Final = 12
_LONG: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("first", type=Path, metavar="A", help="folder of a store")
    parser.add_argument("second", type=Path, metavar="B", help="folder of another store")
    parser.add_argument(
        "--posts",
        type=int,
        metavar="N",
        help=f"tell N changed posts hit by hit (default: {_POSTS}; with --json all)",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print what changed: 0 where nothing did, 1 where something did, 2 where nobody can say."""
    from cache.operations.diff import diff_stores

    most = options.posts
    if most is None and not options.json:
        most = _POSTS
    try:
        diff = diff_stores(options.first, options.second, most_posts=most)
    except (RamieError, OSError) as error:
        # As of other programs that compare: 1 says that they were compared.
        note(f"ramie diff: {error}")
        return 2
    text = "\n".join(_lines(options.first, options.second, diff))
    names = {"first": str(options.first), "second": str(options.second)}
    print_result({**names, **_json(diff)}, text, options.json)
    return 0 if diff.equal else 1


def _json(diff: StoreDiff) -> dict[str, object]:
    hits: dict[str, dict[str, int]] = {}
    for (change, stream, provider), number in sorted(diff.hits.items()):
        hits.setdefault(change, {})[f"{stream} {provider}"] = number
    return {
        "equal": diff.equal,
        "fingerprints": diff.fingerprints,
        "settings": diff.settings,
        "stated": diff.stated,
        "only_first": diff.only[0],
        "only_second": diff.only[1],
        "changed": diff.aspects,
        "hits": hits,
        "reasons": diff.reasons,
        "contents": diff.contents,
        "recordings": dict(zip(("lost", "gained", "renewed"), diff.recordings, strict=True)),
        "posts": [
            {**one._asdict(), "hits": [hit._asdict() for hit in one.hits]} for one in diff.posts
        ],
    }


def _lines(first: Path, second: Path, diff: StoreDiff) -> Iterator[str]:
    if diff.equal:
        yield f"{first} and {second} hold the same"
        return
    yield f"{first} -> {second}"
    for title, values in (("settings", diff.settings), ("stated", diff.stated)):
        for key, (before, after) in values.items():
            yield f"  {title} {key}: {_short(before)} -> {_short(after)}"
    for which, names in zip((first, second), diff.only, strict=True):
        if names:
            yield f"  {len(names)} posts only in {which}: {_some(names)}"
    for aspect, names in diff.aspects.items():
        yield f"  {len(names)} posts with other {aspect}: {_some(names)}"
    for (change, stream, provider), number in sorted(diff.hits.items()):
        yield f"  {number:6} hits {change:<8} {stream:<14} {provider}"
    for step, (before, after) in diff.reasons.items():
        yield f"  dropped by {step}: {before} -> {after}"
    for what, (ours, theirs) in diff.contents.items():
        if ours or theirs:
            yield f"  {what}: {ours} only in {first}, {theirs} only in {second}"
    lost, gained, renewed = map(len, diff.recordings)
    if lost or gained or renewed:
        yield f"  recorded answers: {lost} lost, {gained} gained, {renewed} asked for again"
    for one in diff.posts:
        yield from _post(one)
    changed = len({name for names in diff.aspects.values() for name in names})
    if changed > len(diff.posts):
        yield f"  {changed - len(diff.posts)} more posts changed; see --posts N and --json"


def _post(one: PostChange) -> Iterator[str]:
    yield f"  post {one.example_id}: other {', '.join(one.aspects)}"
    for hit in one.hits[:_HITS]:
        values = ", ".join(
            f"{name} {_short(before)} -> {_short(after)}"
            for name, (before, after) in hit.values.items()
        )
        why = f" ({_cut(hit.reason)})" if hit.reason else ""
        yield (
            f"    {hit.change:<8} {hit.stream:<14} {hit.provider} {_cut(hit.document_id)}{why}"
            f"{': ' if values else ''}{values}"
        )
    if len(one.hits) > _HITS:
        yield f"    and {len(one.hits) - _HITS} more hits"


def _some(names: list[str]) -> str:
    more = ", ..." if len(names) > _SHOWN else ""
    return ", ".join(_cut(name) for name in names[:_SHOWN]) + more


def _short(value: object) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    # One line each, whatever a provider calls its documents.
    text = " ".join(text.split())
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
