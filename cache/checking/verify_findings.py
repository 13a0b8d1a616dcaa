"""What is known of a shard once it was read: what is wrong with it, and what it says of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cache.feature_keys import PostSize
from cache.manifest import ShardEntry
from cache.records import FeatureSet, Media
from cache.schema import CONTENT_COLUMN, SharedTable, Table
from cache.tables.summary import Tally

# Told of an image; returns what is wrong with what its row claims, if anything.
Look = Callable[[Media], str | None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        text: a sentence that names the file.
        lost: the table whose rows cannot be read for it; None where they can.
    """

    text: str
    lost: Table | None = None


@dataclass(slots=True)
class Contents:
    """Where a shard says that contents are, as SHA-256 digests.

    Attributes:
        own: those of which it says that it holds them itself.
        others: those of other shards.
        places: for each of ``others``, the shard that it says holds it.
    """

    own: list[pa.Array] = field(default_factory=list)
    others: list[pa.Array] = field(default_factory=list)
    places: list[NDArray[np.int32]] = field(default_factory=list)


@dataclass(slots=True)
class ShardFindings:
    """What was found in a shard.

    Attributes:
        shard: as the manifest describes it.
        problems: in order of tables.
        counts: see `VerifyReport`.
        tally: of its rows, for the summary.
        ids: of its posts, in order of rows.
        arrays: keys of what its posts need of each feature set, with a size of a post each.
        hit_ids: of the first and the last post that hits are of.
        contents: of texts and images.
        questions: keys of the queries that hits answer.
        images: keys of the images that hits name.
    """

    shard: ShardEntry
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    ids: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    arrays: dict[FeatureSet, dict[str, PostSize]] = field(default_factory=dict)
    hit_ids: list[str] = field(default_factory=list)
    contents: dict[SharedTable, Contents] = field(
        default_factory=lambda: {table: Contents() for table in CONTENT_COLUMN}
    )
    questions: list[pa.Array] = field(default_factory=list)
    images: list[pa.Array] = field(default_factory=list)
