"""Values from a stranger as Markdown that says them and does nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

MAX_CHARS: Final = 300
MAX_ROWS: Final = 60
_MAX_DEPTH: Final = 4
# A backtick would end the code span. A pipe would end the cell of a table, whatever escapes the
# one who renders it knows.
_REPLACED: Final = str.maketrans({"`": "'", "|": "\N{BROKEN BAR}"})


def plain(value: object, most: int = MAX_CHARS) -> str:
    """Return a JSON value as one line of printable text of at most ``most`` characters.

    Line breaks, control characters and characters that turn the direction of writing are gone.
    """
    text = value if isinstance(value, str) else _json(value)
    # Cut before it is looked at: a text may have any length.
    text = " ".join(text[: 2 * most].split())
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def code(value: object, most: int = MAX_CHARS) -> str:
    """Return a JSON value as a code span, in which no markup, link, mention or HTML has a say."""
    return f"`{plain(value, most).translate(_REPLACED).strip() or '-'}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table of at most `MAX_ROWS` rows, which must be Markdown already."""
    every = [tuple(row) for row in rows]
    lines = [head, ["---"] * len(head), *every[:MAX_ROWS]]
    table_lines = [f"| {' | '.join(row)} |" for row in lines]
    return [*table_lines, *_more(every)]


def listed(values: Iterable[object]) -> list[str]:
    """Return the lines of a list of at most `MAX_ROWS` JSON values."""
    every = list(values)
    return [*(f"- {code(value)}" for value in every[:MAX_ROWS]), *_more(every)]


def flattened(value: object, name: str = "", depth: int = _MAX_DEPTH) -> list[tuple[str, object]]:
    """Return what is inside of nested objects as (dotted key, value), in order of keys."""
    if not isinstance(value, Mapping) or not value or not depth:
        return [(name, value)]
    return [
        pair
        for key, inner in sorted(value.items())
        for pair in flattened(inner, f"{name}.{key}" if name else str(key), depth - 1)
    ]


def _more(every: Sequence[object]) -> list[str]:
    more = len(every) - MAX_ROWS
    return ["", f"and {more:,} more: see `manifest.json`."] if more > 0 else []


def _json(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return "..."
