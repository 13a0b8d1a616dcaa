"""Whether values that have the right type make sense; whole columns at a time, for speed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cache.errors import StoreDamaged

_SPLITS: Final = pa.array(("train", "dev", "test"))
_SCORES: Final = ("provider_score", "relevance", "consistency", "fused_score")
_SIDES: Final = ("left", "top", "right", "bottom", "confidence")
NO_REGION: Final = -1
MOST_HITS: Final = 1 << 16
_MOST_CHARACTERS: Final = 1 << 26
_LOST_BITS: Final = np.uint32((1 << 13) - 1)
_LARGEST: Final = np.finfo(np.float16).max
_SMALLEST_NORMAL: Final = np.finfo(np.float16).smallest_normal


def check_examples(table: pa.Table) -> None:
    """Compare the values of rows of ``examples`` with what a writer writes.

    Raises:
        StoreDamaged: an unknown split, a span outside of the tokens, or a box that is not finite;
            the message names post and value.
    """
    splits = whole(table, "split")
    refuse(table, "split", splits, ~pc.is_in(splits, value_set=_SPLITS).to_numpy(False))
    num_tokens = lengths(whole(table, "tokens"))
    for name in ("head", "tail"):
        mentions = whole(table, name)
        rows = np.flatnonzero(mentions.is_valid().to_numpy(False))
        _check_spans(table, name, mentions.drop_null(), rows, num_tokens)
    entities = whole(table, "entities")
    _check_spans(table, "entities", entities.flatten(), _owners(entities), num_tokens)
    regions = whole(table, "regions")
    boxes, rows = regions.flatten(), _owners(regions)
    for side in _SIDES:
        values = boxes.field(side)
        refuse(table, f"regions.{side}", values, ~np.isfinite(values.to_numpy(False)), rows)


def check_hits(table: pa.Table) -> None:
    """Compare the values of rows of ``evidence`` or ``dropped`` with what a writer writes.

    Raises:
        StoreDamaged: a score that is not finite, a negative rank, or a negative index of a region;
            the message names post and value.
    """
    for name in _SCORES:
        if name in table.column_names:
            column = whole(table, name)
            finite = np.isfinite(column.fill_null(0.0).to_numpy(False))
            refuse(table, name, column, ~finite)
    for name, least in (("rank", 0), ("hit_rank", 0), ("region_index", NO_REGION)):
        if name in table.column_names:
            numbers = whole(table, name)
            refuse(table, name, numbers, numbers.to_numpy(False) < least)


def check_region_index(example_id: str, region_index: int, num_regions: int) -> None:
    """Compare the region that a hit names with those of its post.

    Raises:
        StoreDamaged: the post has no such region.
    """
    if not NO_REGION <= region_index < num_regions:
        raise StoreDamaged(
            f"{example_id!r}: a hit has region_index {region_index} where the post has "
            f"{num_regions} regions"
        )


def check_amount(example_id: str, texts: Collection[str]) -> None:
    """Refuse a post of more hits, or longer texts together, than memory should be used for.

    A text is stored once, however many hits have it.

    Raises:
        StoreDamaged: they are too many, or too long.
    """
    if len(texts) > MOST_HITS or sum(map(len, texts)) > _MOST_CHARACTERS:
        raise StoreDamaged(
            f"{example_id!r}: {len(texts):,} hits with texts of {sum(map(len, texts)):,} "
            f"characters; a post has at most {MOST_HITS:,} and {_MOST_CHARACTERS:,}"
        )


def first_inexact(values: NDArray[np.float32]) -> int | None:
    """Return the place of the first of ``values`` that is not finite, or no value of float16."""
    bits = values.view(np.uint32)
    # Sixteen bits have 10 of mantissa. All but the smallest numbers need no closer look.
    if not np.bitwise_or.reduce(bits, initial=0) & _LOST_BITS:
        sizes = np.abs(values)
        if sizes.max(initial=0) <= _LARGEST and _is_exact(values[sizes < _SMALLEST_NORMAL]).all():
            return None
    wrong = ~_is_exact(values)
    return int(wrong.argmax()) if wrong.any() else None


def _is_exact(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        exact = values.astype(np.float16).astype(np.float32)
    # NaN is unequal to itself, and an infinity passes, so it is asked for as well.
    same: NDArray[np.bool_] = (exact == values) & np.isfinite(exact)
    return same


def whole(table: pa.Table, name: str) -> pa.Array:
    """Return a column in one piece."""
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _check_spans(
    table: pa.Table,
    name: str,
    spans: pa.StructArray,
    rows: NDArray[np.int64],
    num_tokens: NDArray[np.int64],
) -> None:
    starts, ends = (spans.field(side).to_numpy(False) for side in ("start", "end"))
    inside = (starts >= 0) & (starts < ends) & (ends <= num_tokens[rows])
    refuse(table, name, spans, ~inside, rows)


def lengths(lists: pa.ListArray) -> NDArray[np.int64]:
    """Return how many items each list has; none where there is no list."""
    found: NDArray[np.int64] = pc.list_value_length(lists).fill_null(0).to_numpy(False)
    return found


def _owners(lists: pa.ListArray) -> NDArray[np.int64]:
    """Return the row of every element of ``lists``."""
    return np.repeat(np.arange(len(lists)), lengths(lists))


def refuse(
    table: pa.Table,
    name: str,
    values: pa.Array,
    wrong: NDArray[np.bool_],
    rows: NDArray[np.int64] | None = None,
) -> None:
    """Raise if any value is ``wrong``; ``rows`` says whose they are where a row has several."""
    if wrong.any():
        place = int(wrong.argmax())
        row = place if rows is None else int(rows[place])
        post = table.column("example_id")[row].as_py()
        value = str(values[place].as_py())[:200]
        raise StoreDamaged(f"{post!r}: {name} makes no sense: {value}")
