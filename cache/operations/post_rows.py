"""Rows of posts: taken out of a shard, put together, and hashed to be compared."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from cache.checking.plausible import check_region_index, whole
from cache.checking.verify_rows import check_keys
from cache.errors import StoreDamaged
from cache.schema import ROW_TABLES, SCHEMAS, Table
from cache.tables.decode import decode_dropped, decode_evidence, decode_examples

# What a post is, what people say of it, and what was seen in it; the last is never withheld.
INPUTS: Final = ("tokens", "head", "tail")
LABELS: Final = ("photo_name", "entities", "relation")
SEEN: Final = (
    "photo_key",
    "photo_status",
    "photo_embedding",
    "sentence_embedding",
    "regions",
    "region_embeddings",
)
_VECTORS: Final = frozenset(
    ("photo_embedding", "sentence_embedding", "region_embeddings", "embedding")
)


class Rows(NamedTuple):
    """The rows of some posts: posts in order of id, hits of each together and in their order."""

    examples: pa.Table
    evidence: pa.Table
    dropped: pa.Table

    def names(self) -> list[str]:
        """Return the ids of the posts."""
        names: list[str] = self.examples.column("example_id").to_pylist()
        return names

    def only(self, names: Collection[str], *, not_those: bool = False) -> Rows:
        """Return the rows of the posts ``names``, or of all others."""
        return Rows(*(_only(table, frozenset(names), not_those) for table in self))

    def image_keys(self) -> set[str]:
        """Return the keys of the images that rows name."""
        return self._keys("media_key") | set(self.examples["photo_key"].drop_null().to_pylist())

    def text_keys(self) -> set[str]:
        """Return the keys of the texts that rows name."""
        return self._keys("text_key")

    def digest(self) -> bytes:
        """Return a hash of the bytes in memory: rows that have the same are the same rows."""
        hasher = hashlib.sha256()
        for table in self:
            for column in table.columns:
                for chunk in column.chunks:
                    hasher.update(f"{column.type} {len(chunk)} {chunk.offset};".encode())
                    for buffer in filter(None, chunk.buffers()):
                        hasher.update(f"{buffer.size};".encode())
                        hasher.update(buffer)
        return hasher.digest()

    def _keys(self, column: str) -> set[str]:
        hits = (self.evidence, self.dropped)
        return {key for table in hits for key in table[column].drop_null().to_pylist()}


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several shards, of which no two have one post, in order."""
    tables = {name: unified(name, [getattr(part, name) for part in parts]) for name in ROW_TABLES}
    place = {name: row for row, name in enumerate(sorted(Rows(**tables).names()))}
    for name, table in tables.items():
        order = [place[one] for one in table["example_id"].to_pylist()]
        tables[name] = table.take(np.argsort(order, kind="stable"))
    return Rows(**tables)


def unified(name: Table, parts: Iterable[pa.Table]) -> pa.Table:
    """Return parts of a table in one piece, so that equal rows give equal files."""
    schema = SCHEMAS[name]
    # Reading leaves notes of Parquet's in the schema, which a table that is written has not.
    return pa.concat_tables(
        [schema.empty_table(), *(part.cast(schema) for part in parts)]
    ).combine_chunks()


def check_rows(rows: Rows, dim: int | None) -> None:
    """Compare rows with what a writer writes, as every reader does.

    Args:
        rows: of all posts of a shard.
        dim: length that every embedding must have.

    Raises:
        StoreDamaged: a value makes no sense, or rows are not where they belong.
    """
    for hits_of in (rows.evidence, rows.dropped):
        check_keys(whole(hits_of, "text_key"))
    posts = [seen for _, seen, *_ in decode_examples(rows.examples, dim)]
    kept = decode_evidence(rows.evidence, dim, _no_texts(rows.evidence))
    fallen = decode_dropped(rows.dropped, _no_texts(rows.dropped))
    hits = [[(name, one.hit) for name, one in kept], [(name, one.hit) for name, one in fallen]]
    regions = {seen.post.example_id: len(seen.regions) for seen in posts}
    for names in (list(regions), *([name for name, _ in part] for part in hits)):
        if len(regions) < len(posts) or names != sorted(names):
            raise StoreDamaged("rows are not in order of unique posts")
    for name, hit in itertools.chain(*hits):
        if name not in regions:
            raise StoreDamaged(f"a hit is of {name!r}, which is no post of the shard")
        check_region_index(name, hit.region_index, regions[name])


def _no_texts(table: pa.Table) -> dict[str, str]:
    """Return something for every text that rows name: texts are checked where they are."""
    return dict.fromkeys(table["text_key"].drop_null().to_pylist(), "")


def row_hashes(table: pa.Table, columns: Sequence[str]) -> list[bytes]:
    """Return a hash of some columns for each row: equal for equal values, on any machine."""
    plain = [whole(table, name).to_pylist() for name in columns if name not in _VECTORS]
    vectors = [_bytes_of(whole(table, name)) for name in columns if name in _VECTORS]
    hashes: list[bytes] = []
    for row in range(table.num_rows):
        values = [column[row] for column in plain]
        digest = hashlib.sha256(repr(values).encode())
        for column in vectors:
            digest.update(column[row])
        hashes.append(digest.digest())
    return hashes


def hashes_by_post(table: pa.Table, columns: Sequence[str]) -> dict[str, bytes]:
    """Return one hash for the rows of each post, their order included."""
    joined: dict[str, bytes] = {}
    names = table["example_id"].to_pylist()
    for name, value in zip(names, row_hashes(table, columns), strict=True):
        joined[name] = hashlib.sha256(joined.get(name, b"") + value).digest()
    return joined


def _only(table: pa.Table, names: frozenset[str], not_those: bool) -> pa.Table:
    wanted = [(name in names) != not_those for name in table["example_id"].to_pylist()]
    return table if all(wanted) else table.filter(pa.array(wanted, pa.bool_())).combine_chunks()


def _bytes_of(lists: pa.ListArray) -> list[bytes]:
    """Return the numbers of each row, however deeply they lie, without an object for each."""
    ends = lists.offsets.to_pylist()
    inner = lists.values
    if pa.types.is_list(inner.type):
        cells = _bytes_of(inner)
        parts = [b"".join(cells[start:end]) for start, end in itertools.pairwise(ends)]
    else:
        numbers = inner.to_numpy(zero_copy_only=False)
        parts = [numbers[start:end].tobytes() for start, end in itertools.pairwise(ends)]
    there = lists.is_valid().to_pylist()
    return [
        b"%d:" % len(part) + part if known else b"-"
        for part, known in zip(parts, there, strict=True)
    ]
