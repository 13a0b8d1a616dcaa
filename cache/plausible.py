"""Whether values that have the right type make sense; whole columns at a time, for speed."""

from __future__ import annotations

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


def check_examples(table: pa.Table) -> None:
    """Compare the values of rows of ``examples`` with what a writer writes.

    Raises:
        StoreDamaged: an unknown split, a span outside of the tokens, or a box that is not finite;
            the message names post and value.
    """
    splits = whole(table, "split")
    _refuse(table, "split", splits, ~pc.is_in(splits, value_set=_SPLITS).to_numpy(False))
    num_tokens = _lengths(whole(table, "tokens"))
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
        _refuse(table, f"regions.{side}", values, ~np.isfinite(values.to_numpy(False)), rows)


def check_hits(table: pa.Table) -> None:
    """Compare the values of rows of ``evidence`` or ``dropped`` with what a writer writes.

    Raises:
        StoreDamaged: a score that is not finite, or a negative index of a region; the message
            names post and value.
    """
    for name in _SCORES:
        if name in table.column_names:
            column = whole(table, name)
            finite = np.isfinite(column.fill_null(0.0).to_numpy(False))
            _refuse(table, name, column, ~finite)
    indices = whole(table, "region_index")
    _refuse(table, "region_index", indices, indices.to_numpy(False) < NO_REGION)


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
    _refuse(table, name, spans, ~inside, rows)


def _lengths(lists: pa.ListArray) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = pc.list_value_length(lists).fill_null(0).to_numpy(False)
    return lengths


def _owners(lists: pa.ListArray) -> NDArray[np.int64]:
    """Return the row of every element of ``lists``."""
    return np.repeat(np.arange(len(lists)), _lengths(lists))


def _refuse(
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
