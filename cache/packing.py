"""One post as one value of the derived LMDB file: hashed, and laid out for fast reading.

Layout (little-endian), an implementation detail of this checkout and no part of the contract::

    8 bytes   xxh3_64 of everything after it, seeded with the post's number
    4 bytes   number of vectors
    4 bytes   length of the features
    vectors   float16, one after the other
    features  msgpack: what a trainer needs
    rest      msgpack: what only `unpack_record` needs

What belongs to several items is kept by column (all texts, then all ranks ...): fewer containers
to decode. Nothing that is returned points into the value, which may be mapped memory.
"""

from __future__ import annotations

import struct
from itertools import repeat
from typing import Any, Final

import msgpack
import numpy as np
import xxhash

from cache.errors import StoreDamaged
from cache.reader import EvidenceItem, Features, features_of
from cache.records import (
    STREAMS,
    Evidence,
    Example,
    Hit,
    Observation,
    Post,
    Region,
    Span,
    StoredExample,
    Vector,
)

_HEAD: Final = struct.Struct("<QII")
_HEAD_BYTES: Final = _HEAD.size
_HASH_BYTES: Final = 8
_NONE: Final = -1
_hash = xxhash.xxh3_64_intdigest
_unpack_head = _HEAD.unpack_from
_new_tuple = tuple.__new__
Value = bytes | memoryview


def seal(body: bytes, number: int) -> bytes:
    """Return ``body`` with its hash in front; ``number`` makes swapped values noticeable."""
    return _hash(body, number).to_bytes(_HASH_BYTES, "little") + body


def unseal(value: Value, number: int) -> memoryview:
    """Return what was sealed.

    Raises:
        StoreDamaged: value and hash do not fit.
    """
    view = memoryview(value)
    body = view[_HASH_BYTES:]
    if len(view) < _HASH_BYTES or int.from_bytes(view[:_HASH_BYTES], "little") != _hash(
        body, number
    ):
        raise _damaged()
    return body


def pack(stored: StoredExample, number: int) -> bytes:
    """Return the value of post ``number``."""
    found: list[Vector] = []
    features = msgpack.packb(_feature_values(features_of(stored), found))
    rest = msgpack.packb(_rest_values(stored))
    head = _HEAD.pack(0, len(found), len(features))[_HASH_BYTES:]
    blob = b"".join(vector.astype("<f2").tobytes() for vector in found)
    return seal(b"".join([head, blob, features, rest]), number)


def unpack_features(value: Value, number: int, example_id: str, dim: int) -> Features:
    """Return the features of post ``number``, the hash compared first; the hot path.

    Args:
        value: what `pack` returned.
        number: the post's.
        example_id: the post's; not part of the value.
        dim: numbers in one vector.

    Raises:
        StoreDamaged: value and hash do not fit.
    """
    if len(value) < _HEAD_BYTES:
        raise _damaged()
    view = memoryview(value)
    digest, num_vectors, length = _unpack_head(view)
    if _hash(view[_HASH_BYTES:], number) != digest:
        raise _damaged()
    start = _HEAD_BYTES + 2 * num_vectors * dim
    matrix = np.frombuffer(view, "<f2", num_vectors * dim, _HEAD_BYTES).astype(np.float32)
    # The last entry serves the index -1.
    vectors: list[Vector | None] = [*matrix.reshape(num_vectors, dim), None]
    split, tokens, photo_name, head, tail, entities, relation, seen, crops, columns = _decode(
        view[start : start + length]
    )
    post = Post(
        example_id,
        tokens,
        photo_name,
        None if head is None else Span(*head),
        None if tail is None else Span(*tail),
    )
    spans = None if entities is None else tuple([Span(*entity) for entity in entities])
    items: tuple[EvidenceItem, ...] = ()
    if columns:
        embeddings = [vectors[index] for index in columns[-1]]
        # All in C: one tuple per item, made into the named one without a Python call.
        rows = zip(*columns[:-1], embeddings, strict=True)
        items = tuple(map(_new_tuple, repeat(EvidenceItem), rows))
    return Features(
        Example(post, split, spans, relation),
        vectors[seen[0]],
        vectors[seen[1]],
        tuple([vectors[index] for index in crops]),
        items,
    )


def unpack_record(value: Value, number: int, example_id: str, dim: int) -> StoredExample:
    """Return the whole record of post ``number``; arguments and errors as `unpack_features`."""
    features = unpack_features(value, number, example_id, dim)
    view = memoryview(value)
    _, num_vectors, length = _unpack_head(view)
    photo_key, photo_status, regions, hits = _decode(
        view[_HEAD_BYTES + 2 * num_vectors * dim + length :]
    )
    observation = Observation(
        post=features.example.post,
        photo_key=photo_key,
        photo_status=photo_status,
        photo_embedding=features.photo_embedding,
        sentence_embedding=features.sentence_embedding,
        regions=tuple(
            Region(tuple(box), label, confidence, crop)
            for (box, label, confidence), crop in zip(
                regions, features.region_embeddings, strict=True
            )
        ),
    )
    evidence = tuple(
        _evidence(item, hit) for item, hit in zip(features.evidence, hits, strict=True)
    )
    return StoredExample(features.example, observation, evidence)


def _feature_values(features: Features, found: list[Vector]) -> list[Any]:
    def number(vector: Vector | None) -> int:
        if vector is None:
            return _NONE
        found.append(vector)
        return len(found) - 1

    example, post = features.example, features.example.post
    items = [(*item[:-1], number(item.embedding)) for item in features.evidence]
    return [
        example.split,
        post.tokens,
        post.photo_name,
        post.head,
        post.tail,
        example.entities,
        example.relation,
        (number(features.photo_embedding), number(features.sentence_embedding)),
        [number(crop) for crop in features.region_embeddings],
        list(zip(*items, strict=True)),
    ]


def _rest_values(stored: StoredExample) -> list[Any]:
    seen = stored.observation
    hits = [evidence.hit for evidence in stored.evidence]
    return [
        seen.photo_key,
        seen.photo_status,
        [(region.box, region.label, region.confidence) for region in seen.regions],
        [
            (
                hit.provider,
                hit.document_id,
                hit.rank,
                hit.provider_score,
                hit.title,
                hit.url,
                hit.image_url,
                hit.image_sha256,
                hit.retrieved_at,
                hit.query_key,
            )
            for hit in hits
        ],
    ]


def _evidence(item: EvidenceItem, hit: tuple[Any, ...]) -> Evidence:
    level, modality = STREAMS[item.stream]
    provider, document_id, hit_rank, score, title, url, *web, retrieved_at, query_key = hit
    image_url, image_sha256 = web
    return Evidence(
        hit=Hit(
            level=level,
            modality=modality,
            region_index=item.region_index,
            provider=provider,
            document_id=document_id,
            rank=hit_rank,
            provider_score=score,
            text=item.text,
            media_key=item.media_key,
            title=title,
            url=url,
            image_url=image_url,
            image_sha256=image_sha256,
            retrieved_at=retrieved_at,
            query_key=query_key,
            relevance=item.relevance,
            consistency=item.consistency,
            embedding=item.embedding,
        ),
        rank=item.rank,
        fused_score=item.fused_score,
    )


def _decode(view: memoryview) -> Any:
    # Lengths inside cannot exceed the buffer's: unpackb takes its size as the limit of each.
    return msgpack.unpackb(view, use_list=False, strict_map_key=True)


def _damaged() -> StoreDamaged:
    return StoreDamaged(
        "a value of the derived LMDB file does not fit its hash. Remove the folder local/ of the "
        "store (and the per-user copy, if the log named one); it is made again when needed."
    )
