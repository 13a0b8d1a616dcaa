"""One table in three forms: Markdown for people, CSV for programs, LaTeX (booktabs) for papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from pipelines.comparing.facts import Facts
from pipelines.comparing.rows import Against, Row

_HEADS: Final = (
    "system",
    "runs",
    "F1",
    "95 % interval",
    "P",
    "R",
    "strict F1",
    "difference to the first",
    "p boot.",
    "p rand.",
    "difference to the best other",
    "p boot.",
    "p rand.",
)
_ESCAPES: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
}


def markdown(rows: Sequence[Row], facts: Facts) -> str:
    """Return a table for each block, and what they are of."""
    parts = [f"**{_title(rows[0], facts)}**"]
    for title, block in _blocks(rows):
        lines = [f"*{title}*", ""] if title else []
        lines += [_line(_heads(facts)), _line(["---", *["--:"] * (len(_HEADS) - 1)])]
        lines += [_line(cell.replace("|", "\\|") for cell in _cells(row)) for row in block]
        parts.append("\n".join(lines))
    parts.append(_NOTE)
    parts.append("\n".join(f"- {subject}: {text}" for subject, text in facts.lines()))
    return "\n\n".join(parts)


def latex(rows: Sequence[Row], facts: Facts) -> str:
    """Return a ``table`` in the style of the package booktabs."""
    heads = [_escaped(head) for head in _heads(facts)]
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
    ]
    for title, block in _blocks(rows):
        lines.append(r"\midrule")
        if title:
            lines.append(rf"\multicolumn{{{len(heads)}}}{{l}}{{\emph{{{_escaped(title)}}}}} \\")
        lines += [" & ".join(map(_escaped, _cells(row))) + r" \\" for row in block]
    told = "; ".join(f"{subject}: {text}" for subject, text in facts.lines())
    caption = f"{_title(rows[0], facts)}. {_NOTE} {told}."
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{_escaped(caption)}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def csv_text(rows: Sequence[Row], facts: Facts) -> str:
    """Return a line for each row, with unrounded figures and what they are of in every line."""
    out = io.StringIO()
    told = {subject.replace(" ", "_"): text for subject, text in facts.lines()}
    lines = [{**_record(row), **told, "commit": facts.commit} for row in rows]
    writer = csv.DictWriter(out, list(dict.fromkeys(key for line in lines for key in line)))
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


_NOTE: Final = (
    "F1: mean of the runs ± standard deviation over seeds. Intervals: 95 %, bootstrap over posts. "
    "p: two-sided, by paired bootstrap and by approximate randomisation, over the choice of posts "
    "with the trained models as given; each test by itself (not corrected for their number)."
)


def _title(first: Row, facts: Facts) -> str:
    worlds = len({world for world, _ in first.runs})
    posts = sum(_posts(first))
    what = "entities" if facts.task == "mner" else "relations"
    among = f" in {worlds} worlds" if worlds > 1 else ""
    return f"{facts.recipe}, {facts.split}: {first.annotated} {what} in {posts} posts{among}"


def _posts(row: Row) -> list[int]:
    return list({world: len(run.counts) for (world, _), run in row.runs.items()}.values())


def _heads(facts: Facts) -> list[str]:
    heads = list(_HEADS)
    if facts.task == "mre":
        heads[6] = "accuracy"
    return heads


def _blocks(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for title, block in groupby(rows, key=lambda row: row.block):
        yield title, list(block)


def _cells(row: Row) -> list[str]:
    several = "" if row.spread is None else f" ± {row.spread:.2f}"
    also = row.strict_f1 if row.accuracy is None else row.accuracy
    low, high = row.interval
    return [
        row.system.name,
        str(len(row.f1)),
        f"{row.mean_f1:.2f}{several}",
        f"{100 * low:.2f} to {100 * high:.2f} (n = {row.annotated})",
        f"{row.precision:.2f}",
        f"{row.recall:.2f}",
        "" if also is None else f"{also:.2f}",
        *_versus(row.against_first, named=False),
        *_versus(row.against_best, named=True),
    ]


def _versus(against: Against | None, *, named: bool) -> list[str]:
    if against is None:
        return ["", "", ""]
    test = against.bootstrap
    interval = f"({100 * test.low:+.2f} to {100 * test.high:+.2f})"
    name = f" {against.other}" if named else ""
    return [
        f"{100 * test.difference:+.2f} {interval}{name}",
        _probability(test.p_two_sided, test.samples),
        _probability(against.randomisation.p_two_sided, against.randomisation.samples),
    ]


def _probability(value: float, samples: int) -> str:
    """Return a p-value; the smallest that so many resamplings can give is an upper bound."""
    return f"<{2 / (samples + 1):.4f}" if value <= 1 / (samples + 1) else f"{value:.4f}"


def _record(row: Row) -> dict[str, object]:
    record: dict[str, object] = {
        **row.figures(),
        "runs": len(row.f1),
        "posts": sum(_posts(row)),
    }
    for name, against in (("first", row.against_first), ("best", row.against_best)):
        told = {} if against is None else against.to_json()
        for key in ("other", "difference", "low", "high", "p_two_sided", "p_randomisation"):
            value = told.get(key)
            percent = isinstance(value, float) and not key.startswith("p_")
            record[f"{name}_{key}"] = 100 * value if percent else value  # type: ignore[operator]
    return record


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(sign, sign) for sign in text)
