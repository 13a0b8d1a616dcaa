"""Arrow tables back to records; everything that a file says is checked, because files are data."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa

from cache.checking.plausible import check_examples, check_hits, whole
from cache.errors import StoreDamaged
from cache.keys import is_content_key
from cache.records import (
    LEVELS,
    MODALITIES,
    Dropped,
    Evidence,
    Example,
    Hit,
    Level,
    Media,
    Modality,
    Observation,
    Post,
    Region,
    Span,
    Vector,
)
from cache.tables.withheld import check_post

_PHOTO_STATUSES: Final = frozenset(("ok", "none", "missing", "unreadable"))
# pyarrow is untyped: what `to_pylist` returns is checked by the schema, not by mypy.
Columns = dict[str, list[Any]]


def decode_examples(table: pa.Table, dim: int | None) -> list[tuple[Example, Observation, str]]:
    """Return the posts of a part of the table ``examples``, each with its ``post_sha256``.

    Args:
        table: has the schema of ``examples``.
        dim: length that every embedding must have.

    Raises:
        StoreDamaged: a value that no writer of this project would have written.
    """
    check_examples(table)
    plain = _plain(table, ("photo_embedding", "sentence_embedding", "region_embeddings"))
    photos = _vectors(table, "photo_embedding", dim)
    sentences = _vectors(table, "sentence_embedding", dim)
    crops = _vector_lists(table, "region_embeddings", dim)
    return [
        _example(plain, row, photos[row], sentences[row], crops[row])
        for row in range(table.num_rows)
    ]


def decode_evidence(
    table: pa.Table, dim: int | None, texts: Mapping[str, str]
) -> list[tuple[str, Evidence]]:
    """Return (example id, evidence) of a part of the table ``evidence``.

    Args:
        table: has the schema of ``evidence``.
        dim: length that every embedding must have.
        texts: by key, every one that the rows name.

    Raises:
        StoreDamaged: a value that no writer of this project would have written.
    """
    check_hits(table)
    plain = _plain(table, ("embedding",))
    vectors = _vectors(table, "embedding", dim)
    return [
        (
            plain["example_id"][row],
            Evidence(
                hit=_hit(plain, row, vectors[row], texts),
                rank=plain["rank"][row],
                fused_score=plain["fused_score"][row],
            ),
        )
        for row in range(table.num_rows)
    ]


def decode_dropped(table: pa.Table, texts: Mapping[str, str]) -> list[tuple[str, Dropped]]:
    """Return (example id, dropped hit) of a part of the table ``dropped``; see above."""
    check_hits(table)
    plain = _plain(table, ())
    return [
        (
            plain["example_id"][row],
            Dropped(_hit(plain, row, None, texts), plain["step"][row], plain["reason"][row]),
        )
        for row in range(table.num_rows)
    ]


def decode_media(table: pa.Table) -> list[tuple[Media, int]]:
    """Return (image, index of the shard with its bytes); ``data`` is empty where it is elsewhere.

    The bytes are not compared with the key here: `check_media` does it for the image that is used.
    """
    plain = _plain(table, ())
    return [
        (
            Media(
                key=_key(plain["key"][row]),
                data=plain["data"][row] or b"",
                format=plain["format"][row],
                width=plain["width"][row],
                height=plain["height"][row],
            ),
            plain["stored_in"][row],
        )
        for row in range(table.num_rows)
    ]


def decode_texts(table: pa.Table) -> list[tuple[str, int, str | None]]:
    """Return (key, index of the shard with the text, the text if it is here)."""
    plain = _plain(table, ())
    return [
        (_key(key), stored_in, text)
        for key, stored_in, text in zip(
            plain["key"], plain["stored_in"], plain["text"], strict=True
        )
    ]


def _plain(table: pa.Table, without: Sequence[str]) -> Columns:
    columns: Columns = {}
    for name in table.column_names:
        if name not in without:
            try:
                columns[name] = table.column(name).to_pylist()
            except (pa.ArrowException, UnicodeDecodeError) as error:
                raise StoreDamaged(f"the column {name} cannot be decoded: {error}") from error
    return columns


def _example(
    plain: Columns, row: int, photo: Vector | None, sentence: Vector | None, crops: list[Any]
) -> tuple[Example, Observation, str]:
    name = plain["example_id"][row]
    status, photo_key = plain["photo_status"][row], plain["photo_key"][row]
    regions = plain["regions"][row]
    if status not in _PHOTO_STATUSES or len(crops) != len(regions):
        raise StoreDamaged(f"{name!r}: photo status {status!r} or its regions make no sense")
    post = Post(
        example_id=name,
        tokens=tuple(plain["tokens"][row]),
        photo_name=plain["photo_name"][row],
        head=_mention(plain["head"][row]),
        tail=_mention(plain["tail"][row]),
    )
    entities = plain["entities"][row]
    spans = None if entities is None else tuple(Span(**entity) for entity in entities)
    observation = Observation(
        post=post,
        photo_key=None if photo_key is None else _key(photo_key),
        photo_status=status,
        photo_embedding=photo,
        sentence_embedding=sentence,
        regions=tuple(_region(*pair) for pair in zip(regions, crops, strict=True)),
    )
    example = Example(post, plain["split"][row], spans, plain["relation"][row])
    sha256 = plain["post_sha256"][row]
    check_post(example, sha256)
    return example, observation, sha256


def _mention(value: dict[str, int] | None) -> Span | None:
    return None if value is None else Span(value["start"], value["end"])


def _region(value: dict[str, Any], embedding: Vector | None) -> Region:
    box = (value["left"], value["top"], value["right"], value["bottom"])
    return Region(box, value["label"], value["confidence"], embedding)


def _hit(plain: Columns, row: int, embedding: Vector | None, texts: Mapping[str, str]) -> Hit:
    level, modality, key = (plain[name][row] for name in ("level", "modality", "media_key"))
    text_key = plain["text_key"][row]
    if level not in LEVELS or modality not in MODALITIES:
        raise StoreDamaged(f"a hit has level {level!r} and modality {modality!r}")
    return Hit(
        level=cast(Level, level),
        modality=cast(Modality, modality),
        region_index=plain["region_index"][row],
        provider=plain["provider"][row],
        document_id=plain["document_id"][row],
        rank=plain["hit_rank"][row],
        provider_score=plain["provider_score"][row],
        text="" if text_key is None else texts[text_key],
        media_key=None if key is None else _key(key),
        title=plain["title"][row],
        url=plain["url"][row],
        image_url=plain["image_url"][row],
        image_sha256=plain["image_sha256"][row],
        retrieved_at=plain["retrieved_at"][row],
        query_key=plain["query_key"][row],
        relevance=plain["relevance"][row],
        consistency=plain["consistency"][row],
        embedding=embedding,
    )


def _key(key: str) -> str:
    if not is_content_key(key):
        raise StoreDamaged(f"{key!r} is no content key")
    return key


def _vectors(table: pa.Table, name: str, dim: int | None) -> list[Vector | None]:
    posts = table.column("example_id")
    return _vectors_of(whole(table, name), name, dim, lambda row: posts[row].as_py())


def _vector_lists(table: pa.Table, name: str, dim: int | None) -> list[list[Vector | None]]:
    column = whole(table, name)
    offsets = column.offsets.to_numpy()
    first = offsets[0]
    ends = (offsets - first).tolist()
    posts = table.column("example_id")
    inner = _vectors_of(
        column.values.slice(first, offsets[-1] - first),
        name,
        dim,
        lambda row: posts[bisect_right(ends, row) - 1].as_py(),
    )
    return [inner[start:end] for start, end in itertools.pairwise(ends)]


def _vectors_of(
    column: pa.ListArray, name: str, dim: int | None, post_of: Callable[[int], str]
) -> list[Vector | None]:
    """Return one read-only vector per row, without a Python object per number.

    Args:
        column: the vectors.
        name: of the column, for messages.
        dim: length that every vector must have.
        post_of: the post that a row is of, for messages.
    """
    offsets = column.offsets.to_numpy()
    first = offsets[0]
    values = column.values.slice(first, offsets[-1] - first).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        exact = values.astype(np.float16).astype(np.float32)
    ends = (offsets - first).tolist()
    # NaN is unequal to itself, and an infinity passes, so it is asked for as well.
    if not (np.array_equal(exact, values) and np.isfinite(exact).all()):
        place = int(np.argmax((exact != values) | ~np.isfinite(exact)))
        raise StoreDamaged(
            f"{post_of(bisect_right(ends, place) - 1)!r}: the column {name} holds NaN, an "
            f"infinity, or more than float16 can: {values[place]}"
        )
    vectors: list[Vector | None] = []
    for row, there in enumerate(column.is_valid().to_pylist()):
        start, end = ends[row], ends[row + 1]
        if there and end - start != dim:
            raise StoreDamaged(
                f"{post_of(row)!r}: the column {name} holds {end - start} numbers where {dim} "
                "belong"
            )
        vectors.append(values[start:end] if there else None)
    return vectors
