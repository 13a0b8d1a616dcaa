"""Records to Arrow tables; what a store may not hold is refused here, before it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from cache.errors import InputError
from cache.keys import content_key, is_content_key
from cache.records import (
    LEVELS,
    MODALITIES,
    Dropped,
    Hit,
    Media,
    Region,
    Span,
    StoredExample,
    Vector,
)
from cache.schema import SCHEMAS

_PHOTO_STATUSES: Final = ("ok", "none", "missing", "unreadable")
Row = dict[str, object]


def examples_table(rows: Sequence[StoredExample], dim: int | None) -> pa.Table:
    """Return the table ``examples`` of posts that are already in order.

    Raises:
        InputError: a value that the store does not take; the message names the post.
    """
    return _table("examples", [_example_row(row, dim) for row in rows])


def evidence_table(rows: Sequence[StoredExample], dim: int | None) -> pa.Table:
    """Return the table ``evidence``: every post's kept hits, in the order of the record."""
    out: list[Row] = []
    for row in rows:
        name = row.example.post.example_id
        for evidence in row.evidence:
            out.append(
                {
                    **_hit_row(name, evidence.hit),
                    "rank": evidence.rank,
                    "fused_score": evidence.fused_score,
                    "embedding": _rounded(evidence.hit.embedding, dim, name),
                }
            )
    return _table("evidence", out)


def dropped_table(names: Sequence[str], dropped: Mapping[str, Sequence[Dropped]]) -> pa.Table:
    """Return the table ``dropped`` for the posts ``names``, in that order; without embeddings."""
    return _table(
        "dropped",
        [
            {**_hit_row(name, item.hit), "step": item.step, "reason": item.reason}
            for name in names
            for item in dropped.get(name, ())
        ],
    )


def media_table(media: Iterable[Media], stored_in: Mapping[str, int], index: int) -> pa.Table:
    """Return the table ``media`` of shard ``index``, sorted by key.

    Args:
        media: every image that the shard's posts need, in any order, repetitions allowed.
        stored_in: shard that holds the bytes, for every key.
        index: this shard.
    """
    by_key = {item.key: item for item in media}
    rows: list[Row] = []
    for key, item in sorted(by_key.items()):
        here = stored_in[key] == index
        if (here or item.data) and content_key(item.data) != key:
            raise InputError(
                f"an image has the key {key!r}, but its bytes have {content_key(item.data)}. "
                "Give every image the key that content_key() returns."
            )
        rows.append(
            {
                "key": key,
                "format": item.format,
                "width": item.width,
                "height": item.height,
                "stored_in": stored_in[key],
                "data": item.data if here else None,
            }
        )
    return _table("media", rows)


def embedding_dim(rows: Sequence[StoredExample]) -> int | None:
    """Return the length of the first embedding found in ``rows``; None where there is none."""
    for row in rows:
        seen = row.observation
        vectors = [seen.photo_embedding, seen.sentence_embedding]
        vectors += [region.embedding for region in seen.regions]
        vectors += [evidence.hit.embedding for evidence in row.evidence]
        for vector in vectors:
            if vector is not None:
                return int(np.asarray(vector).size)
    return None


def _example_row(row: StoredExample, dim: int | None) -> Row:
    example, seen, post = row.example, row.observation, row.example.post
    name = post.example_id
    if seen.post is not post and seen.post != post:
        raise InputError(f"{name!r}: the observation is of another post, {seen.post.example_id!r}")
    if seen.photo_status not in _PHOTO_STATUSES:
        raise InputError(
            f"{name!r}: photo_status {seen.photo_status!r} is none of {', '.join(_PHOTO_STATUSES)}"
        )
    return {
        "example_id": name,
        "split": example.split,
        "tokens": list(post.tokens),
        "photo_name": post.photo_name,
        "head": _mention(post.head, name),
        "tail": _mention(post.tail, name),
        "entities": None if example.entities is None else [s._asdict() for s in example.entities],
        "relation": example.relation,
        "photo_key": _media_key(seen.photo_key, name),
        "photo_status": seen.photo_status,
        "photo_embedding": _rounded(seen.photo_embedding, dim, name),
        "sentence_embedding": _rounded(seen.sentence_embedding, dim, name),
        "regions": [_region(region, name) for region in seen.regions],
        "region_embeddings": [_rounded(region.embedding, dim, name) for region in seen.regions],
    }


def _mention(span: Span | None, name: str) -> Row | None:
    if span is None:
        return None
    if span.label:
        raise InputError(
            f"{name!r}: the given mention {tuple(span)} carries a label. A mention is an input "
            "and has none; put the label into the example's entities."
        )
    return {"start": span.start, "end": span.end}


def _region(region: Region, name: str) -> Row:
    left, top, right, bottom = (_finite(value, "box", name) for value in region.box)
    confidence = _finite(region.confidence, "confidence", name)
    return {
        "left": left,
        "top": top,
        "right": right,
        "bottom": bottom,
        "label": region.label,
        "confidence": confidence,
    }


def _hit_row(name: str, hit: Hit) -> Row:
    if hit.level not in LEVELS or hit.modality not in MODALITIES:
        raise InputError(
            f"{name!r}: a hit has level {hit.level!r} and modality {hit.modality!r}; "
            f"levels are {', '.join(LEVELS)}, modalities {', '.join(MODALITIES)}"
        )
    return {
        "example_id": name,
        "level": hit.level,
        "modality": hit.modality,
        "region_index": hit.region_index,
        "provider": hit.provider,
        "document_id": hit.document_id,
        "hit_rank": hit.rank,
        "provider_score": _finite(hit.provider_score, "provider_score", name),
        "text": hit.text,
        "media_key": _media_key(hit.media_key, name),
        "title": hit.title,
        "url": hit.url,
        "retrieved_at": hit.retrieved_at,
        "query_key": hit.query_key,
        "relevance": _known(hit.relevance, "relevance", name),
        "consistency": _known(hit.consistency, "consistency", name),
    }


def _media_key(key: str | None, name: str) -> str | None:
    if key is not None and not is_content_key(key):
        raise InputError(f"{name!r}: {key!r} is no image key; use content_key() of the bytes")
    return key


def _finite(value: float, what: str, name: str) -> float:
    if not np.isfinite(value):
        raise InputError(f"{name!r}: {what} is {value}; only finite numbers can be stored")
    return float(value)


def _known(value: float | None, what: str, name: str) -> float | None:
    return None if value is None else _finite(value, what, name)


def _rounded(vector: Vector | None, dim: int | None, name: str) -> Vector | None:
    """Return ``vector`` rounded to what float16 can express."""
    if vector is None:
        return None
    values = np.asarray(vector)
    if values.ndim != 1 or values.size != dim or not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            f"{name!r}: an embedding has shape {values.shape} and type {values.dtype}; the store "
            f"holds vectors of {dim} floats. Use one encoder for the whole store."
        )
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16).astype(np.float32)
    if not np.isfinite(rounded).all():
        raise InputError(
            f"{name!r}: an embedding holds NaN, an infinity or a value beyond float16. "
            "Store unit vectors, or None where nothing could be computed."
        )
    return rounded


def _table(name: str, rows: Sequence[Row]) -> pa.Table:
    schema: pa.Schema = SCHEMAS[name]
    try:
        table = pa.Table.from_pylist(list(rows), schema=schema)
        table.validate(full=True)
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError) as error:
        raise InputError(
            f"a row of the table {name} cannot be stored: {error}. "
            "Compare the record with docs/store-format.md."
        ) from error
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise InputError(f"the column {field.name} of the table {name} holds None")
    return table
