"""Records to Arrow tables; what a store may not hold is refused here, before it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa

from cache.errors import InputError, StoreDamaged
from cache.keys import is_content_key
from cache.plausible import check_examples, check_region_index
from cache.records import (
    LEVELS,
    MODALITIES,
    Dropped,
    Hit,
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
    table = table_of("examples", [_example_row(row, dim) for row in rows])
    with _refusing():
        check_examples(table)
    return table


def evidence_table(
    rows: Sequence[StoredExample], dim: int | None, keys: Mapping[str, str]
) -> pa.Table:
    """Return the table ``evidence``: every post's kept hits, in the order of the record.

    Args:
        rows: posts that are already in order.
        dim: length that every embedding must have.
        keys: of every text, see `text_keys`.
    """
    out: list[Row] = []
    for row in rows:
        name = row.example.post.example_id
        num_regions = len(row.observation.regions)
        for evidence in row.evidence:
            with _refusing():
                check_region_index(name, evidence.hit.region_index, num_regions)
            out.append(
                {
                    **_hit_row(name, evidence.hit, keys),
                    "rank": evidence.rank,
                    "fused_score": _finite(evidence.fused_score, "fused_score", name),
                    "embedding": _rounded(evidence.hit.embedding, dim, name),
                }
            )
    return table_of("evidence", out)


def dropped_table(
    names: Sequence[str], dropped: Mapping[str, Sequence[Dropped]], keys: Mapping[str, str]
) -> pa.Table:
    """Return the table ``dropped`` for the posts ``names``, in that order; without embeddings."""
    return table_of(
        "dropped",
        [
            {**_hit_row(name, item.hit, keys), "step": item.step, "reason": item.reason}
            for name in names
            for item in dropped.get(name, ())
        ],
    )


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


@contextmanager
def _refusing() -> Iterator[None]:
    """Refuse to write what no reader would believe."""
    try:
        yield
    except StoreDamaged as error:
        raise InputError(f"{error}. Compare the record with docs/store-format.md.") from error


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


def _hit_row(name: str, hit: Hit, keys: Mapping[str, str]) -> Row:
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
        "text_key": keys[hit.text] if hit.text else None,
        "media_key": _media_key(hit.media_key, name),
        "title": hit.title,
        "url": hit.url,
        "image_url": hit.image_url,
        "image_sha256": hit.image_sha256,
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


def table_of(name: str, rows: Sequence[Row]) -> pa.Table:
    """Return rows as a table of the schema ``name``.

    Raises:
        InputError: a value that its column does not take.
    """
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
