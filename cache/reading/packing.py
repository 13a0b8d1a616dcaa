"""Posts and images as values of derived files: laid out for fast reading, nothing checked here.

A post is two values, so that training does not read what only people look at::

    features  4 bytes number of vectors, the vectors as float32 one after the other,
              msgpack of what a trainer needs
    rest      msgpack of what only `unpack_record` needs

All little-endian. As float16 the vectors would take half the room, but making float32 of them
would take as long as the rest of reading a post. What belongs to several items is kept by column
(all texts, then all ranks ...): fewer containers to decode. Layouts are of this checkout and no
part of the contract.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any, Final

import msgpack
import numpy as np

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

_COUNT_BYTES: Final = 4
_NONE: Final = -1
_new_tuple = tuple.__new__


def pack(stored: StoredExample) -> tuple[bytes, bytes]:
    """Return the two values of a post."""
    found: list[Vector] = []
    features = msgpack.packb(_feature_values(features_of(stored), found))
    blob = b"".join(vector.astype("<f4").tobytes() for vector in found)
    head = len(found).to_bytes(_COUNT_BYTES, "little")
    return head + blob + features, msgpack.packb(_rest_values(stored))


def unpack_features(value: bytes, example_id: str, dim: int) -> Features:
    """Return the features of a post; the hot path.

    Args:
        value: the first that `pack` returned.
        example_id: the post's; not part of the value.
        dim: numbers in one vector.
    """
    num_vectors = int.from_bytes(value[:_COUNT_BYTES], "little")
    # A copy, so that vectors may be written to and do not point into the value.
    numbers = np.frombuffer(value, "<f4", num_vectors * dim, _COUNT_BYTES).astype(np.float32)
    # The last entry serves the index -1.
    vectors: list[Vector | None] = [*numbers.reshape(num_vectors, dim), None]
    split, tokens, photo_name, head, tail, entities, relation, seen, crops, columns = _decode(
        memoryview(value)[_COUNT_BYTES + numbers.nbytes :]
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
    photo_key, photo, sentence = seen
    return Features(
        Example(post, split, spans, relation),
        photo_key,
        vectors[photo],
        vectors[sentence],
        tuple([vectors[index] for index in crops]),
        items,
    )


def unpack_record(features: Features, rest: bytes) -> StoredExample:
    """Return the whole record of a post: its features, and the second value of `pack`."""
    post_sha256, photo_status, regions, hits = _decode(rest)
    observation = Observation(
        features.example.post,
        features.photo_key,
        photo_status,
        features.photo_embedding,
        features.sentence_embedding,
        tuple(
            Region(tuple(box), label, confidence, crop)
            for (box, label, confidence), crop in zip(
                regions, features.region_embeddings, strict=True
            )
        ),
    )
    evidence = tuple(map(_evidence, features.evidence, hits))
    return StoredExample(features.example, observation, evidence, post_sha256)


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
        (
            features.photo_key,
            number(features.photo_embedding),
            number(features.sentence_embedding),
        ),
        [number(crop) for crop in features.region_embeddings],
        list(zip(*items, strict=True)),
    ]


def _rest_values(stored: StoredExample) -> list[Any]:
    seen = stored.observation
    hits = [evidence.hit for evidence in stored.evidence]
    return [
        stored.post_sha256,
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
    provider, document_id, hit_rank, score, title, *web, retrieved_at, query_key = hit
    url, image_url, image_sha256 = web
    # By position, in the order of the class: half the time of naming twenty values.
    return Evidence(
        Hit(
            level,
            modality,
            item.region_index,
            provider,
            document_id,
            hit_rank,
            score,
            item.text,
            item.media_key,
            title,
            url,
            image_url,
            image_sha256,
            retrieved_at,
            query_key,
            item.relevance,
            item.consistency,
            item.embedding,
        ),
        item.rank,
        item.fused_score,
    )


def _decode(value: bytes | memoryview) -> Any:
    # Lengths inside cannot exceed the buffer's: unpackb takes its size as the limit of each.
    return msgpack.unpackb(value, use_list=False)
