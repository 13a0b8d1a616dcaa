"""An explanation as text for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from model.scoring.metrics import scores_table
from pipelines.explaining.explanation import Explanation


def report(found: Explanation) -> str:
    """Return whether weights can be believed, what streams did, and where the errors are."""
    evaluation, errors = found.evaluation, found.errors
    lines = [
        f"{found.run}: {found.fusion}, {evaluation.split}, F1 {100 * evaluation.f1:.2f} on "
        f"{errors.posts} posts; evidence withheld from {len(found.attributions)} of them",
        *([found.stated.line()] if found.stated.line() else []),
        "",
    ]
    if found.agreement:
        lines.append("rank agreement of weight and effect, mean over posts [95 % interval]")
        lines += [f"  {name:<15} {value}" for name, value in found.agreement.items()]
    else:
        lines.append("this system gives its evidence no weights: leave-one-out only")
    lines += ["", _streams(found)]
    for name, groups in errors.groupings.items():
        lines += ["", scores_table(name, {cell: group.counts for cell, group in groups.items()})]
    lines += ["", _table(("answers", "count"), ((k, [str(n)]) for k, n in errors.kinds.items()))]
    labels = sorted({label for row in errors.confusion.values() for label in row})
    confusion = (
        (gold, [str(row.get(label, 0)) for label in labels])
        for gold, row in errors.confusion.items()
    )
    lines += ["", _table(("annotated \\ predicted", *labels), confusion)]
    return "\n".join(lines)


def _streams(found: Explanation) -> str:
    header = ("stream", "items", "weight", "effect", "size", "agreement")
    rows = (
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
    return _table(header, rows)


def _table(header: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return an aligned Markdown table; the first column to the left, numbers to the right."""
    lines = [[cell.replace("|", "\\|") for cell in (name, *cells)] for name, cells in rows]
    widths = [max(len(line[at]) for line in [list(header), *lines]) for at in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [
        [cells[0].ljust(widths[0]), *(map(str.rjust, cells[1:], widths[1:]))]
        for cells in [list(header), rule, *lines]
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in aligned)
