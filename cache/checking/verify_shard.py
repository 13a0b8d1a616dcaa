"""What one shard holds, and what is wrong with it by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cache.checking.plausible import check_region_index, lengths, whole
from cache.checking.verify_features import arrays_needed
from cache.checking.verify_findings import Look, Problem, ShardFindings
from cache.checking.verify_rows import (
    check_hit_rows,
    check_keys,
    check_post_rows,
    digests_of,
    first_other,
)
from cache.errors import RamieError, StoreDamaged
from cache.manifest import ShardEntry
from cache.records import FeatureSet, Media
from cache.schema import CONTENT_COLUMN, SharedTable, Table
from cache.tables.shards import load_shard
from cache.tables.withheld import CONTENT_PART, Part


def check_shard(
    root: Path,
    shard: ShardEntry,
    withheld: tuple[Part, ...],
    look: Look | None,
    feature_sets: Iterable[FeatureSet] = (),
) -> ShardFindings:
    """Read every byte and every row of a shard.

    Args:
        root: folder of the store.
        shard: of it.
        withheld: what the manifest says was left out.
        look: asked about every image; None asks nothing.
        feature_sets: of which it is noted what the posts need.
    """
    check = _ShardCheck(root, shard, withheld, look)
    check.found.arrays = {name: {} for name in feature_sets}
    known = check.posts()
    check.hits("evidence", known)
    check.hits("dropped", known)
    for table in CONTENT_COLUMN:
        check.contents(table)
    return check.found


class _ShardCheck:
    def __init__(
        self, root: Path, shard: ShardEntry, withheld: tuple[Part, ...], look: Look | None
    ) -> None:
        self.found = ShardFindings(shard)
        self._root = root
        self._shard = shard
        self._withheld = withheld
        self._look = look
        self._num_regions: NDArray[np.int64] = np.zeros(0, np.int64)
        self._texts_named: list[pa.Array] = []
        self._hits_read = True

    def posts(self) -> bool:
        """Return whether the posts could be read, all of them."""
        ids: list[pa.Array] = []
        regions: list[NDArray[np.int64]] = []

        def look_at(part: pa.Table) -> None:
            check_post_rows(part, self._shard.embedding_dim)
            ids.append(whole(part, "example_id"))
            regions.append(lengths(whole(part, "regions")))
            for name, needed in self.found.arrays.items():
                needed.update(arrays_needed(part, name))
            for pair in pc.value_counts(part.column("split")).to_pylist():
                self.found.counts[f"posts in {pair['values']}"] += pair["counts"]

        sound = self._read("examples", look_at)
        if ids:
            self.found.ids = pa.concat_arrays(ids)
            self._num_regions = np.concatenate(regions)
        return self._check_order("examples", "example_id", self.found.ids) and sound

    def hits(self, table: Table, posts_known: bool) -> None:
        """Read hits, and compare them with the posts where these are known."""
        last = 0

        def look_at(part: pa.Table) -> None:
            nonlocal last
            if part.num_rows:
                names = part.column("example_id")
                self.found.hit_ids += [names[0].as_py(), names[-1].as_py()]
            check_hit_rows(part, self._shard.embedding_dim)
            self._texts_named.append(whole(part, "text_key").drop_null())
            self.found.questions.append(pc.unique(whole(part, "query_key")))
            self.found.images.append(pc.unique(whole(part, "media_key").drop_null()))
            if posts_known:
                last = self._check_places(table, part, last)

        self._hits_read &= self._read(table, look_at)

    def contents(self, table: SharedTable) -> None:
        """Compare contents with their keys, and note where they should be."""
        keys: list[pa.Array] = []

        def look_at(part: pa.Table) -> None:
            keys.append(whole(part, "key"))
            check_keys(keys[-1])
            self._check_contents(table, part)

        sound = self._read(table, look_at)
        every = pa.concat_arrays(keys) if keys else pa.array([], pa.string())
        sound = self._check_order(table, "key", every) and sound
        # Without all rows, every text would look like a missing one.
        if table == "texts" and sound and self._hits_read:
            named = pa.chunked_array(self._texts_named, pa.string()).unique()
            for lacking, other, what in (
                (named, every, "is missing"),
                (every, named, "is needed by no row"),
            ):
                odd = lacking.filter(pc.invert(pc.is_in(lacking, value_set=other)))
                if len(odd):
                    more = f" (and {len(odd) - 1:,} more)" if len(odd) > 1 else ""
                    self._say(table, f"the text {odd[0].as_py()} {what}{more}")

    def _read(self, table: Table, look_at: Callable[[pa.Table], None]) -> bool:
        """Look at every row group of a table; return whether nothing is wrong with any."""
        entry, before = self._shard.files[table], len(self.found.problems)
        self.found.counts[f"{table} rows"] += entry.rows
        self.found.counts["bytes"] += entry.size_bytes
        try:
            file = load_shard(self._root, entry, table)
            for part in file.parts():
                self.found.tally.add(table, part, self._shard.index)
                try:
                    look_at(part)
                except StoreDamaged as error:
                    self._say(table, str(error))
            file.close()
        except RamieError as error:
            self.found.problems.append(Problem(str(error), table))
        return len(self.found.problems) == before

    def _say(self, table: Table, what: str) -> None:
        where = self._root / self._shard.files[table].path
        self.found.problems.append(Problem(f"{where}: {what}."))

    def _check_order(self, table: Table, column: str, values: pa.Array) -> bool:
        # Bytes of UTF-8 have the order of code points.
        if pc.all(pc.less(values[:-1], values[1:])).as_py() in (True, None):
            return True
        name = "key" if column == "key" else column
        self._say(table, f"rows are not sorted by unique {name}")
        return False

    def _check_places(self, table: Table, part: pa.Table, last: int) -> int:
        """Compare rows with the posts of the shard; return the place of the last row's post."""
        names = whole(part, "example_id")
        places = pc.index_in(names, value_set=self.found.ids).fill_null(-1).to_numpy(False)
        highest = np.maximum.accumulate(np.append(last, places))
        wrong = places < highest[:-1]
        if wrong.any():
            row = int(wrong.argmax())
            stranger = places[row] < 0
            what = "is of no post of the shard" if stranger else "is not with its post's rows"
            self._say(table, f"a row of {names[row].as_py()!r} {what}")
        indices = whole(part, "region_index").to_numpy(False)
        known = np.append(self._num_regions, 1 << 31)[places]
        if (indices >= known).any():
            row = int((indices >= known).argmax())
            check_region_index(names[row].as_py(), int(indices[row]), int(known[row]))
        return int(highest[-1])

    def _check_contents(self, table: SharedTable, part: pa.Table) -> None:
        keys, places = whole(part, "key"), whole(part, "stored_in").to_numpy(False)
        here = part.column(CONTENT_COLUMN[table]).is_valid().to_numpy()
        own = places == self._shard.index
        wrong = (here & ~own) | (places > self._shard.index)
        if CONTENT_PART[table] not in self._withheld:
            wrong |= own & ~here
        if wrong.any():
            key = keys[int(wrong.argmax())].as_py()
            self._say(table, f"the content {key} is in the wrong shard")
        digests, shared = digests_of(keys), self.found.contents[table]
        shared.own.append(digests.filter(pa.array(own)))
        shared.others.append(digests.filter(pa.array(~own)))
        shared.places.append(places[~own])
        self.found.counts["images" if table == "media" else table] += int(own.sum())
        start = 0
        for chunk in part.column(CONTENT_COLUMN[table]).chunks:
            rows = slice(start, start + len(chunk))
            start += len(chunk)
            self._compare(table, keys[rows], digests[rows], chunk, (own & here)[rows])
        if table == "media" and self._look is not None:
            self._look_at_images(part.filter(pa.array(own & here)), self._look)

    def _compare(
        self,
        table: SharedTable,
        keys: pa.Array,
        digests: pa.Array,
        contents: pa.Array,
        there: NDArray[np.bool_],
    ) -> None:
        """Compare contents that are ``there`` with their keys."""
        if not there.all():
            keys, digests, contents = (
                values.filter(pa.array(there)) for values in (keys, digests, contents)
            )
        if (other := first_other(contents, digests)) is not None:
            self._say(table, f"the content {keys[other].as_py()} is another")

    def _look_at_images(self, part: pa.Table, look: Look) -> None:
        names = ("key", "data", "format", "width", "height")
        for key, *rest in zip(*(part.column(name) for name in names), strict=True):
            image = Media(key.as_py(), *(value.as_py() for value in rest))
            if (what := look(image)) is not None:
                self._say("media", f"the image {image.key} {what}")
