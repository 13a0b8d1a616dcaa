"""What is known *about* the evidence of each post, without reading it: the audit's features.

Counts, lengths, places, scores and sources; no word, no pixel, no vector. The detector's class
names are left out, too: what a photo shows is content, and may honestly tell about a label, while
how many boxes there are and how sure the detector was must not tell much. Nothing here takes an
`Example`, so that no annotation can get among the features.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.records import STREAMS, Dropped, Evidence, Hit, Observation, Post
from retrieval.curation.denied_hosts import hosts_of

# Field -> column -> value of one post. A column that a post lacks is a value of its own.
Fields = dict[str, dict[str, float]]

# Of hosts there may be thousands; each of the commonest ones is a column.
_MOST_COLUMNS: Final = 40
_MOST_VALUES: Final = 12
_BUCKETS: Final = 8
# What a score says may honestly tell about a label: see `pipelines.audit.agreement`.
SCORES: Final = frozenset({"provider score", "relevance", "consistency", "fused score"})
_NUMBERS: Final[Mapping[str, Callable[[Evidence], float | None]]] = {
    "provider score": lambda kept: kept.hit.provider_score,
    "relevance": lambda kept: kept.hit.relevance,
    "consistency": lambda kept: kept.hit.consistency,
    "fused score": lambda kept: kept.fused_score,
    "provider rank": lambda kept: kept.hit.rank,
}


def fields_of(
    seen: Observation,
    evidence: Sequence[Evidence],
    dropped: Sequence[Dropped],
    slots: int,
) -> Fields:
    """Return the metadata of one post's evidence, by field.

    Args:
        seen: what was seen in the post.
        evidence: its kept hits.
        dropped: its other hits.
        slots: evidence that a stream has room for.
    """
    kept = [item.hit for item in evidence]
    fields = _counts(kept, [item.hit for item in dropped], slots)
    fields["dropped by step"] = _floats(Counter(item.step for item in dropped))
    fields["text length"] = _spread((_stream(hit), len(hit.text)) for hit in kept if hit.text)
    for name, number in _NUMBERS.items():
        pairs = ((_stream(item.hit), number(item)) for item in evidence)
        fields[name] = _spread((stream, value) for stream, value in pairs if value is not None)
    every = [*kept, *(item.hit for item in dropped)]
    fields["provider"] = _floats(Counter(hit.provider for hit in every))
    fields["host"] = _floats(Counter(host for hit in every for host in hosts_of(hit.url)[:1]))
    fields["region count"] = {"regions": len(seen.regions)}
    sure = (("all", region.confidence) for region in seen.regions)
    fields["region confidence"] = _spread(sure)
    fields["photo status"] = {seen.photo_status: 1.0}
    return fields


def post_columns(post: Post) -> dict[str, float]:
    """Return what the bare post tells of itself: lengths, its kinds of tokens, its mentions.

    An honest store may repeat that (longer posts find more), so the audit asks what evidence tells
    beyond it.
    """
    tokens = post.tokens
    columns: dict[str, float] = {
        "tokens": len(tokens),
        "characters": sum(map(len, tokens)),
        "capitals": sum(token[:1].isupper() for token in tokens),
        "all capitals": sum(token.isupper() and len(token) > 1 for token in tokens),
        "handles": sum(token.startswith("@") for token in tokens),
        "hashtags": sum(token.startswith("#") for token in tokens),
        "links": sum(token.startswith(("http", "www.")) for token in tokens),
        "numbers": sum(token[:1].isdigit() for token in tokens),
        "photo": bool(post.photo_name),
    }
    if post.head is not None and post.tail is not None:
        columns |= {
            "head length": post.head.end - post.head.start,
            "tail length": post.tail.end - post.tail.start,
            "between": post.tail.start - post.head.start,
            "head place": post.head.start,
            "tail place": post.tail.start,
        }
    return columns


def buckets(
    rows: Sequence[Mapping[str, float]], most: int = _MOST_COLUMNS
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the columns that differ between posts, and the bucket of each value.

    Few values are a bucket each, many are cut into eighths; a missing one is bucket 0.

    Args:
        rows: values by column, one mapping per post.
        most: columns are kept; those that the fewest posts have are left out.
    """
    commonest = Counter(name for row in rows for name in row)
    names = sorted(sorted(commonest), key=lambda name: -commonest[name])[:most]
    columns: list[NDArray[np.int64]] = []
    kept: list[str] = []
    for name in names:
        values = np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)
        column = _bucket(values)
        if len(np.unique(column)) > 1:
            kept.append(name)
            columns.append(column)
    empty = np.empty((len(rows), 0), dtype=np.int64)
    return kept, np.stack(columns, axis=1) if columns else empty


def _bucket(values: NDArray[np.float64]) -> NDArray[np.int64]:
    present = values[~np.isnan(values)]
    edges = np.unique(present)
    if len(edges) > _MOST_VALUES:
        edges = np.unique(np.quantile(present, np.arange(_BUCKETS) / _BUCKETS))
    places = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), 0, places).astype(np.int64)


def _counts(kept: Sequence[Hit], dropped: Sequence[Hit], slots: int) -> Fields:
    num_kept, num_dropped = Counter(map(_stream, kept)), Counter(map(_stream, dropped))
    names = [f"{level} {modality}" for level, modality in STREAMS]
    state = {name: 2 if num_kept[name] else int(num_dropped[name] > 0) for name in names}
    return {
        "kept count": {**{name: num_kept[name] for name in names}, "all": len(kept)},
        "padding": {name: 1 - num_kept[name] / slots for name in names},
        "dropped count": {**{name: num_dropped[name] for name in names}, "all": len(dropped)},
        "hit or miss": {name: float(value) for name, value in state.items()},
    }


def _spread(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return least, mean and greatest value by name."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for name, value in pairs:
        found[name].append(value)
    spread: dict[str, float] = {}
    for name, values in found.items():
        spread |= {f"{name} least": min(values), f"{name} greatest": max(values)}
        spread[f"{name} mean"] = sum(values) / len(values)
    return spread


def _floats(counts: Counter[str]) -> dict[str, float]:
    return {name: float(count) for name, count in counts.items()}


def _stream(hit: Hit) -> str:
    return f"{hit.level} {hit.modality}"
