"""What an owner may leave out of a store, and how that differs from damage."""

from __future__ import annotations

from typing import Final, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from cache.errors import StoreDamaged
from cache.keys import is_content_key, post_sha256
from cache.records import Example, Post
from cache.schema import CONTENT_COLUMN, SharedTable, Table

Part = Literal["images", "posts", "texts"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
# A post may really say nothing; its hash tells it from one that was left out.
_SHA256_OF_NOTHING: Final = post_sha256(Post("", ()))
CONTENT_PART: Final[dict[SharedTable, Part]] = {"texts": "texts", "media": "images"}


def check_post(example: Example, sha256: str) -> None:
    """Compare a post with its hash; one that was left out has a hash and nothing else.

    Raises:
        StoreDamaged: the hash is of another post.
    """
    post = example.post
    labels = (example.entities, example.relation)
    actual = post_sha256(post)
    blank = actual == _SHA256_OF_NOTHING and not post.photo_name and labels == (None, None)
    if sha256 != actual and not (blank and is_content_key(sha256)):
        raise StoreDamaged(f"{post.example_id!r}: post_sha256 is {sha256!r}, the post's {actual}")


def left_out(table: Table, part: pa.Table, index: int) -> Part | None:
    """Return what rows of a shard's table lack that belongs into the shard, if anything.

    Args:
        table: whose rows.
        part: at least the columns ``tokens`` and ``post_sha256`` of ``examples``, ``stored_in``
            and the content of ``texts`` and ``media``; of other tables nothing.
        index: of the shard.
    """
    if table == "examples":
        wordless = pc.equal(pc.list_value_length(part.column("tokens")), 0)
        unlike = pc.not_equal(part.column("post_sha256"), _SHA256_OF_NOTHING)
        return "posts" if pc.any(pc.and_(wordless, unlike)).as_py() else None
    for shared, column in CONTENT_COLUMN.items():
        if table == shared:
            here = pc.equal(part.column("stored_in"), index)
            lacking = pc.any(pc.and_(here, pc.is_null(part.column(column)))).as_py()
            return CONTENT_PART[shared] if lacking else None
    return None
