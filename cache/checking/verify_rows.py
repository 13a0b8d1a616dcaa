"""What `cache.tables.decode` asks of every row, asked of whole columns without making records."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cache.checking.plausible import (
    check_examples,
    check_hits,
    first_inexact,
    lengths,
    refuse,
    whole,
)
from cache.errors import StoreDamaged
from cache.keys import post_sha256
from cache.records import LEVELS, MODALITIES, Example, Post, Span
from cache.tables.withheld import check_post

DIGEST_BYTES: Final = 32
_STATUSES: Final = pa.array(("ok", "none", "missing", "unreadable"))
_KEY: Final = r"\A[0-9a-f]{64}\z"


def check_post_rows(table: pa.Table, dim: int | None) -> None:
    """Compare rows of ``examples`` with what a writer writes.

    Args:
        table: any rows.
        dim: length that every embedding must have.

    Raises:
        StoreDamaged: a value that makes no sense; the message names the post.
    """
    check_examples(table)
    statuses, regions = whole(table, "photo_status"), whole(table, "regions")
    crops = whole(table, "region_embeddings")
    odd = ~pc.is_in(statuses, value_set=_STATUSES).to_numpy(False)
    odd |= lengths(crops) != lengths(regions)
    if odd.any():
        row = int(odd.argmax())
        raise StoreDamaged(
            f"{_post(table, row)}: photo status {statuses[row].as_py()!r} or its regions make no "
            "sense"
        )
    check_keys(whole(table, "photo_key"))
    for name in ("photo_embedding", "sentence_embedding"):
        _check_vectors(table, name, whole(table, name), np.arange(table.num_rows), dim)
    owners = np.repeat(np.arange(table.num_rows), lengths(crops))
    _check_vectors(table, "region_embeddings", crops.flatten(), owners, dim)
    _check_hashes(table)


def check_hit_rows(table: pa.Table, dim: int | None) -> None:
    """Compare rows of ``evidence`` or ``dropped`` with what a writer writes; see above."""
    check_hits(table)
    for name, known in (("level", LEVELS), ("modality", MODALITIES)):
        values = whole(table, name)
        refuse(table, name, values, ~pc.is_in(values, value_set=pa.array(known)).to_numpy(False))
    check_keys(whole(table, "media_key"))
    if "embedding" in table.column_names:
        rows = np.arange(table.num_rows)
        _check_vectors(table, "embedding", whole(table, "embedding"), rows, dim)


def check_keys(keys: pa.StringArray) -> None:
    """Compare the form of ``keys`` that are not null with that of a SHA-256.

    Raises:
        StoreDamaged: one has another form.
    """
    right = pc.match_substring_regex(keys, _KEY)
    if not pc.all(right).as_py() and len(keys) > keys.null_count:
        wrong = pc.index(right, False).as_py()
        raise StoreDamaged(f"{str(keys[wrong])[:200]!r} is no content key")


def digests_of(keys: pa.StringArray) -> pa.FixedSizeBinaryArray:
    """Return well-formed ``keys``, none of them null, as the bytes that they stand for."""
    _, offsets, data = keys.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[keys.offset, keys.offset + len(keys)]]
    digits = b"" if data is None else memoryview(data)[first:last]
    raw = pa.py_buffer(bytes.fromhex(str(digits, "ascii")))
    return pa.Array.from_buffers(pa.binary(DIGEST_BYTES), len(keys), [None, raw])


def first_other(contents: pa.Array, digests: pa.FixedSizeBinaryArray) -> int | None:
    """Return the place of the first of ``contents`` that has another SHA-256 than it should.

    Args:
        contents: texts or bytes, none of them null.
        digests: what the SHA-256 of each should be.
    """
    _, offsets, data = contents.buffers()
    ends = np.frombuffer(offsets, np.int32)[contents.offset :][: len(contents) + 1].tolist()
    view, sha256 = memoryview(data or b""), hashlib.sha256
    found = [sha256(view[start:end]).digest() for start, end in itertools.pairwise(ends)]
    if b"".join(found) == b"".join(digests.to_pylist()):
        return None
    return next(i for i, one in enumerate(found) if one != digests[i].as_py())


def _check_vectors(
    table: pa.Table, name: str, vectors: pa.ListArray, rows: NDArray[np.int64], dim: int | None
) -> None:
    """Refuse vectors of another length than ``dim``, and numbers that float16 cannot hold.

    Args:
        table: whose vectors.
        name: of their column.
        vectors: may be null.
        rows: of the table, one for each vector.
        dim: length that every vector must have.
    """
    sizes = lengths(vectors)
    wrong = vectors.is_valid().to_numpy(False) & (sizes != dim)
    if wrong.any():
        place = int(wrong.argmax())
        raise StoreDamaged(
            f"{_post(table, rows[place])}: the column {name} holds {sizes[place]} numbers where "
            f"{dim} belong"
        )
    values = vectors.flatten().to_numpy(False)
    if (bad := first_inexact(values)) is not None:
        raise StoreDamaged(
            f"{_post(table, np.repeat(rows, sizes)[bad])}: the column {name} holds NaN, an "
            f"infinity, or more than float16 can: {values[bad]}"
        )


def _check_hashes(table: pa.Table) -> None:
    names = table.column("example_id")
    tokens = whole(table, "tokens")
    # By NumPy: a Python value for each token, several times as fast as `to_pylist`.
    words = tokens.flatten().to_numpy(False).tolist()
    ends = np.cumsum(lengths(tokens)).tolist()
    heads, tails = (whole(table, name).to_pylist() for name in ("head", "tail"))
    for row, expected in enumerate(whole(table, "post_sha256").to_pylist()):
        start = ends[row - 1] if row else 0
        post = Post("", tuple(words[start : ends[row]]), "", _span(heads[row]), _span(tails[row]))
        if post_sha256(post) != expected:
            labels = [table.column(name)[row].as_py() for name in ("entities", "relation")]
            named = replace(
                post,
                example_id=names[row].as_py(),
                photo_name=table.column("photo_name")[row].as_py(),
            )
            check_post(Example(named, "", *labels), expected)


def _span(value: dict[str, int] | None) -> Span | None:
    return None if value is None else Span(value["start"], value["end"])


def _post(table: pa.Table, row: int) -> str:
    return repr(table.column("example_id")[int(row)].as_py())
