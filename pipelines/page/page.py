"""One self-contained page that shows what a store holds: nothing is loaded, nothing runs.

The page is made for data from anywhere: every text is escaped, pictures are encoded anew, and the
content policy forbids scripts and requests even if an escape were missed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import JsonValue
from tqdm import tqdm

from cache import STREAMS, Dropped, InputError, Manifest, Media, StoredExample, StoreReader
from cache.files import write_atomically
from pipelines.page.markup import Child, Markup, element, quoted
from pipelines.page.photos import Pictures
from pipelines.page.post import post_article
from pipelines.page.sentence import Hues
from pipelines.page.style import STYLE

POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
_KEPT: Final = "kept"


def write_page(
    store: StoreReader,
    out: Path,
    *,
    example_ids: Sequence[str] | None = None,
    limit: int = 50,
    seed: int = 0,
    progress: bool = False,
) -> tuple[str, ...]:
    """Write the page and return the ids of the posts on it.

    Args:
        store: the store to look into.
        out: the file to write; replaced whole, or not at all.
        example_ids: the posts to show, in this order; None draws ``limit`` of all posts.
        limit: number of posts drawn; fewer if the store has fewer.
        seed: of the draw.
        progress: show a bar where the output is a terminal.

    Raises:
        InputError: an id is not in the store, or ``limit`` is below 1.
    """
    ids = _draw(store.example_ids(), limit, seed) if example_ids is None else tuple(example_ids)
    bar = tqdm(ids, desc="inspect", unit="post", disable=None if progress else True)
    posts = [(store.read(name), store.dropped(name)) for name in bar]
    page = render_page(posts, store.manifest, store.media)
    write_atomically(out, page.encode("utf-8"))
    return ids


def render_page(
    posts: Sequence[tuple[StoredExample, Sequence[Dropped]]],
    manifest: Manifest,
    media: Callable[[str], Media],
) -> str:
    """Return the page as HTML; ``media`` is that of `Pictures`."""
    pictures, hues = Pictures(media), Hues()
    articles = [
        post_article(stored, dropped, pictures, hues, f"post-{index}")
        for index, (stored, dropped) in enumerate(posts, start=1)
    ]
    name = str(manifest.identity.get("name", "")) or f"store {manifest.fingerprint[:12]}"
    body = element(
        "body",
        element("header", _title(manifest, len(posts)), _facts(manifest)),
        element("main", _counts(posts), _contents(posts), articles),
    )
    return document(name, f"{STYLE}\n{pictures.rules()}", body)


def document(title: str, style: str, body: Markup) -> str:
    """Return a whole page.

    Args:
        title: said in the window's bar.
        style: rules that were written here; nothing from outside may be in them.
        body: the element.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"RAMIE · {title}"),
        # Written here and encoded here: the one text that must not be escaped.
        Markup(f"<style>{style}</style>"),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _draw(ids: Sequence[str], limit: int, seed: int) -> tuple[str, ...]:
    if limit < 1:
        raise InputError(f"a page of {limit} posts shows nothing; give --limit 1 or more")
    drawn = random.Random(seed).sample(list(ids), min(limit, len(ids)))
    return tuple(sorted(drawn))


def _title(manifest: Manifest, num_shown: int) -> Markup:
    return element(
        "div",
        element("h1", "What is in this store"),
        element(
            "p",
            f"{num_shown} of {manifest.num_examples} posts · fingerprint ",
            element("code", manifest.fingerprint[:16]),
            f" · schema {manifest.schema_version}",
        ),
    )


def _facts(manifest: Manifest) -> Markup:
    """Return what the manifest says, folded away."""
    groups = [("What decided it", manifest.identity), ("What was counted", manifest.counters)]
    tables: list[Child] = [
        [
            element("h4", title),
            _table((quoted(key), quoted(value)) for key, value in flatten(facts)),
        ]
        for title, facts in groups
        if facts
    ]
    unfinished = manifest.unfinished
    if unfinished:
        tables.append(element("h4", f"Posts that could not be finished: {len(unfinished)}"))
        tables.append(element("p", quoted(", ".join(unfinished))))
    return element("details", element("summary", "The manifest"), tables, class_="facts")


def flatten(value: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every leaf with its dotted key."""
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from flatten(inner, f"{prefix}{key}.")
        elif isinstance(inner, list):
            yield prefix + key, ", ".join(map(str, inner)) or "(none)"
        else:
            yield prefix + key, str(inner)


def _counts(posts: Sequence[tuple[StoredExample, Sequence[Dropped]]]) -> Markup:
    """Return how many hits each stream kept, and how many each step dropped."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for stored, dropped in posts:
        counts.update((_KEPT, item.hit.level, item.hit.modality) for item in stored.evidence)
        counts.update((item.step, item.hit.level, item.hit.modality) for item in dropped)
    steps = sorted({step for step, _, _ in counts} - {_KEPT})
    header = ["", *(f"{level} → {modality}" for level, modality in STREAMS), "all"]
    rows = []
    for step in [_KEPT, *steps]:
        numbers = [counts[step, level, modality] for level, modality in STREAMS]
        title = _KEPT if step == _KEPT else [quoted(step), element("small", " dropped")]
        cells = (element("td", number or "·") for number in [*numbers, sum(numbers)])
        rows.append(element("tr", element("th", title, scope="row"), cells))
    return element(
        "section",
        element("h4", "Hits by stream and by what became of them, in the posts below"),
        element(
            "div",
            element(
                "table",
                element("tr", (element("th", name, scope="col") for name in header)),
                rows,
                class_="counts",
            ),
            class_="wide",
        ),
    )


def _contents(posts: Sequence[tuple[StoredExample, Sequence[Dropped]]]) -> Markup:
    items = (
        element(
            "li",
            element("a", quoted(stored.example.post.example_id), href=f"#post-{index}"),
            " ",
            quoted(" ".join(stored.example.post.tokens[:14]), "dim"),
        )
        for index, (stored, _) in enumerate(posts, start=1)
    )
    summary = element("summary", f"The {len(posts)} posts")
    return element("details", summary, element("ol", items), class_="contents")


def _table(rows: Iterator[tuple[Markup, Markup]]) -> Markup:
    lines = (
        element("tr", element("th", key, scope="row"), element("td", value)) for key, value in rows
    )
    return element("div", element("table", lines), class_="wide")
