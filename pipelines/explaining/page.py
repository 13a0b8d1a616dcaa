"""One self-contained page of an explanation; made for hostile data like that of ``inspect``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cache import StoreReader
from cache.files import write_atomically
from model.scoring.metrics import Counts
from pipelines.explaining.errors import Group
from pipelines.explaining.explanation import Explanation
from pipelines.explaining.post import Explained, explained_article
from pipelines.explaining.style import STYLE as ADDED
from pipelines.page.markup import Child, Markup, element, quoted
from pipelines.page.page import document
from pipelines.page.photos import Pictures
from pipelines.page.sentence import Hues
from pipelines.page.style import STYLE


def write_page(found: Explanation, store: StoreReader, out: Path, limit: int) -> int:
    """Write the page and return how many posts are on it.

    Wrong answers come first, and among equals those whose evidence did most.

    Args:
        found: of a split of ``store``.
        store: gives photos, words and evidence.
        out: the file to write; replaced whole, or not at all.
        limit: posts shown.
    """
    posts = [Explained(store.read(post.example_id), post) for post in found.attributions]
    shown = sorted(posts, key=_order)[:limit]
    page = render_page(found, shown, Pictures(store.media))
    write_atomically(out, page.encode("utf-8"))
    return len(shown)


def render_page(found: Explanation, posts: Sequence[Explained], pictures: Pictures) -> str:
    """Return the page as HTML."""
    hues = Hues()
    articles = [
        explained_article(post, pictures, hues, f"post-{index}")
        for index, post in enumerate(posts, start=1)
    ]
    body = element(
        "body",
        element(
            "header",
            element("h1", "What the evidence did"),
            _facts(found, len(posts)),
            element("p", quoted(found.stated.line())) if found.stated.line() else None,
        ),
        element("main", _agreement(found), _errors(found), _contents(posts), articles),
    )
    return document(f"{found.run.name} explained", f"{STYLE}{ADDED}\n{pictures.rules()}", body)


def _order(post: Explained) -> tuple[bool, float]:
    return post.right, -max((abs(item.effect) for item in post.attribution.items), default=0.0)


def _facts(found: Explanation, shown: int) -> Markup:
    evaluation = found.evaluation
    return element(
        "p",
        "run ",
        quoted(found.run.name),
        f" · {found.fusion} · {evaluation.task} · {evaluation.split}: "
        f"{len(evaluation.example_ids)} posts, F1 {100 * evaluation.f1:.2f} · evidence withheld "
        f"from {len(found.attributions)} posts, {shown} of them below",
    )


def _agreement(found: Explanation) -> Markup:
    """Return whether the weights rank evidence as withholding it does."""
    if not found.agreement:
        text = "this system gives its evidence no weights; what withholding does is below"
        lines: list[Child] = [element("p", text, class_="dim")]
    else:
        rows = ((name, [str(value)]) for name, value in found.agreement.items())
        title = "Do weights rank evidence as its effect does? Mean over posts [95 % interval]"
        lines = [_table(title, ("", "agreement"), rows)]
    streams = (
        (
            name,
            [
                str(stream.items),
                "-" if stream.weight is None else f"{stream.weight:.3f}",
                f"{stream.effect:+.4f}",
                f"{stream.size:.4f}",
                "-" if stream.agreement.mean is None else f"{stream.agreement.mean:+.3f}",
            ],
        )
        for name, stream in found.streams.items()
    )
    header = ("stream", "items", "mean weight", "mean effect", "mean size", "Spearman within")
    lines.append(_table("What each stream did, in nats of the answer", header, streams))
    return element("section", lines)


def _errors(found: Explanation) -> Markup:
    errors = found.errors
    tables = [_groups(name, groups) for name, groups in errors.groupings.items()]
    kinds = ((kind, [str(count)]) for kind, count in errors.kinds.items())
    tables.append(_table("Kinds of answers", ("kind", "answers"), kinds))
    labels = sorted({label for row in errors.confusion.values() for label in row})
    confusion = (
        (gold, [str(row.get(label, "·")) for label in labels])
        for gold, row in errors.confusion.items()
    )
    title = "Annotated (rows) taken for (columns)"
    tables.append(_table(title, ("", *labels), confusion))
    return element("section", tables, class_="tables")


def _groups(name: str, groups: Mapping[str, Group]) -> Markup:
    rows = (
        (
            cell,
            [
                *_ratios(counts),
                *(str(count) for count in (counts.tp, counts.fp, counts.fn, posts)),
            ],
        )
        for cell, (counts, posts) in groups.items()
    )
    return _table(f"By {name}", (name, "P", "R", "F1", "tp", "fp", "fn", "posts"), rows)


def _ratios(counts: Counts) -> list[str]:
    """Return precision, recall and F1 in percent; dashes where there is nothing to count."""
    if not counts.support + counts.fp:
        return ["-"] * 3
    return [f"{100 * ratio:.1f}" for ratio in (counts.precision, counts.recall, counts.f1)]


def _table(title: str, header: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> Markup:
    lines = (
        element(
            "tr", element("th", quoted(name), scope="row"), (element("td", cell) for cell in cells)
        )
        for name, cells in rows
    )
    columns = element("tr", (element("th", quoted(name), scope="col") for name in header))
    table = element("table", element("caption", title), columns, lines, class_="counts plain")
    return element("div", table, class_="wide")


def _contents(posts: Sequence[Explained]) -> Markup:
    items = (
        element(
            "li",
            element("a", quoted(post.stored.example.post.example_id), href=f"#post-{index}"),
            " ",
            "right" if post.right else "wrong",
            " ",
            quoted(" ".join(post.stored.example.post.tokens[:14]), "dim"),
        )
        for index, post in enumerate(posts, start=1)
    )
    summary = element("summary", f"The {len(posts)} posts, wrong ones first")
    return element("details", summary, element("ol", items), class_="contents")
