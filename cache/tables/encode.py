"""Records to Arrow tables; what a store may not hold is refused here, before it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Final

import numpy as np
import pyarrow as pa

from cache.checking.plausible import check_examples, check_hits, check_region_index
from cache.errors import InputError, StoreDamaged
from cache.keys import is_content_key, post_sha256
from cache.records import LEVELS, MODALITIES, Dropped, Hit, Region, Span, StoredExample
from cache.schema import SCHEMAS
from cache.tables.columns import list_column, table_of, vector_column
from cache.tables.withheld import check_post

_PHOTO_STATUSES: Final = ("ok", "none", "missing", "unreadable")
# Columns that hold what a hit says as it says it, and the attributes that say it.
_HIT_COLUMNS: Final = {
    "hit_rank": "rank",
    **{
        name: name
        for name in (
            "level",
            "modality",
            "region_index",
            "provider",
            "document_id",
            "provider_score",
            "media_key",
            "title",
            "url",
            "image_url",
            "image_sha256",
            "retrieved_at",
            "query_key",
            "relevance",
            "consistency",
        )
    },
}


def examples_table(rows: Sequence[StoredExample], dim: int | None) -> pa.Table:
    """Return the table ``examples`` of posts that are already in order.

    Raises:
        InputError: a value that the store does not take; the message names the post.
    """
    plain = [_example_row(row) for row in rows]
    columns: dict[str, Sequence[object] | pa.Array] = {
        name: [row.get(name) for row in plain] for name in SCHEMAS["examples"].names
    }
    seen = [row.observation for row in rows]
    names = [one.post.example_id for one in seen]
    columns["photo_embedding"] = vector_column([s.photo_embedding for s in seen], dim, names)
    columns["sentence_embedding"] = vector_column([s.sentence_embedding for s in seen], dim, names)
    columns["region_embeddings"] = list_column(
        SCHEMAS["examples"].field("region_embeddings").type,
        vector_column(
            [region.embedding for one in seen for region in one.regions],
            dim,
            [one.post.example_id for one in seen for _ in one.regions],
        ),
        [len(one.regions) for one in seen],
    )
    table = table_of("examples", columns)
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
    kept = [one for row in rows for one in row.evidence]
    hits = [one.hit for one in kept]
    owners = [row for row in rows for _ in row.evidence]
    names = [row.example.post.example_id for row in owners]
    with _refusing():
        for name, row, hit in zip(names, owners, hits, strict=True):
            check_region_index(name, hit.region_index, len(row.observation.regions))
    return _hits_table(
        "evidence",
        {
            **_hit_columns(names, hits, keys),
            "rank": [one.rank for one in kept],
            "fused_score": [one.fused_score for one in kept],
            "embedding": vector_column([hit.embedding for hit in hits], dim, names),
        },
    )


def dropped_table(
    names: Sequence[str], dropped: Mapping[str, Sequence[Dropped]], keys: Mapping[str, str]
) -> pa.Table:
    """Return the table ``dropped`` for the posts ``names``, in that order; without embeddings."""
    posts = [name for name in names for _ in dropped.get(name, ())]
    items = [item for name in names for item in dropped.get(name, ())]
    return _hits_table(
        "dropped",
        {
            **_hit_columns(posts, [item.hit for item in items], keys),
            "step": [item.step for item in items],
            "reason": [item.reason for item in items],
        },
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


def _example_row(row: StoredExample) -> dict[str, object]:
    """Return a post's values by column, without the embeddings."""
    example, seen, post = row.example, row.observation, row.example.post
    name = post.example_id
    if seen.post is not post and seen.post != post:
        raise InputError(f"{name!r}: the observation is of another post, {seen.post.example_id!r}")
    if seen.photo_status not in _PHOTO_STATUSES:
        raise InputError(
            f"{name!r}: photo_status {seen.photo_status!r} is none of {', '.join(_PHOTO_STATUSES)}"
        )
    if row.post_sha256:
        with _refusing():
            check_post(example, row.post_sha256)
    _check_media_key(seen.photo_key, name)
    return {
        "example_id": name,
        "split": example.split,
        "tokens": list(post.tokens),
        "photo_name": post.photo_name,
        "head": _mention(post.head, name),
        "tail": _mention(post.tail, name),
        "entities": None if example.entities is None else [s._asdict() for s in example.entities],
        "relation": example.relation,
        "post_sha256": row.post_sha256 or post_sha256(post),
        "photo_key": seen.photo_key,
        "photo_status": seen.photo_status,
        "regions": [_region(region) for region in seen.regions],
    }


def _mention(span: Span | None, name: str) -> dict[str, int] | None:
    if span is None:
        return None
    if span.label:
        raise InputError(
            f"{name!r}: the given mention {tuple(span)} carries a label. A mention is an input "
            "and has none; put the label into the example's entities."
        )
    return {"start": span.start, "end": span.end}


def _region(region: Region) -> dict[str, object]:
    left, top, right, bottom = region.box
    return {
        "left": left,
        "top": top,
        "right": right,
        "bottom": bottom,
        "label": region.label,
        "confidence": region.confidence,
    }


def _hit_columns(
    posts: Sequence[str], hits: Sequence[Hit], keys: Mapping[str, str]
) -> dict[str, Sequence[object] | pa.Array]:
    for name, hit in zip(posts, hits, strict=True):
        if hit.level not in LEVELS or hit.modality not in MODALITIES:
            raise InputError(
                f"{name!r}: a hit has level {hit.level!r} and modality {hit.modality!r}; "
                f"levels are {', '.join(LEVELS)}, modalities {', '.join(MODALITIES)}"
            )
        _check_media_key(hit.media_key, name)
    return {
        "example_id": posts,
        "text_key": [keys[hit.text] if hit.text else None for hit in hits],
        **{
            column: list(map(attrgetter(attribute), hits))
            for column, attribute in _HIT_COLUMNS.items()
        },
    }


def _hits_table(name: str, columns: Mapping[str, Sequence[object] | pa.Array]) -> pa.Table:
    table = table_of(name, columns)
    with _refusing():
        check_hits(table)
    return table


def _check_media_key(key: str | None, name: str) -> None:
    if key is not None and not is_content_key(key):
        raise InputError(f"{name!r}: {key!r} is no image key; use content_key() of the bytes")
