"""What it saves to store a text once, where posts ask about the same events and find the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from cache import (
    STREAMS,
    Dropped,
    Evidence,
    Example,
    Hit,
    Manifest,
    Observation,
    Post,
    StoredExample,
    StoreWriter,
    content_key,
)
from cache.schema import Table
from cache.tables.shards import open_shard, parquet_bytes
from pipelines.bench.figures import Figure

_SHARD_SIZE: Final = 512
_POSTS_PER_EVENT: Final = 16
# Of 60 texts on an event each post finds half; curation keeps a third of those.
_TEXTS_PER_EVENT: Final = 60
_FOUND: Final = 30
_KEPT: Final = 10
_WORDS_PER_TEXT: Final = 55


def bench_storage(seed: int = 0, posts: int = 4096) -> list[Figure]:
    """Write a store whose posts share evidence; compare it with one that has texts in its rows.

    There is an event for every 16 posts, which are in random order. A post finds 30 of the 60
    texts on its event, each of about 300 characters, and keeps 10. There are no embeddings and
    images: they are the same either way. Rows with their texts are written with the settings of
    the store's own files.

    Args:
        seed: of texts, events and what is found.
        posts: how many; a multiple of 16.

    Returns:
        Bytes of hits and texts for a post, both ways, and how many times smaller one is.
    """
    with tempfile.TemporaryDirectory() as made:
        store = Path(made)
        manifest = _write(store, seed, posts)
        once = sum(
            shard.files[table].size_bytes
            for shard in manifest.shards
            for table in _HIT_TABLES + _TEXT_TABLES
        )
        per_row = sum(_bytes_with_texts(store, manifest))
        num_hits = sum(shard.files[t].rows for shard in manifest.shards for t in _HIT_TABLES)
        num_texts = len(_texts(store, manifest))
    return [
        Figure("posts that find one text, on average", num_hits / num_texts),
        Figure("bytes of hits a post, the text in every row", per_row / posts),
        Figure("bytes of hits a post, each text once in the store", once / posts),
        Figure("times smaller with each text once", per_row / once),
    ]


_HIT_TABLES: Final[list[Table]] = ["evidence", "dropped"]
_TEXT_TABLES: Final[list[Table]] = ["texts"]


def _write(store: Path, seed: int, posts: int) -> Manifest:
    rng = np.random.default_rng(seed)
    passages = _passages(rng, posts // _POSTS_PER_EVENT * _TEXTS_PER_EVENT)
    events = rng.permutation(np.arange(posts) // _POSTS_PER_EVENT)
    num_shards = -(-posts // _SHARD_SIZE)
    with StoreWriter(store, identity={"seed": seed}, num_shards=num_shards) as writer:
        for index in range(num_shards):
            rows: list[StoredExample] = []
            dropped: dict[str, list[Dropped]] = {}
            for number in range(index * _SHARD_SIZE, min(posts, (index + 1) * _SHARD_SIZE)):
                first = int(events[number]) * _TEXTS_PER_EVENT
                found = first + rng.choice(_TEXTS_PER_EVENT, _FOUND, replace=False)
                hits = [_hit(rank, int(text), passages) for rank, text in enumerate(found)]
                post = Post(f"post-{number:06d}", ("word",))
                kept = tuple(Evidence(hit, hit.rank, 1 / (60 + hit.rank)) for hit in hits[:_KEPT])
                rows.append(StoredExample(Example(post, "train"), Observation(post), kept))
                dropped[post.example_id] = [Dropped(h, "rank", "beyond 10") for h in hits[_KEPT:]]
            writer.write_shard(index, rows, dropped, [])
        return writer.close({})


def _passages(rng: np.random.Generator, num_texts: int) -> list[str]:
    """Return the texts of all events, of words that are as unequally frequent as real ones."""
    words = ["".join(map(chr, rng.integers(97, 123, rng.integers(2, 9)))) for _ in range(20_000)]
    frequency = 1 / np.arange(1, len(words) + 1)
    drawn = rng.choice(
        len(words), size=(num_texts, _WORDS_PER_TEXT), p=frequency / frequency.sum()
    )
    return [" ".join(words[i] for i in row) for row in drawn.tolist()]


def _hit(rank: int, text: int, passages: Sequence[str]) -> Hit:
    level, modality = STREAMS[2 * (rank % 3)]
    return Hit(
        level=level,
        modality=modality,
        region_index=-1,
        provider="bench",
        document_id=f"document-{text:06d}",
        rank=rank,
        provider_score=1 / (1 + rank),
        text=passages[text],
        title=passages[text][:50],
        url=f"https://example.org/{text}/{passages[text][:30].replace(' ', '-')}",
        retrieved_at="2026-11-22T00:00:00Z",
        query_key=content_key(f"query {text // _TEXTS_PER_EVENT} {level}".encode()),
        relevance=0.5,
    )


def _texts(store: Path, manifest: Manifest) -> dict[str, str]:
    texts: dict[str, str] = {}
    for shard in manifest.shards:
        file = open_shard(store, shard.files["texts"], "texts")
        keys, values = file.column("key"), file.column("text")
        file.close()
        texts |= {k: v for k, v in zip(keys, values, strict=True) if v is not None}
    return texts


def _bytes_with_texts(store: Path, manifest: Manifest) -> Iterator[int]:
    """Yield the size that each file of hits has with the text in every row."""
    texts = _texts(store, manifest)
    for shard in manifest.shards:
        for table in _HIT_TABLES:
            file = open_shard(store, shard.files[table], table)
            rows = pa.concat_tables(file.group(index) for index in range(file.num_groups))
            file.close()
            column = rows.schema.get_field_index("text_key")
            values = [texts[key] for key in rows.column(column).to_pylist()]
            yield len(parquet_bytes(rows.set_column(column, "text", pa.array(values)), table))
